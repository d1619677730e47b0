"""Long bytes in pieces, so that no code copies, reads or writes 16 MiB at once.

Code that works on a message takes one piece after the other, and calls `rest` in between, which
lets other greenlets run. Otherwise, packets would leave late whenever an application sends or
fetches a long message, and anyone who watches the stream could see that.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import AnyStr, TypeVar

PIECE = 48 << 10  # bytes; whatever is done with them takes some tenths of a millisecond

Rest = Callable[[], None]


def no_rest() -> None:
    """A `rest` that does nothing, for callers that hold up nobody."""


class Pieces:
    """Bytes in pieces. They have a length, slices and comparison, as bytes do."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self.pieces: Sequence[bytes] = tuple(pieces)
        self._ends = list(accumulate(map(len, self.pieces)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, part: slice) -> bytes:
        """A copy of a part. It should be short, because copying a long one takes long."""
        start, stop, _ = part.indices(len(self))
        found = []
        number = bisect_right(self._ends, start)
        while start < stop:
            before = self._ends[number] - len(self.pieces[number])
            found.append(self.pieces[number][start - before : stop - before])
            start = self._ends[number]
            number += 1
        return b"".join(found)

    def __bytes__(self) -> bytes:
        return b"".join(self.pieces)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, bytes | Pieces) and bytes(self) == bytes(other)

    # Bytes of the same content would need the same hash, and computing it would take long.
    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self)} bytes in {len(self.pieces)} pieces>"


Message = bytes | Pieces


def gather(pieces: Iterable[bytes]) -> Message:
    """A message of these pieces, without empty ones. A single piece stays plain bytes."""
    found = [piece for piece in pieces if piece]
    return found[0] if len(found) == 1 else Pieces(found) if found else b""


def cut(message: Message) -> Iterator[bytes]:
    """The pieces of a message; plain bytes are cut into pieces of PIECE bytes."""
    if isinstance(message, Pieces):
        yield from message.pieces
        return
    for start in range(0, len(message), PIECE):
        yield message[start : start + PIECE]


def prefix(head: bytes, message: Message) -> Message:
    """The message with `head` before it."""
    if not head:
        return message
    if isinstance(message, Pieces):
        return Pieces((head, *message.pieces))
    return head + message


def split(message: Message, length: int) -> tuple[bytes, Message]:
    """(the first `length` bytes, all that follows)."""
    head = message[:length]
    if not isinstance(message, Pieces):
        return head, message[length:]
    behind = []
    for piece in message.pieces:
        behind.append(piece[length:])  # most slices are whole pieces, which aren't copied
        length = max(0, length - len(piece))
    return head, gather(behind)


def joined(pieces: Iterable[AnyStr]) -> Iterator[AnyStr]:
    """The same bytes or text in fewer, longer pieces: each one costs a write."""
    held: list[AnyStr] = []
    length = 0
    for piece in pieces:
        held.append(piece)
        length += len(piece)
        if length >= PIECE:
            yield piece[:0].join(held)
            held, length = [], 0
    if held:
        yield held[0][:0].join(held)


Piece = TypeVar("Piece")


def with_last(pieces: Iterable[Piece]) -> Iterator[tuple[Piece, bool]]:
    """(piece, whether it is the last one) for each piece."""
    # Iterators don't say whether more comes, so each piece is held until the next one is there.
    waiting: list[Piece] = []
    for piece in pieces:
        if waiting:
            yield waiting.pop(), False
        waiting.append(piece)
    if waiting:
        yield waiting.pop(), True
