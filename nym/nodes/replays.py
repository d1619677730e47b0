"""The packets that a node has seen, so that each is forwarded once (docs/protocol/mixnode.md).

Whoever recorded a packet could send it again, look at what leaves the node each time, and so follow
it. A node therefore remembers the tag of each packet that it could unwrap.

A tag lives as long as the key that opened its packet (nym.nodes.keys). Nothing is forgotten before:
a key whose tables are full is replaced by a new one.

Tags are in tables of 32-bit numbers, with linear probing: the place and the number are parts of one
hash. A new, larger table is begun when the newest is three quarters full. In a folder, each table
is a file that is mapped into memory: what is noted there outlives the process, whatever ends it,
without a system call for each packet. Only a machine that loses its power may forget the last
seconds.
"""

import hashlib
import logging
import mmap
import os
import re
from pathlib import Path

from nym.errors import StoreError
from nym.files import FILE_MODE, make_folder

MAGIC = b"nymtags2"
# Places in each table of a key, those that stay empty included. Together they take 50 MiB, and are
# full after 9.9 million packets.
SIZES = (1 << 13, 1 << 16, 1 << 19, 1 << 22, 1 << 23)
_NUMBER = 4  # bytes
_HEAD = 8  # numbers at a table's start: the magic, the salt, an empty one, how many tags there are
_SALT = slice(8, 24)
_SAMPLE = 1000  # places that are looked at in a file

log = logging.getLogger(__name__)


class Replays:
    """Remembers the tags of one key, in a folder if there is one, otherwise in memory.

    `is_full`: it is time for another key. There is some room left for packets until then.
    """

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
        self.is_full = False
        if self._tables:
            self._salt = self._tables[0].salt
        else:
            self._tables.append(self._made(1, SIZES[0]))
        self._look()

    def is_new(self, tag: bytes) -> bool:
        """Note a tag, 16 bytes; returns whether it is new. Raises StoreError if there is no room.

        A tag that is new is taken for one that is known less than once in 10^7 times: even when all
        tables are full, a search passes 40 numbers, each of which is the same by chance once in
        2^32 times.
        """
        digest = hashlib.blake2b(tag, digest_size=8, key=self._salt).digest()
        short = int.from_bytes(digest, "little")
        *others, newest = self._tables
        if any(table.has(short) for table in others):
            return False
        if self.is_full and newest.is_over() and not newest.has(short):
            raise StoreError("no more packets can be remembered until this node has a new key")
        if not newest.add(short):
            return False
        if newest.is_full():
            self._look()
        return True

    def close(self) -> None:
        """Forget everything that is in memory."""
        for table in self._tables:
            table.close()
        self._tables.clear()

    def _look(self) -> None:
        """Begin another table if the newest is full, or say that there are no more."""
        newest = self._tables[-1]
        if newest.is_full():
            larger = next((size for size in SIZES if size > newest.places), None)
            if larger is None:
                self.is_full = True
            else:
                self._tables.append(self._made(newest.number + 1, larger))

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
                "after the next start of this node, as long as it has this key",
                path,
                error.strerror,
            )
            return _in_memory(number, places, self._salt)


class _Table:
    """A table of tags, in mapped memory."""

    def __init__(self, number: int, memory: mmap.mmap) -> None:
        self.number = number
        self._memory = memory
        self._numbers = memoryview(memory).cast("B").cast("I")
        self.places = len(self._numbers) - _HEAD
        self.salt = bytes(memory[_SALT])

    def has(self, short: int) -> bool:
        return self._numbers[self._place(short)] != 0

    def add(self, short: int) -> bool:
        """Note a hash of 64 bits; returns whether it is new."""
        place = self._place(short)
        if self._numbers[place]:
            return False
        self._numbers[place] = short >> 32 or 1
        self._numbers[_HEAD - 1] += 1
        return True

    def is_full(self) -> bool:
        # Probing takes longer and longer behind this.
        return self._numbers[_HEAD - 1] * 4 >= self.places * 3

    def is_over(self) -> bool:
        """Whether nothing more may be added: the room that is left is for a late change of keys."""
        return self._numbers[_HEAD - 1] * 8 >= self.places * 7

    def is_crowded(self) -> bool:
        """Whether it has so many numbers as only a damaged file has.

        A search would take long there, and would never end where no place is empty.
        """
        sample = range(_HEAD, len(self._numbers), self.places // _SAMPLE)
        return sum(self._numbers[place] != 0 for place in sample) > len(sample) * 9 // 10

    def close(self) -> None:
        self._numbers.release()
        self._memory.close()

    def _place(self, short: int) -> int:
        """Where this hash is, or the empty place where it belongs."""
        numbers, last = self._numbers, self.places - 1
        # The lower half says where to begin, the upper half is kept. 0 is an empty place.
        place, number = short & last, short >> 32 or 1
        while numbers[_HEAD + place] not in (0, number):
            place = (place + 1) & last
        return _HEAD + place


def make_first(folder: Path) -> None:
    """Make the first table of a new key, so that `Replays` finds it. Raises OSError."""
    _in_file(folder / "1.tags", 1, SIZES[0], os.urandom(16)).close()


def _in_memory(number: int, places: int, salt: bytes) -> _Table:
    memory = mmap.mmap(-1, (_HEAD + places) * _NUMBER)
    memory[: _SALT.stop] = MAGIC + salt
    return _Table(number, memory)


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
    return _Table(number, memory)


def _read(path: Path) -> _Table | None:
    """The table in a file; None if it is damaged. Raises OSError."""
    with path.open("r+b") as file:
        size = os.fstat(file.fileno()).st_size
        places = size // _NUMBER - _HEAD
        # No other size: whatever the file says, memory has a limit.
        if size % _NUMBER == 0 and places in SIZES:
            memory = mmap.mmap(file.fileno(), size)
            table = _Table(_number(path), memory)
            if memory[: len(MAGIC)] == MAGIC and not table.is_crowded():
                return table
            table.close()
    log.warning("%s is damaged, and is deleted; packets that it names can be played again", path)
    path.unlink()
    return None


def _number(path: Path) -> int:
    return int(match[0]) if (match := re.match(r"\d+", path.name)) else 0
