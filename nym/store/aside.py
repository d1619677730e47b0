"""A database that is set aside: its files get another name, and nothing of it is lost."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nym.errors import FolderInUseError

FILE = "client.db"  # the database in a client's folder

# SQLite's files beside the database. They go first: without its log a database is an older one,
# but a log beside a fresh database would be taken for that one's.
_COMPANIONS = ("-wal", "-shm", "-journal", "")


def name_aside(name: str, why: str) -> str:
    """Another name for a file: when it was set aside, and a word that says why."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    return f"{name}.{why}-{stamp}-{os.urandom(2).hex()}"


def set_aside(database: Path, name: str) -> None:
    """Give a database, and what SQLite has beside it, another name. Raises OSError."""
    for ending in _COMPANIONS:
        with suppress(FileNotFoundError):
            Path(f"{database}{ending}").rename(database.with_name(f"{name}{ending}"))


@contextmanager
def held(database: Path) -> Iterator[bool]:
    """While no client can begin to use a database; gives whether there is one.

    SQLite holds POSIX locks on a database that is in use, so those say it without opening it.
    Raises FolderInUseError where a client runs with it, OSError.
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
