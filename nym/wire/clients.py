"""Lists of providers' clients (docs/protocol/directory.md, "Lists by digest").

A list can have a million addresses, so it is one block of bytes, not a million objects, and is
known by its digest: what is named in this way is neither sent nor read again. A list that has
changed is sent as the changes since another one:

    size of the other one 4 | its SHA-256 32 | number removed 4 | removed 32 each | added 32 each

A whole list is the changes since the empty one. There is one form for each list and each change.
"""

import hashlib
import re
import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence, Set
from functools import cached_property
from itertools import pairwise
from struct import Struct
from typing import NamedTuple, Self

from nym.errors import RemoteFormatError
from nym.wire.sizes import KEY_LENGTH

MOST_CLIENTS = 1_000_000  # in one list
_HEAD = Struct(">I32sI")
_DIGEST = re.compile("(0|[1-9][0-9]{0,6})-([0-9a-f]{64})")
_PREFIX = 8  # bytes of an address that are compared first


class Digest(NamedTuple):
    """Names a list: how many addresses it has, and SHA-256 over all of them in their order."""

    size: int
    sha256: bytes

    def __str__(self) -> str:
        return f"{self.size}-{self.sha256.hex()}"


def parse_digest(text: str) -> Digest:
    """The digest in `SIZE-HEX`. Raises RemoteFormatError."""
    match = _DIGEST.fullmatch(text)
    if match is None or int(match[1]) > MOST_CLIENTS:
        raise RemoteFormatError("not the digest of a list of clients")
    return Digest(int(match[1]), bytes.fromhex(match[2]))


class AddressList(Set[bytes]):
    """Addresses of 32 bytes, each once and in ascending order; `packed` has them without gaps.

    It never changes. Lists are long: what isn't a lookup is work for a thread.
    """

    def __init__(self, packed: bytes = b"") -> None:
        """`packed` has to be in order; `unpack` checks that."""
        self.packed = packed

    @classmethod
    def of(cls, addresses: Iterable[bytes]) -> Self:
        """The list of these addresses, in any order."""
        # By their first bytes, because no thread has its turn while one long list is sorted.
        shelves: list[set[bytes]] = [set() for _ in range(256)]
        for address in addresses:
            shelves[address[0]].add(address)
        return cls(b"".join(b"".join(sorted(shelf)) for shelf in shelves))

    @classmethod
    def _from_iterable(cls, it: Iterable[bytes]) -> Self:  # type: ignore[override]
        """See collections.abc.Set: what is made of two sets is a list, too."""
        return cls.of(it)

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """The list with these bytes. Raises RemoteFormatError if they aren't in order."""
        addresses = cls(packed)
        if len(packed) % KEY_LENGTH or not all(one < other for one, other in pairwise(addresses)):
            raise RemoteFormatError("a list of clients isn't in order")
        return addresses

    @cached_property
    def digest(self) -> Digest:
        """What names this list."""
        return Digest(len(self), hashlib.sha256(self.packed).digest())

    def prepared(self) -> Self:
        """The list itself, once all is made that lookups and comparisons need: for a thread."""
        _ = self.digest, self._prefixes
        return self

    @cached_property
    def whole(self) -> bytes:
        """The list as the changes since the empty one, made once for all that ask for it."""
        return Changes(EMPTY.digest, EMPTY, self).encode()

    def __len__(self) -> int:
        return len(self.packed) // KEY_LENGTH

    def __iter__(self) -> Iterator[bytes]:
        packed = self.packed
        return (packed[at : at + KEY_LENGTH] for at in range(0, len(packed), KEY_LENGTH))

    def __contains__(self, address: object) -> bool:
        if not isinstance(address, bytes) or len(address) != KEY_LENGTH:
            return False
        return self._at(self._place(address)) == address

    def __eq__(self, other: object) -> bool:
        return self.packed == other.packed if isinstance(other, AddressList) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.packed)

    def __repr__(self) -> str:
        return f"AddressList({self.digest})"

    def without(self, other: "AddressList") -> "AddressList":
        """The addresses that aren't in the other list."""
        # Most shelves are usually the same. And of one large set, a garbage collection would look
        # at all members, while no other thread has its turn.
        left: list[bytes] = []
        for mine, theirs in zip(self._shelves(), other._shelves(), strict=True):
            if mine.packed != theirs.packed:
                there = set(theirs)
                left += [address for address in mine if address not in there]
        return AddressList(b"".join(left))

    def _shelves(self) -> Iterator["AddressList"]:
        """The addresses with each first byte."""
        begin = 0
        for first in range(1, 256):
            end = self._place(bytes([first]).ljust(KEY_LENGTH, b"\0")) * KEY_LENGTH
            yield AddressList(self.packed[begin:end])
            begin = end
        yield AddressList(self.packed[begin:])

    def changed(self, removed: "AddressList", added: "AddressList") -> "AddressList":
        """The list with changes. Raises RemoteFormatError unless each of them changes it."""
        if not self and not removed:
            return added  # whole lists come in this way, so it is a short one
        parts, done = [], 0
        for address in sorted({*removed, *added}):
            place = self._place(address)
            is_here = self._at(place) == address
            if is_here is not (address in removed) or is_here is (address in added):
                raise RemoteFormatError("a change to a list of clients changes nothing")
            parts += [self.packed[done : place * KEY_LENGTH], b"" if is_here else address]
            done = (place + is_here) * KEY_LENGTH
        return AddressList(b"".join([*parts, self.packed[done:]]))

    def _at(self, place: int) -> bytes:
        return self.packed[place * KEY_LENGTH : (place + 1) * KEY_LENGTH]

    def _place(self, address: bytes) -> int:
        """Where the address is, or where it would have to be."""
        prefix = int.from_bytes(address[:_PREFIX], "big")
        low = bisect_left(self._prefixes, prefix)
        same = range(low, bisect_right(self._prefixes, prefix, low))
        # Somebody could choose many addresses with one prefix, so they are bisected, too.
        return low + bisect_left(same, address, key=self._at)

    @cached_property
    def _prefixes(self) -> Sequence[int]:
        """The beginnings of all addresses, as numbers: among them, a search runs in C alone."""
        prefixes = array("Q")
        step = KEY_LENGTH // _PREFIX
        prefixes.frombytes(memoryview(self.packed).cast("Q")[::step].tobytes())
        if sys.byteorder == "little":
            prefixes.byteswap()
        return prefixes


EMPTY = AddressList()


class Changes(NamedTuple):
    """How another list comes from the one with the digest `since`."""

    since: Digest
    removed: AddressList
    added: AddressList

    def apply(self, before: AddressList) -> AddressList:
        """The other list. Raises RemoteFormatError if `before` isn't the one that it comes from."""
        if before.digest != self.since:
            raise RemoteFormatError("the changes are to another list of clients")
        return before.changed(self.removed, self.added)

    def encode(self) -> bytes:
        """The changes as bytes."""
        head = _HEAD.pack(self.since.size, self.since.sha256, len(self.removed))
        return b"".join((head, self.removed.packed, self.added.packed))


def changes_between(before: AddressList, after: AddressList) -> Changes:
    """What leads from one list to the other."""
    return Changes(before.digest, before.without(after), after.without(before))


def decode_changes(data: bytes) -> Changes:
    """The changes in these bytes. Raises RemoteFormatError."""
    if len(data) < _HEAD.size:
        raise RemoteFormatError("changes to a list of clients break off")
    size, sha256, count = _HEAD.unpack_from(data)
    begin = _HEAD.size + count * KEY_LENGTH
    if begin > len(data):
        raise RemoteFormatError("changes to a list of clients break off")
    removed, added = AddressList.unpack(data[_HEAD.size : begin]), AddressList.unpack(data[begin:])
    return Changes(Digest(size, sha256), removed, added)


def read_list(data: bytes, before: AddressList, digest: Digest) -> tuple[Changes, AddressList]:
    """The changes in these bytes, and the list with this digest, to which they lead.

    They lead there from `before`, or from the empty list. Raises RemoteFormatError.
    """
    changes = decode_changes(data)
    clients = changes.apply(EMPTY if changes.since == EMPTY.digest else before)
    if clients.digest != digest:
        raise RemoteFormatError("a list of clients doesn't have the digest by which it is named")
    return changes, clients.prepared()


def longest_changes(since: Digest, to: Digest) -> int:
    """How many bytes the changes from one list to the other can have."""
    return _HEAD.size + (since.size + to.size) * KEY_LENGTH
