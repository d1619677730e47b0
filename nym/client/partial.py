"""A message of which fragments are still missing."""

from bisect import bisect_right

from nym.envelope import Fragment
from nym.store.shares import Holder
from nym.wire.pieces import Message, gather

_BLOCK = 64  # fragments that are joined at a time: less than 58 KiB


class Partial:
    """The fragments of a message that have arrived, and the runs that they form.

    `holder` is the sender whose room the message takes. Fragments are joined block by block, each
    as soon as it is complete. So when the last fragment of a long message arrives, nothing has to
    copy all of it at once, which would hold up the loop.
    """

    __slots__ = ("_begun", "_blocks", "_runs", "count", "holder", "kept", "size", "touched")

    def __init__(self, count: int, holder: Holder) -> None:
        self.count = count
        self.holder = holder
        self.kept = 0  # fragments
        self.size = 0
        self.touched = 0.0
        self._begun: dict[int, dict[int, bytes]] = {}  # incomplete blocks, by number
        self._blocks: dict[int, bytes] = {}  # complete blocks, by number
        self._runs: list[tuple[int, int]] = []  # (first, last) of each run, in order

    def __contains__(self, index: int) -> bool:
        block = index // _BLOCK
        return block in self._blocks or index in self._begun.get(block, ())

    def keep(self, index: int, data: bytes, now: float) -> tuple[int, int]:
        """Add a fragment. Returns (first, last) of the run that contains it now."""
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
        """Return (first, last) of the run that contains this fragment."""
        return self._runs[bisect_right(self._runs, (index, self.count)) - 1]

    def completed_by(self, last: Fragment) -> Message:
        """Return the whole message, of which only this fragment was missing."""
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
