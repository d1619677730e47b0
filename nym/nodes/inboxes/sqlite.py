"""Inboxes in a SQLite file in the provider's folder, which one process uses at a time."""

import sqlite3
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

from nym.errors import FolderInUseError, NoRoomError, OutcomeUnknownError, StoreError
from nym.files import exists, write_file
from nym.nodes.inboxes.engine import Execute, Types, Work
from nym.store import sqlite
from nym.store.reserve import Reserve

FILE = "inboxes.db"
_APPLICATION = int.from_bytes(b"nymi")  # in the file's header, so that tools can tell what it is
_RESERVE = "inboxes.reserve"
# The size of the write-ahead log: 4 MiB. In a large file, each message of a round changes two or
# three pages of its own, such as its client's. A checkpoint writes all of them again, at as many
# places of the file. With a log of 1 MiB, nearly every round of a hundred messages had one.
_PAGES = 1024
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}


class SqliteEngine:
    """See Engine. Raises StoreError, FolderInUseError."""

    types = Types(key="INTEGER PRIMARY KEY AUTOINCREMENT", bytes="BLOB")

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self.name = str(self.path)
        self._reserve = Reserve(folder, _RESERVE)
        try:
            _create(self.path)
            self._connection = sqlite.connect(self.path)
        except OSError as error:
            raise sqlite.failure(self.path, "created", error) from error
        except sqlite.DamageError as error:
            raise self._damage(error) from error
        with sqlite.closed_on_failure(self._connection):
            self._open()

    def lack(self) -> StoreError | None:
        """See Engine."""
        error = sqlite.lack(self._reserve, self.path.parent)
        return error and NoRoomError(str(error))

    def transact(self, work: Work, *, has_to_be: bool = False) -> None:
        """See Engine."""
        make = partial(self._make, work)
        try:
            sqlite.transact(self._connection, self._reserve, make, has_to_be=has_to_be)
        except (MemoryError, sqlite3.Error, OSError) as error:
            raise self._failure(error) from error

    def last_number(self, execute: Execute) -> int:
        """See Engine."""
        rows = execute("SELECT seq FROM sqlite_sequence WHERE name = 'message'")
        return int(rows[0][0]) if rows else 0

    def skip_numbers(self, execute: Execute, last: int) -> None:
        """See Engine."""
        # The table has no constraint that ON CONFLICT could name.
        execute("DELETE FROM sqlite_sequence WHERE name = 'message'")
        execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('message', :last)", last=last)

    def close(self) -> None:
        """See Engine."""
        self._connection.close()

    def _open(self) -> None:
        try:
            self._connection.isolation_level = None  # transactions begin where it is written here
            sqlite.configure(self._connection, _PAGES)
            self._connection.execute("BEGIN EXCLUSIVE")  # takes the lock, which a commit keeps
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if sqlite.code(error) in sqlite.BUSY:
                raise FolderInUseError(self.path.parent) from error
            raise self._failure(error) from error

    def _make(self, work: Work) -> None:
        if self._connection.in_transaction:
            self._connection.rollback()  # the last one failed, and so did its rollback
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            work(self._execute)
        except BaseException:
            self._roll_back()
            raise
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            if sqlite.code(error) in {sqlite3.SQLITE_FULL, None}:
                raise
            # The log may have all of it, and after a crash it counts what is in the log.
            raise OutcomeUnknownError(f"{self.path} can't be written: {error}") from error

    def _execute(self, statement: str, /, **parameters: object) -> list[Any]:
        return self._connection.execute(statement, parameters).fetchall()

    def _roll_back(self) -> None:
        with suppress(sqlite3.Error):  # `_make` tries again
            self._connection.rollback()

    def _failure(self, error: Exception) -> StoreError:
        found = sqlite.code(error) if isinstance(error, sqlite3.Error) else None
        if found in _DAMAGE:
            return self._damage(error)
        failure = sqlite.failure(self.path, "written", error)
        return NoRoomError(str(failure)) if found == sqlite3.SQLITE_FULL else failure

    def _damage(self, error: Exception) -> StoreError:
        # Going on with an empty file would look like a provider that works, to clients that then
        # miss all that waited. Somebody has to decide that.
        reason = error if isinstance(error, sqlite.DamageError) else sqlite.DamageError(error)
        return StoreError(
            f"{self.path} {reason}. Put it back from a backup, or save what can be read with "
            f"`sqlite3 {self.path.name} .recover`. Without the file, clients register again, and "
            "what waited for them is lost"
        )


def _create(path: Path) -> None:
    """Make the file, if there is none. Raises OSError.

    It has its name only once it is a database: whenever this is interrupted, no start finds an
    empty file, which counts as a damaged one.
    """
    if exists(path):
        return
    with closing(sqlite3.connect(":memory:")) as blank:
        blank.execute(f"PRAGMA application_id = {_APPLICATION}")
        with suppress(FileExistsError):  # another process was first, and holds the lock
            write_file(path, blank.serialize(), replaces=False)
