"""Reads the entries of a table of which some pages can't be read.

A scan ends at the first damaged page. So the table is scanned from the front and from the back. The
positions between the two ends are tried one by one.
"""

import sqlite3
from itertools import islice

# Positions between the two ends that are tried, at most. Each is a query, and there can be any
# number: entries that were deleted leave positions that nothing has.
MOST_TRIED = 100_000

Row = tuple[bytes, bytes, bytes]  # kind, id, body


def readable(connection: sqlite3.Connection) -> tuple[list[Row], sqlite3.DatabaseError | None]:
    """Return (the entries in their order, the error because of which some may be missing)."""
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
            continue  # this position is on a damaged page; others may not be
        if found:
            rows[position] = found
    rows |= behind
    return [rows[position] for position in sorted(rows)], damage


def _scan(
    connection: sqlite3.Connection, order: str
) -> tuple[dict[int, Row], sqlite3.DatabaseError | None]:
    """Return (the entries before the first that can't be read, why it can't be read)."""
    rows: dict[int, Row] = {}
    try:
        for position, *row in connection.execute(
            f"SELECT position, kind, id, body FROM entry ORDER BY position {order}"  # noqa: S608
        ):
            rows[position] = tuple(row)
    except sqlite3.DatabaseError as error:
        return rows, error
    return rows, None
