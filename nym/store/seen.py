"""Remembers which messages have arrived, so that none is delivered twice.

Whoever handled an envelope, such as the provider, can repeat it at any time. So for each complete
message, a number of eight bytes is kept: a hash of its id and its sender. There are four kinds of
memories:

- Each contact has its own, which nobody else can fill.
- So has each reply address of this client, until it ends. If two of its addresses shared one,
  filling it at one of them would have repetitions taken for new messages at the other.
- All strangers share one, because keys cost nothing. If each stranger had its own, there would have
  to be a limit on strangers. Made-up strangers would reach that limit long before their messages
  fill the shared memory.
- All messages without a proven sender share another one.

A memory holds at least the latest million (2**20) numbers, which take 9 MiB. It forgets whole
generations, each of which is sorted for lookups. On disk, it is kept in chunks, in order of
arrival.
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

CHUNK = 64  # numbers in an entry on disk, which is written again with each number that is added
GENERATION = 1 << 16  # numbers that are forgotten together
GENERATIONS = 17  # sixteen full ones are the promised 2**20 numbers, and one is being filled

_KIND = "seen"
_NUMBER = Struct(">Q")


class Key(NamedTuple):
    """Identifies a message. The sender, None if there is no proven one, is a part of the key.

    Otherwise one sender could use the ids of another sender's messages, to have those dropped. And
    so is `own`, the reply address to which the message came, or empty. Otherwise a sender could use
    one id for two addresses, and learn whether they belong to the same client.
    """

    sender: bytes | None
    message_id: bytes
    own: bytes = b""

    @property
    def name(self) -> str:
        """Return a hash in hexadecimal, which is the name of the message on disk.

        Names are not sealed there. But the id in the hash is random, so nobody can test whether a
        name belongs to a sender that they know.
        """
        return blake2b(
            self.message_id + (self.sender or b"") + self.own, digest_size=16
        ).hexdigest()


class Seen:
    """The keys of the messages that have arrived."""

    def __init__(self, journal: Journal, contacts: Container[bytes] = ()) -> None:
        self._journal = journal
        self._contacts = contacts
        self._anonymous = _Memory(journal, "anonymous")
        self._strangers = _Memory(journal, "strangers")
        # Of each sender that is, or was, a contact, and of each reply address.
        self._own: dict[bytes, _Memory] = {}
        self._restore(journal.take_short(_KIND))

    def __contains__(self, key: Key) -> bool:
        number = _number(key.name)
        if key.sender is None:
            return number in self._anonymous
        if key.own:
            return number in self._own.get(key.own, ())
        own = self._own.get(key.sender, ())
        # A contact may have been a stranger when it sent this message.
        return number in own or number in self._strangers

    def add(self, key: Key) -> None:
        """Remember a message. It is on disk after the journal's next flush."""
        self._memory(key).add(_number(key.name))

    def take_back(self, key: Key) -> None:
        """Forget the message that was added last, because it could not be delivered."""
        self._memory(key).take_back(_number(key.name))

    def forget(self, own: bytes) -> None:
        """Forget what came to a reply address, because it has ended."""
        if memory := self._own.pop(own, None):
            memory.forget()

    def _memory(self, key: Key) -> "_Memory":
        if key.sender is None:
            return self._anonymous
        owner = key.own or key.sender
        if owner not in self._own:
            if holder_of(key.sender, self._contacts, key.own).standing is Standing.STRANGER:
                return self._strangers
            # Names are not sealed on disk, so a random one is used: it must not show the owner.
            self._own[owner] = _Memory(self._journal, os.urandom(8).hex(), owner)
        return self._own[owner]

    def _restore(self, entries: Iterable[tuple[str, bytes]]) -> None:
        memories = {memory.name: memory for memory in (self._anonymous, self._strangers)}
        earlier = []
        for entry_id, body in entries:
            name, *place = entry_id.split()
            if not place:  # an earlier version had one entry per message, with its name as the id
                earlier.append(entry_id)
                continue
            owner, numbers = body[1 : 1 + body[0]], body[1 + body[0] :]
            if name not in memories:
                memories[name] = self._own[owner] = _Memory(self._journal, name, owner)
            generation, chunk = map(int, place)
            memories[name].restore(generation, chunk, numbers)
        for memory in memories.values():
            memory.sort()
        # The earlier version didn't note which of these messages had senders, so both memories get
        # all of them.
        for memory in (self._anonymous, self._strangers) if earlier else ():
            memory.add_all(map(_number, earlier))
        for entry_id in earlier:
            self._journal.drop(_KIND, entry_id)


class _Generation:
    """Some of a memory's numbers: all of them sorted, and the latest chunk in order of arrival."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.ordered = array("Q")
        self.chunk = 0
        self.latest = array("Q")  # the numbers of that chunk

    def __contains__(self, number: int) -> bool:
        at = bisect_left(self.ordered, number)
        return at < len(self.ordered) and self.ordered[at] == number

    @property
    def is_full(self) -> bool:
        return self.chunk * CHUNK + len(self.latest) >= GENERATION


class _Memory:
    """The latest numbers that were added; `owner` is the address they belong to, or empty."""

    def __init__(self, journal: Journal, name: str, owner: bytes = b"") -> None:
        self._journal = journal
        self.name = name
        self._head = bytes([len(owner)]) + owner
        self._generations = deque([_Generation(0)])

    def __contains__(self, number: int) -> bool:
        return any(number in generation for generation in self._generations)

    def add(self, number: int) -> None:
        generation = self._begun()
        # Written before it is known in memory: if this raises, the number is in neither.
        self._write(generation, [*generation.latest, number])
        generation.latest.append(number)
        insort(generation.ordered, number)

    def take_back(self, number: int) -> None:
        generation = self._generations[-1]
        if generation.latest and generation.latest[-1] == number:
            generation.latest.pop()
            del generation.ordered[bisect_left(generation.ordered, number)]
        self._write(generation, generation.latest)

    def forget(self) -> None:
        """Delete all numbers from the disk."""
        self._journal.drop_parts(_KIND, self.name)

    def add_all(self, numbers: Iterable[int]) -> None:
        """Add many numbers at once, and write each chunk once."""
        numbers = iter(numbers)
        generation = self._begun()
        while more := list(islice(numbers, CHUNK - len(generation.latest))):
            generation.latest.extend(more)
            generation.ordered.extend(more)
            self._write(generation, generation.latest)
            generation = self._begun()
        self.sort()

    def restore(self, number: int, chunk: int, body: bytes) -> None:
        """Add a chunk from the disk. Chunks must come in the order in which they were written.

        The caller has to call `sort` after the last one.
        """
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
        """Sort the numbers that were added in order of arrival, for lookups."""
        for generation in self._generations:
            generation.ordered = array("Q", sorted(generation.ordered))

    def _begun(self) -> _Generation:
        """Return the generation for the next number, with room in its latest chunk."""
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
