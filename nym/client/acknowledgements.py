"""What this client owes: runs of fragments that it has, to be said to their senders.

Several go into one envelope, so each waits for others: a little where it completes a message, else
longer, since more of it is coming. They are not kept on disk: what is not acknowledged comes again,
and is acknowledged then.
"""

import math
from collections import OrderedDict
from collections.abc import Callable

from nym.envelope import MOST_RUNS, Acknowledgement, Run

MOST_SENDERS = 1000
MOST_WAITING = 1000  # runs for one sender
MORE = 4  # times as long as for a complete message is waited for more of one


class _Owed:
    def __init__(self) -> None:
        self.due = math.inf
        self.runs: dict[Run, None] = {}


class Acknowledgements:
    """Gathers runs for `delay` seconds, or MORE times as long; clock readings are passed in."""

    def __init__(self, own_address: bytes, delay: float) -> None:
        self._own_address = own_address
        self._delay = delay
        self._owed: OrderedDict[bytes, _Owed] = OrderedDict()

    def add(self, sender: bytes, run: Run, now: float, *, is_complete: bool) -> None:
        """The fragments of `run` are safe here; `is_complete`: they are all of a message."""
        if sender not in self._owed and len(self._owed) >= MOST_SENDERS:
            # In front are those who can't be reached; strangers could make up any number of them.
            self._owed.popitem(last=False)
        owed = self._owed.setdefault(sender, _Owed())
        owed.due = min(owed.due, now + self._delay * (1 if is_complete else MORE))
        runs = owed.runs
        if any(_is_within(run, other) for other in runs):
            return
        for other in [o for o in runs if _is_within(o, run)]:
            del runs[other]
        if len(runs) < MOST_WAITING:
            runs[run] = None

    def next(
        self, now: float, is_routable: Callable[[bytes], bool]
    ) -> tuple[bytes, Acknowledgement] | None:
        """(to whom, what) is to be said now, if anything."""
        for sender, owed in self._owed.items():
            is_due = now >= owed.due or len(owed.runs) >= MOST_RUNS
            if is_due and is_routable(sender):
                said = tuple(owed.runs)[:MOST_RUNS]
                for run in said:
                    del owed.runs[run]
                del self._owed[sender]
                if owed.runs:
                    self._owed[sender] = owed  # behind the others
                return sender, Acknowledgement(said, self._own_address)
        return None


def _is_within(run: Run, other: Run) -> bool:
    return (
        run.message_id == other.message_id and other.first <= run.first and run.last <= other.last
    )
