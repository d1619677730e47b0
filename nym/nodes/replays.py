"""The packets that a node has seen, so that each is forwarded once (docs/protocol/mixnode.md).

Whoever recorded a packet could send it again, look at what leaves the node each time, and so follow
it. A node therefore remembers the tag of each packet that it could unwrap.

Tags are in tables of 64-bit numbers, with linear probing. A new table, of eight times the size, is
begun when the newest is three quarters full. In a folder, each table is a file that is mapped into
memory: what is noted there outlives the process, whatever ends it, without a system call for each
packet. Only a machine that loses its power may forget the last seconds. Tables stop growing at the
last of SIZES; then the oldest are dropped, so that memory has a limit.
"""

import hashlib
import logging
import mmap
import os
import re
from pathlib import Path

from nym.files import FILE_MODE, make_folder

MAGIC = b"nymtags1"
SIZES = (1 << 13, 1 << 16, 1 << 19, 1 << 22)  # places in a table, those that stay empty included
MOST_LARGE = 2  # tables of the largest size, 32 MiB each; the smaller ones take 5 MiB together
_NUMBER = 8  # bytes
_HEAD = 4  # numbers at a table's start: the magic, the salt in two, how many tags there are
_SALT = slice(8, 24)
_SAMPLE = 1000  # places that are looked at in a file

log = logging.getLogger(__name__)


class Replays:
    """Remembers tags, in a folder if there is one, otherwise in memory."""

    def __init__(self, folder: Path | None) -> None:
        """Raises OSError where the folder can't be used."""
        self._folder = folder
        # Secret: otherwise somebody could make packets whose tags all want the same place.
        self._salt = os.urandom(16)
        self._tables: list[_Table] = []  # the newest last
        if folder is not None:
            make_folder(folder)
            tables = [_read(path) for path in sorted(folder.glob("*.tags"), key=_number)]
            self._tables = [table for table in tables if table is not None]
        if self._tables:
            self._salt = self._tables[0].salt
        else:
            self._grow()

    def is_new(self, tag: bytes) -> bool:
        """Note a tag, 16 bytes; returns whether it is new."""
        digest = hashlib.blake2b(tag, digest_size=_NUMBER, key=self._salt).digest()
        # Two different tags are the same in 64 bits less than once in 10^12 packets, even when all
        # tables are full. 0 is an empty place.
        short = int.from_bytes(digest, "little") or 1
        *others, newest = self._tables
        if any(table.has(short) for table in others) or not newest.add(short):
            return False
        if newest.is_full():
            self._grow()
        return True

    def close(self) -> None:
        """Forget everything that is in memory."""
        for table in self._tables:
            table.close()
        self._tables.clear()

    def _grow(self) -> None:
        newest = self._tables[-1] if self._tables else None
        before, number = (newest.places, newest.number + 1) if newest else (0, 1)
        places = next((size for size in SIZES if size > before), SIZES[-1])
        self._tables.append(self._made(number, places))
        while [table.places for table in self._tables].count(SIZES[-1]) > MOST_LARGE:
            self._tables.pop(0).delete()

    def _made(self, number: int, places: int) -> "_Table":
        if self._folder is None:
            return _in_memory(number, places, self._salt)
        path = self._folder / f"{number}.tags"
        try:
            return _in_file(path, number, places, self._salt)
        except OSError as error:
            # Better than to forward packets twice at once, or none at all.
            log.warning(
                "%s can't be made: %s; a packet that is recorded from now on can be played again "
                "after the next start of this node",
                path,
                error.strerror,
            )
            return _in_memory(number, places, self._salt)


class _Table:
    """A table of tags, in mapped memory; `path` is its file, if it has one."""

    def __init__(self, number: int, memory: mmap.mmap, path: Path | None) -> None:
        self.number = number
        self._memory = memory
        self._path = path
        self._numbers = memoryview(memory).cast("B").cast("Q")
        self.places = len(self._numbers) - _HEAD
        self.salt = bytes(memory[_SALT])

    def has(self, short: int) -> bool:
        return self._numbers[self._place(short)] != 0

    def add(self, short: int) -> bool:
        """Note a number; returns whether it is new."""
        place = self._place(short)
        if self._numbers[place]:
            return False
        self._numbers[place] = short
        self._numbers[_HEAD - 1] += 1
        return True

    def is_full(self) -> bool:
        # Probing takes longer and longer behind this.
        return self._numbers[_HEAD - 1] * 4 >= self.places * 3

    def is_crowded(self) -> bool:
        """Whether it has so many numbers as only a damaged file has.

        A search would take long there, and would never end where no place is empty.
        """
        sample = range(_HEAD, len(self._numbers), self.places // _SAMPLE)
        return sum(self._numbers[place] != 0 for place in sample) > len(sample) * 9 // 10

    def close(self) -> None:
        self._numbers.release()
        self._memory.close()

    def delete(self) -> None:
        """Forget these tags for good."""
        self.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _place(self, short: int) -> int:
        """Where this number is, or the empty place where it belongs."""
        numbers, last = self._numbers, self.places - 1
        place = short & last
        while numbers[_HEAD + place] not in (0, short):
            place = (place + 1) & last
        return _HEAD + place


def _in_memory(number: int, places: int, salt: bytes) -> _Table:
    memory = mmap.mmap(-1, (_HEAD + places) * _NUMBER)
    memory[: _SALT.stop] = MAGIC + salt
    return _Table(number, memory, None)


def _in_file(path: Path, number: int, places: int, salt: bytes) -> _Table:
    size = (_HEAD + places) * _NUMBER
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    try:
        # The room is taken now: writing to mapped memory that has no room on the disk would kill
        # the process.
        os.posix_fallocate(descriptor, 0, size)
        memory = mmap.mmap(descriptor, size)
    except OSError:
        path.unlink()
        raise
    finally:
        os.close(descriptor)
    # The magic comes last: a file without it was never used.
    memory[_SALT] = salt
    memory[: len(MAGIC)] = MAGIC
    return _Table(number, memory, path)


def _read(path: Path) -> _Table | None:
    """The table in a file; None if it is damaged. Raises OSError."""
    with path.open("r+b") as file:
        size = os.fstat(file.fileno()).st_size
        places = size // _NUMBER - _HEAD
        # No other size: whatever the file says, memory has a limit.
        if size % _NUMBER == 0 and places in SIZES:
            memory = mmap.mmap(file.fileno(), size)
            table = _Table(_number(path), memory, path)
            if memory[: len(MAGIC)] == MAGIC and not table.is_crowded():
                return table
            table.close()
    log.warning("%s is damaged, and is deleted; packets that it names can be played again", path)
    path.unlink()
    return None


def _number(path: Path) -> int:
    return int(match[0]) if (match := re.match(r"\d+", path.name)) else 0
