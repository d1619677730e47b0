"""Messages to and from the disk, beside SQLite alone.

SQLite has the same settings, and one commit for all messages of a call. The yardstick of sealing is
libsodium's sealed box of the same length.
"""

import sqlite3
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pysodium

from benchmarks.measure import Row, compare, measure
from nym.envelope import Envelopes, Fragment
from nym.identity import generate_identity
from nym.store.journal import Journal
from nym.store.outbox import Manner, Outbox, Outgoing, new_id

MESSAGE = bytes(500)
TOGETHER = 100
RECIPIENT = generate_identity().public_key


def run() -> list[Row]:
    """Measure accepting one message, accepting many together, and sealing a fragment."""
    with TemporaryDirectory() as ours, TemporaryDirectory() as plain:
        journal = Journal(Path(ours), bytes(32))
        connection = _plain(Path(plain) / "plain.db")
        outbox = Outbox(journal)
        numbers = count()
        envelopes = Envelopes(generate_identity())
        fragment = Fragment(bytes(16), 0, 1, MESSAGE)
        times = measure(
            {
                "accept 1": partial(_accept, outbox, 1),
                "insert 1": partial(_insert, connection, numbers, 1),
                f"accept {TOGETHER}": partial(_accept, outbox, TOGETHER),
                f"insert {TOGETHER}": partial(_insert, connection, numbers, TOGETHER),
                "seal": partial(envelopes.seal, fragment, RECIPIENT),
                "box": partial(pysodium.crypto_box_seal, bytes(927), RECIPIENT),
            }
        )
        journal.close()
        connection.close()
    return [
        compare("accept and end 1 message", times["accept 1"], times["insert 1"]),
        compare(
            f"accept and end {TOGETHER} messages",
            times[f"accept {TOGETHER}"],
            times[f"insert {TOGETHER}"],
        ),
        compare("seal a fragment", times["seal"], times["box"]),
    ]


def _accept(outbox: Outbox, number: int) -> None:
    messages = [Outgoing(new_id(), RECIPIENT, MESSAGE, Manner.SEALED) for _ in range(number)]
    outbox.accept(messages)
    outbox.arrivals()
    for outgoing in messages:
        outbox.done(outgoing.id)


def _plain(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE entry (id INTEGER PRIMARY KEY, body BLOB)")
    return connection


def _insert(connection: sqlite3.Connection, numbers: "count[int]", number: int) -> None:
    ids = [next(numbers) for _ in range(number)]
    with connection:
        connection.executemany("INSERT INTO entry VALUES (?, ?)", [(i, MESSAGE) for i in ids])
        connection.executemany("DELETE FROM entry WHERE id = ?", [(i,) for i in ids])
