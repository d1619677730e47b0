"""Long bytes in pieces, so that nobody copies, reads or writes 16 MiB in one go.

Code that works through a message takes one piece after the other, and calls `rest` in between, so
that others have their turn.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import TypeVar

PIECE = 48 << 10  # bytes; some tenths of a millisecond, whatever is done with them

Rest = Callable[[], None]


def no_rest() -> None:
    """For callers that hold up nobody."""


class Pieces:
    """Bytes that are kept in pieces, and read like any others: by length, slices, comparison."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self.pieces: Sequence[bytes] = tuple(pieces)
        self._ends = list(accumulate(map(len, self.pieces)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, part: slice) -> bytes:
        """A copy of a part, which should be short."""
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

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{len(self)} bytes in {len(self.pieces)} pieces>"


Message = bytes | Pieces


def gather(pieces: Iterable[bytes]) -> Message:
    """A message of these pieces; where there is one only, it is that."""
    found = [piece for piece in pieces if piece]
    return found[0] if len(found) == 1 else Pieces(found) if found else b""


def cut(message: Message) -> Iterator[bytes]:
    """The pieces of a message."""
    if isinstance(message, Pieces):
        yield from message.pieces
        return
    for start in range(0, len(message), PIECE):
        yield message[start : start + PIECE]


def prefix(head: bytes, message: Message) -> Message:
    """`head`, then the message."""
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
        behind.append(piece[length:])  # the piece itself, mostly
        length = max(0, length - len(piece))
    return head, gather(behind)


Piece = TypeVar("Piece")


def with_last(pieces: Iterable[Piece]) -> Iterator[tuple[Piece, bool]]:
    """(piece, whether it is the last) of each."""
    waiting: list[Piece] = []
    for piece in pieces:
        if waiting:
            yield waiting.pop(), False
        waiting.append(piece)
    if waiting:
        yield waiting.pop(), True
