"""What can be read of a table, though some of its pages can't."""

import sqlite3
from itertools import islice

# Positions that are tried one by one, where neither end leads to them.
MOST_TRIED = 100_000

Row = tuple[bytes, bytes, bytes]  # kind, id, body


def readable(connection: sqlite3.Connection) -> tuple[list[Row], sqlite3.DatabaseError | None]:
    """(the entries, in their order; why some may be missing)."""
    rows, damage = _scan(connection, "ASC")
    if damage is None:
        return list(rows.values()), None
    before = max(rows, default=0)
    behind, _ = _scan(connection, "DESC")
    between = range(before + 1, min(behind, default=before + MOST_TRIED))
    for position in islice(between, MOST_TRIED):
        try:
            found = connection.execute(
                "SELECT kind, id, body FROM entry WHERE position = ?", (position,)
            ).fetchone()
        except sqlite3.DatabaseError:
            continue
        if found:
            rows[position] = found
    rows |= behind
    return [rows[position] for position in sorted(rows)], damage


def _scan(
    connection: sqlite3.Connection, order: str
) -> tuple[dict[int, Row], sqlite3.DatabaseError | None]:
    """(the entries up to the first that can't be read, why it can't)."""
    rows: dict[int, Row] = {}
    try:
        for position, *row in connection.execute(
            f"SELECT position, kind, id, body FROM entry ORDER BY position {order}"  # noqa: S608
        ):
            rows[position] = tuple(row)
    except sqlite3.DatabaseError as error:
        return rows, error
    return rows, None
