"""The Sphinx keys of a provider that consists of several processes: all have the same ones.

docs/protocol/mixnode.md, "Keys".

A key is derived from the key of the tokens, which each process has in its folder, and from a random
salt, which all of them find in the database of the inboxes. So the database alone opens no packet.
When a key ends, its salt is deleted, and nobody can derive the key any more.

Whoever looks first when something is due does it, in one transaction; the others follow. A new key
is announced GRACE seconds after it was made, because by then every process that can reach the
database has it, and a process that can't takes no packets. Times are by the database's clock.

Each process remembers the tags of the packets that it took itself. So a packet that is played again
can get through once in each process. Its message then waits for its client twice.
"""

import json
import os
import shutil
from pathlib import Path
from typing import NamedTuple

from nym import sphinx
from nym._secrets import Secret, derive
from nym.config.nodes import KeySettings
from nym.identity import Identity
from nym.net.threads import beside_the_hub
from nym.nodes.inboxes import statements
from nym.nodes.inboxes.engine import Execute
from nym.nodes.inboxes.shared import SharedInboxes
from nym.nodes.keyring import Key, Keys
from nym.nodes.replays import Replays

PERIOD = 10.0  # seconds between two looks at the database
GRACE = 30  # seconds from when a key is made until it is announced
_SALT = 16  # bytes
_NAME = "key "  # of notes, before a key's number
_FOLDER = "tags"


class _Row(NamedTuple):
    """What the database has of a key: when it was made, in its seconds, and the salt in hex."""

    begun: int
    salt: str


class SharedKeyring(Keys[int]):
    """The keys that all processes with these inboxes and this key of tokens have.

    Raises StoreError, OSError.
    """

    def __init__(
        self,
        folder: Path,
        inboxes: SharedInboxes,
        tokens: Secret,
        lifetime: float = KeySettings.lifetime,
        overlap: float = KeySettings.overlap,
    ) -> None:
        super().__init__(inboxes.name, lifetime, overlap)
        self._folder = folder / _FOLDER
        self._inboxes = inboxes
        self._secret = derive(tokens, b"nym shared keys")
        self._now = 0
        self._look()

    @property
    def age(self) -> float:
        """See Keys; as of the last look."""
        return float(max(0, self._now - self._current.begun - GRACE))

    @property
    def _current(self) -> Key[int]:
        announced = (key for key in self._keys if self._now - key.begun >= GRACE)
        return next(announced, self._keys[-1])

    def _look(self) -> None:
        is_full = bool(self._keys) and self._current.replays.is_full
        newest = self._keys[0].number if self._keys else 0

        def work(execute: Execute, now: int) -> tuple[int, dict[int, _Row]]:
            # If another process has made a key since the last look, that is the one for a full one.
            rows = _read(execute)
            needs_another = is_full and max(rows, default=0) == newest
            return now, self._turned(execute, rows, now, needs_another=needs_another)

        now, rows = self._inboxes.run(work)
        for key in [key for key in self._keys if key.number not in rows]:
            self._keys.remove(key)
            key.replays.close()
        known = {key.number for key in self._keys}
        added = beside_the_hub(
            lambda: [self._made(number, rows[number]) for number in sorted({*rows} - known)]
        )
        self._keys = sorted([*self._keys, *added], reverse=True)
        self._now = now
        beside_the_hub(self._clear, {str(key.number) for key in self._keys})

    def _rest(self) -> float:
        return PERIOD

    def _turned(
        self, execute: Execute, rows: dict[int, _Row], now: int, *, needs_another: bool
    ) -> dict[int, _Row]:
        """Change what is due in the database; return what it has now."""
        if not rows:
            return {1: _write(execute, 1, now - GRACE)}
        newest = max(rows)
        age = now - rows[newest].begun - GRACE
        if needs_another or age >= self.overlap:
            # Never more than two: a key that is full ends the one before early.
            for number in sorted({*rows} - {newest}):
                statements.forget_note(execute, f"{_NAME}{number}")
                del rows[number]
        if needs_another or (len(rows) == 1 and age >= self.lifetime):
            rows[newest + 1] = _write(execute, newest + 1, now)
        return rows

    def _made(self, number: int, row: _Row) -> Key[int]:
        private_key = derive(self._secret, bytes.fromhex(row.salt))
        identity = Identity(private_key, sphinx.public_key(private_key))
        return Key(number, identity, Replays(self._folder / str(number)), row.begun)

    def _clear(self, used: set[str]) -> None:
        """Delete the tags of keys that have ended."""
        for path in self._folder.iterdir():
            if path.name not in used:
                shutil.rmtree(path)


def _read(execute: Execute) -> dict[int, _Row]:
    notes = statements.notes(execute)
    return {
        int(name.removeprefix(_NAME)): _Row(*json.loads(value))
        for name, value in notes.items()
        if name.startswith(_NAME)
    }


def _write(execute: Execute, number: int, begun: int) -> _Row:
    row = _Row(begun, os.urandom(_SALT).hex())
    statements.write_notes(execute, {f"{_NAME}{number}": json.dumps(row).encode()})
    return row
