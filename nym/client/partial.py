"""A message of which fragments are missing."""

from bisect import bisect_right

from nym.envelope import Fragment
from nym.store.shares import Holder
from nym.wire.pieces import Message, gather

_BLOCK = 64  # fragments


class Partial:
    """Pieces of a message, and the runs that they make up; `holder` is who is charged for it.

    Blocks of pieces are joined when they are complete, so that a long message is whole without any
    work on all of it.
    """

    __slots__ = ("_begun", "_blocks", "_runs", "count", "holder", "kept", "size", "touched")

    def __init__(self, count: int, holder: Holder) -> None:
        self.count = count
        self.holder = holder
        self.kept = 0  # pieces
        self.size = 0
        self.touched = 0.0
        self._begun: dict[int, dict[int, bytes]] = {}  # by number of the block
        self._blocks: dict[int, bytes] = {}
        self._runs: list[tuple[int, int]] = []  # (first, last), in order

    def __contains__(self, index: int) -> bool:
        block = index // _BLOCK
        return block in self._blocks or index in self._begun.get(block, ())

    def keep(self, index: int, data: bytes, now: float) -> tuple[int, int]:
        """Add a piece; returns (first, last) of the run that it is in now."""
        self.kept += 1
        self.size += len(data)
        self.touched = now
        number = index // _BLOCK
        block = self._begun.setdefault(number, {})
        block[index] = data
        if len(block) == min(_BLOCK, self.count - number * _BLOCK):
            self._blocks[number] = _joined(self._begun.pop(number))
        return self._join_run(index)

    def run(self, index: int) -> tuple[int, int]:
        """(first, last) of the run that this piece is in."""
        return self._runs[bisect_right(self._runs, (index, self.count)) - 1]

    def completed_by(self, last: Fragment) -> Message:
        """The message, of which this piece alone isn't here."""
        number = last.index // _BLOCK
        block = _joined({**self._begun.get(number, {}), last.index: last.data})
        blocks = {**self._blocks, number: block}
        return gather(blocks[number] for number in range(len(blocks)))

    def _join_run(self, index: int) -> tuple[int, int]:
        at = bisect_right(self._runs, (index, self.count))
        begin = end = at
        first = last = index
        if at > 0 and self._runs[at - 1][1] == index - 1:
            begin, first = at - 1, self._runs[at - 1][0]
        if at < len(self._runs) and self._runs[at][0] == index + 1:
            end, last = at + 1, self._runs[at][1]
        self._runs[begin:end] = [(first, last)]
        return first, last


def _joined(pieces: dict[int, bytes]) -> bytes:
    return b"".join(pieces[index] for index in sorted(pieces))
