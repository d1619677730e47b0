"""What all databases here have in common: SQLite files that must survive a power cut.

- Only their owner can read them.
- A file is locked while it is open, so a second process is refused.
- A commit returns when the write-ahead log is on disk.
- What has to be written to a full disk may use a reserve.

No other modules use SQLite than this one, `database.py`, `salvage.py` and the engine of inboxes.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nym.errors import FolderError, StoreError
from nym.files import FILE_MODE
from nym.store.reserve import Reserve

PAGE = 4096  # bytes

# Errors of the machine or of this program. Any other error of SQLite means a damaged file.
BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
SURROUNDINGS = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_NOMEM,
    None,
}


class DamageError(Exception):
    """The file's contents are not what was written to it."""

    word = "damaged"

    def __str__(self) -> str:
        return f"is damaged ({super().__str__()})"


class Connection(sqlite3.Connection):
    """Errors of SQLite quote the file. Where that isn't UTF-8, Python can't make the error."""

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        """See sqlite3."""
        try:
            return super().execute(*arguments)
        except UnicodeDecodeError as unreadable:
            error = sqlite3.DatabaseError("its schema isn't text")
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error from unreadable


def connect(path: Path) -> sqlite3.Connection:
    """Open the database, or create it. Raises DamageError, StoreError.

    One thread after the other may use the connection, but never two at the same time.
    """
    try:
        try:
            # SQLite itself would create a file that others can read, if the umask allows it.
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE))
        except FileExistsError:
            # SQLite takes an empty file for a new database. But one that was there had contents.
            if path.stat().st_size == 0:
                raise DamageError("it is empty") from None
        # Without a time-out, a second process is refused at once and doesn't wait for the lock.
        return sqlite3.connect(path, timeout=0, check_same_thread=False, factory=Connection)
    except (OSError, sqlite3.Error) as error:
        raise failure(path, "opened", error) from error


def configure(connection: sqlite3.Connection, pages: int) -> None:
    """Choose how the file is written; its write-ahead log has so many pages. Raises sqlite3.Error.

    Nothing here writes to a file that is in order: a program has to start on a full disk, too.
    """
    # EXCLUSIVE keeps the lock until the file is closed. FULL makes each commit wait until the
    # log is on disk, because messages that were accepted must survive a power cut.
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {pages}")
    connection.execute(f"PRAGMA journal_size_limit = {pages * PAGE}")
    # What is deleted is overwritten, so that the key of a reply address is gone. Debian's SQLite
    # does that by default, but others don't. FAST would leave copies in pages that are given up.
    connection.execute("PRAGMA secure_delete = ON")


def transact(
    connection: sqlite3.Connection,
    reserve: Reserve,
    make: Callable[[], None],
    *,
    has_to_be: bool = False,
) -> None:
    """Call `make`, which is one transaction, and again if the disk was full but there is a way.

    With `has_to_be`, the reserve is given up if the disk is full. Raises sqlite3.Error, OSError,
    and what `make` raises.
    """
    try:
        make()
    except sqlite3.Error as error:
        if code(error) != sqlite3.SQLITE_FULL:
            raise
        if has_to_be:
            reserve.give_up()
        # The write-ahead log may hold room that only a checkpoint gives back.
        empty_log(connection)
        make()


def empty_log(connection: sqlite3.Connection) -> None:
    """Bring everything from the write-ahead log into the file, and cut the log to no bytes.

    Raises sqlite3.Error.
    """
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def lack(reserve: Reserve, folder: Path) -> StoreError | None:
    """Return an error if there is no room for the reserve. Then nothing new may begin."""
    try:
        reserve.hold()
    except OSError as error:
        return StoreError(f"{folder} has no room: {error.strerror}")
    return None


def failure(path: Path, what: str, error: BaseException) -> StoreError:
    """Return the error that says why the file can't be `what`."""
    if isinstance(error, MemoryError):
        return StoreError(f"{path} can't be {what}: no memory is left")
    if os.path.isdir(path.parent) and not os.access(path.parent, os.W_OK):
        return FolderError(
            f"{path.parent} can't be written by this user, but the program has to write there"
        )
    return StoreError(f"{path} can't be {what}: {error}")


@contextmanager
def closed_on_failure(connection: sqlite3.Connection) -> Iterator[None]:
    """Close the connection, and so release the file's lock, if the block raises an error."""
    try:
        yield
    except BaseException:
        connection.close()
        raise


def code(error: sqlite3.Error) -> int | None:
    """Return SQLite's primary result code of an error, or None if it has none."""
    found: int | None = getattr(error, "sqlite_errorcode", None)
    # The upper bits are the extended code, which says more than is needed here.
    return found and found & 0xFF
