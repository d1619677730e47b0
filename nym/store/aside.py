"""Sets a database aside: its files get another name, and nothing in them is lost."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nym.errors import FolderInUseError

FILE = "client.db"  # the database in a client's folder

# The endings of the database's files; the last one is the database itself. The others are renamed
# first, in case this is interrupted. A database without its log is merely an older state of itself.
# But a log that is left behind would be taken for the log of the new database.
_COMPANIONS = ("-wal", "-shm", "-journal", "")


def name_aside(name: str, why: str) -> str:
    """Return a new name for a file, with a word that says why it is set aside, and the time."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    # The random digits keep two files that are set aside in one second apart.
    return f"{name}.{why}-{stamp}-{os.urandom(2).hex()}"


def set_aside(database: Path, name: str) -> None:
    """Rename a database and the files that SQLite keeps beside it. Raises OSError."""
    for ending in _COMPANIONS:
        with suppress(FileNotFoundError):
            Path(f"{database}{ending}").rename(database.with_name(f"{name}{ending}"))


@contextmanager
def held(database: Path) -> Iterator[bool]:
    """Keep clients from starting to use a database, for as long as the context lasts.

    The context's value tells whether there is a database. Raises FolderInUseError if a running
    client uses it, OSError.

    SQLite holds POSIX locks on a database that it uses. So an attempt to lock the file shows
    whether it is in use, without opening the database.
    """
    try:
        file = os.open(database, os.O_RDWR)
    except FileNotFoundError:
        yield False
        return
    try:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FolderInUseError(database.parent) from error
        yield True
    finally:
        os.close(file)
