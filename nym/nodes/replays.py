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

Several processes can use one folder at the same time: a tag is new for one of them alone. In one
table, that is so because those who note the same tag meet at the same place (nym._tables). It
stays so while a larger table is begun:

- A table is shut once the next one is there, as a whole, and before anybody uses that. So whoever
  finds a table shut finds the next one.
- A tag is noted in the newest table that isn't shut, and then it is new only if that table still
  isn't shut. Whoever looks for the tag later, in the next table, has seen this one shut. So what
  was noted here before is seen.
- A tag that was noted while its table was shut, or a moment before, isn't decided there: somebody
  may have looked and not found it. The next table decides. Others who find it in the shut table
  take it for known, which is right: whoever noted it there goes on to the next one.

If a process is killed between the two, the tag is known, and its packet is lost with the process.
"""

import hashlib
import logging
import mmap
import os
import re
from pathlib import Path

from nym import _tables
from nym.errors import LockedError, StoreError
from nym.files import FILE_MODE, exists, locked, make_folder, os_errors_as

MAGIC = b"nymtags2"
# Places in each table of a key, those that stay empty included. Together they take 50 MiB, and are
# full after 9.9 million packets.
SIZES = (1 << 13, 1 << 16, 1 << 19, 1 << 22, 1 << 23)
_NUMBER = 4  # bytes
# Numbers at a table's start: the magic, the salt, whether it is shut, how many tags there are.
_HEAD = 8
_SALT = slice(8, 24)
_SHUT, _COUNT = 6, 7  # of these numbers
_SAMPLE = 1000  # places that are looked at in a file
_NO_ROOM = "no more packets can be remembered until this node has a new key"

log = logging.getLogger(__name__)


class Replays:
    """Remembers the tags of one key, in a folder if there is one, otherwise in memory.

    `is_alone`: no other process uses the folder.
    `is_full`: it is time for another key. There is some room left for packets until then.
    """

    def __init__(self, folder: Path | None, *, is_alone: bool = True) -> None:
        """Raises OSError, StoreError where the folder can't be used."""
        self._folder = folder
        self._is_alone = is_alone
        # Secret: otherwise somebody could make packets whose tags all want the same place.
        self._salt = os.urandom(16)
        self._tables: list[_Table] = []  # the newest last
        if folder is not None:
            make_folder(folder)
            tables = [_read(path) for path in sorted(folder.glob("*.tags"), key=_number)]
            self._tables = [table for table in tables if table is not None]
            for table in self._tables[:-1]:
                # Whoever made the next one may not have come so far; earlier versions never did.
                table.shut()
        self.is_full = False
        if self._tables:
            self._salt = self._tables[0].salt
        elif (first := self._made(1, SIZES[0])) is not None:
            self._tables.append(first)
        else:
            raise StoreError(f"{folder} has no room for the tags of packets")
        self.look()

    def is_new(self, tag: bytes) -> bool:
        """Note a tag, 16 bytes; returns whether it is new. Raises StoreError if there is no room.

        A tag that is new is taken for one that is known less than once in 10^7 times: even when all
        tables are full, a search passes 40 numbers, each of which is the same by chance once in
        2^32 times.
        """
        digest = hashlib.blake2b(tag, digest_size=8, key=self._salt).digest()
        short = int.from_bytes(digest, "little")
        if any(table.has(short) for table in self._tables[:-1]):
            return False
        while (is_new := self._add(short)) is None:
            if not self._go_on():
                raise StoreError(_NO_ROOM)
        if is_new and not self.is_full and self._tables[-1].is_full():
            self.look()
        return is_new

    def close(self) -> None:
        """Forget everything that is in memory."""
        for table in self._tables:
            table.close()
        self._tables.clear()

    def look(self) -> None:
        """See what other processes have done; begin another table if the newest is full.

        Or say that it is time for another key, if there are no more tables.
        """
        while self._tables[-1].is_shut() or self._tables[-1].is_full():
            if not self._go_on():
                self.is_full = True
                return

    def _add(self, short: int) -> bool | None:
        newest = self._tables[-1]
        if self.is_full and newest.is_over() and not newest.has(short):
            raise StoreError(_NO_ROOM)
        return newest.add(short)

    def _go_on(self) -> bool:
        """Use the next table, which another process may have begun. False: there is none."""
        newest = self._tables[-1]
        larger = next((size for size in SIZES if size > newest.places), None)
        table = larger and self._made(newest.number + 1, larger)
        if not table:
            return False
        newest.shut()
        self._tables.append(table)
        return True

    def _made(self, number: int, places: int) -> "_Table | None":
        """The table with this number; None if it can't be where other processes find it, too."""
        if self._folder is None:
            return _in_memory(number, places, self._salt)
        path = _file(self._folder, number)
        try:
            with os_errors_as(StoreError, f"{path} can't be made"), locked(self._folder):
                found = _read(path) if exists(path) else None
                return found or _in_file(path, number, places, self._salt)
        except (LockedError, StoreError) as error:
            if not self._is_alone:
                log.warning("%s; this node needs another key soon", error)
                return None
            # Better than to forward packets twice at once, or none at all.
            log.warning(
                "%s; a packet that is recorded from now on can be played again after the next "
                "start of this node, as long as it has this key",
                error,
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
        return _tables.has(self._numbers, short)

    def add(self, short: int) -> bool | None:
        """Note a hash of 64 bits; returns whether it is new. None: the next table knows."""
        return _tables.add(self._numbers, short)

    def shut(self) -> None:
        """Note nothing more, since there is another table."""
        _tables.shut(self._numbers)

    def is_shut(self) -> bool:
        return self._numbers[_SHUT] != 0

    def is_full(self) -> bool:
        # Probing takes longer and longer behind this.
        return self._numbers[_COUNT] * 4 >= self.places * 3

    def is_over(self) -> bool:
        """Whether nothing more may be added: the room that is left is for a late change of keys."""
        return self._numbers[_COUNT] * 8 >= self.places * 7

    def is_crowded(self) -> bool:
        """Whether it has so many numbers as only a damaged file has.

        A search would take long there, and would never end where no place is empty.
        """
        sample = range(_HEAD, len(self._numbers), self.places // _SAMPLE)
        return sum(self._numbers[place] != 0 for place in sample) > len(sample) * 9 // 10

    def close(self) -> None:
        self._numbers.release()
        self._memory.close()


def make_first(folder: Path) -> None:
    """Make the first table of a new key, so that `Replays` finds it. Raises OSError."""
    _in_file(_file(folder, 1), 1, SIZES[0], os.urandom(16)).close()


def _in_memory(number: int, places: int, salt: bytes) -> _Table:
    memory = mmap.mmap(-1, (_HEAD + places) * _NUMBER)
    memory[: _SALT.stop] = MAGIC + salt
    return _Table(number, memory)


def _in_file(path: Path, number: int, places: int, salt: bytes) -> _Table:
    size = (_HEAD + places) * _NUMBER
    making = path.with_suffix(".new")  # which may be there, of a process that was killed
    descriptor = os.open(making, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
    try:
        # The room is taken now: writing to mapped memory that has no room on the disk would kill
        # the process.
        os.posix_fallocate(descriptor, 0, size)
        memory = mmap.mmap(descriptor, size)
    except OSError:
        making.unlink()
        raise
    finally:
        os.close(descriptor)
    memory[: _SALT.stop] = MAGIC + salt
    making.rename(path)  # no process may find half of it
    return _Table(number, memory)


def _file(folder: Path, number: int) -> Path:
    return folder / f"{number}.tags"


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
