"""Which messages came already, so that none is delivered twice, however long ago it came.

Whoever handled an envelope, as the provider did, can repeat it at any time. So a number of eight
bytes is kept of each message that was complete: a hash of its id and its sender. Each contact has a
memory of its own, which nobody else can fill. All strangers have one together, since keys cost
nothing: with one each, there would have to be a limit on strangers, and made-up ones would reach
that long before their messages fill this. Messages that nobody proves to have sent have a third.

A memory knows the latest million (2**20) at least, which takes 9 MiB. It forgets in generations,
each of which is sorted for lookups. On disk it is in chunks, in the order in which they came.
"""

import os
from array import array
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Container, Iterable
from hashlib import blake2b
from itertools import islice
from struct import Struct
from typing import NamedTuple

from nym.store.journal import Journal
from nym.store.shares import Standing, holder_of

CHUNK = 64  # numbers, which are written anew with each that is added
GENERATION = 1 << 16
GENERATIONS = 17

_KIND = "seen"
_NUMBER = Struct(">Q")


class Key(NamedTuple):
    """What makes a message one: no sender, None if unknown, can use another's ids."""

    sender: bytes | None
    message_id: bytes

    @property
    def name(self) -> str:
        """In hexadecimal. It isn't sealed on disk; the id, which is random, hides the sender."""
        return blake2b(self.message_id + (self.sender or b""), digest_size=16).hexdigest()


class Seen:
    """The messages that came, by their keys."""

    def __init__(self, journal: Journal, contacts: Container[bytes] = ()) -> None:
        self._journal = journal
        self._contacts = contacts
        self._anonymous = _Memory(journal, "anonymous")
        self._strangers = _Memory(journal, "strangers")
        self._own: dict[bytes, _Memory] = {}  # of those that are contacts, or were
        self._restore(journal.take_short(_KIND))

    def __contains__(self, key: Key) -> bool:
        number = _number(key.name)
        if key.sender is None:
            return number in self._anonymous
        own = self._own.get(key.sender, ())
        return number in own or number in self._strangers

    def add(self, key: Key) -> None:
        """It came. That is on disk with the journal's next flush."""
        self._memory(key).add(_number(key.name))

    def take_back(self, key: Key) -> None:
        """The one that was added last did not come after all."""
        self._memory(key).take_back(_number(key.name))

    def _memory(self, key: Key) -> "_Memory":
        if key.sender is None:
            return self._anonymous
        if key.sender not in self._own:
            if holder_of(key.sender, self._contacts).standing is not Standing.CONTACT:
                return self._strangers
            # The disk doesn't show the name of the memory to be anybody's.
            self._own[key.sender] = _Memory(self._journal, os.urandom(8).hex(), key.sender)
        return self._own[key.sender]

    def _restore(self, entries: Iterable[tuple[str, bytes]]) -> None:
        memories = {memory.name: memory for memory in (self._anonymous, self._strangers)}
        earlier = []
        for entry_id, body in entries:
            name, *place = entry_id.split()
            if not place:  # of an earlier version, which had an entry for each message
                earlier.append(entry_id)
                continue
            owner, numbers = body[1 : 1 + body[0]], body[1 + body[0] :]
            if name not in memories:
                memories[name] = self._own[owner] = _Memory(self._journal, name, owner)
            generation, chunk = map(int, place)
            memories[name].restore(generation, chunk, numbers)
        for memory in memories.values():
            memory.sort()
        # Nobody noted which of them had senders.
        for memory in (self._anonymous, self._strangers) if earlier else ():
            memory.add_all(map(_number, earlier))
        for entry_id in earlier:
            self._journal.drop(_KIND, entry_id)


class _Generation:
    def __init__(self, number: int) -> None:
        self.number = number
        self.ordered = array("Q")
        self.chunk = 0
        self.latest = array("Q")  # of that chunk

    def __contains__(self, number: int) -> bool:
        at = bisect_left(self.ordered, number)
        return at < len(self.ordered) and self.ordered[at] == number

    @property
    def is_full(self) -> bool:
        return self.chunk * CHUNK + len(self.latest) >= GENERATION


class _Memory:
    """The latest numbers of those that were added to it; `owner` is the one sender that does."""

    def __init__(self, journal: Journal, name: str, owner: bytes = b"") -> None:
        self._journal = journal
        self.name = name
        self._head = bytes([len(owner)]) + owner
        self._generations = deque([_Generation(0)])

    def __contains__(self, number: int) -> bool:
        return any(number in generation for generation in self._generations)

    def add(self, number: int) -> None:
        generation = self._begun()
        # Asked for first: whatever is raised then, it isn't known here.
        self._write(generation, [*generation.latest, number])
        generation.latest.append(number)
        insort(generation.ordered, number)

    def take_back(self, number: int) -> None:
        generation = self._generations[-1]
        if generation.latest and generation.latest[-1] == number:
            generation.latest.pop()
            del generation.ordered[bisect_left(generation.ordered, number)]
        self._write(generation, generation.latest)

    def add_all(self, numbers: Iterable[int]) -> None:
        """Many at once, each chunk written once."""
        numbers = iter(numbers)
        generation = self._begun()
        while more := list(islice(numbers, CHUNK - len(generation.latest))):
            generation.latest.extend(more)
            generation.ordered.extend(more)
            self._write(generation, generation.latest)
            generation = self._begun()
        self.sort()

    def restore(self, number: int, chunk: int, body: bytes) -> None:
        """A chunk that was on the disk, in the order in which they were written; then `sort`."""
        generation = self._generations[-1]
        if generation.number != number:
            if generation.ordered:
                self._generations.append(_Generation(number))
            generation = self._generations[-1]
            generation.number = number
        generation.chunk = chunk
        generation.latest = array("Q", [number for (number,) in _NUMBER.iter_unpack(body)])
        generation.ordered.extend(generation.latest)

    def sort(self) -> None:
        """Make those that came in order of arrival ready for lookups."""
        for generation in self._generations:
            generation.ordered = array("Q", sorted(generation.ordered))

    def _begun(self) -> _Generation:
        """The generation and chunk that the next number goes into."""
        generation = self._generations[-1]
        if generation.is_full:
            generation = _Generation(generation.number + 1)
            self._generations.append(generation)
            while len(self._generations) > GENERATIONS:
                oldest = self._generations.popleft()
                self._journal.drop_parts(_KIND, f"{self.name} {oldest.number}")
        elif len(generation.latest) >= CHUNK:
            generation.chunk += 1
            generation.latest = array("Q")
        return generation

    def _write(self, generation: _Generation, numbers: Iterable[int]) -> None:
        place = f"{self.name} {generation.number} {generation.chunk}"
        self._journal.put(_KIND, place, self._head + b"".join(map(_NUMBER.pack, numbers)))


def _number(name: str) -> int:
    return int(name[: 2 * _NUMBER.size], 16)
