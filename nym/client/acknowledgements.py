"""Acknowledgements that the client still has to send: runs of fragments that it has stored.

Several runs fit into one envelope, so each waits for others. A run that completes a message waits a
short time. Any other run waits longer, because more of its message is coming. Acknowledgements are
not kept on disk: a fragment that isn't acknowledged comes again, and is acknowledged then.
"""

import math
from collections import OrderedDict
from collections.abc import Callable

from nym.envelope import MOST_RUNS, Acknowledgement, Run
from nym.store.outgoing import Ends

MOST_SENDERS = 1000  # to whom one own address owes something at a time
MOST_WAITING = 1000  # runs for one sender
MORE = 4  # a run that completes no message waits so many times as long as one that does


class _Owed:
    """The runs to acknowledge to one sender, in order, and when they are due."""

    def __init__(self) -> None:
        self.due = math.inf
        self.runs: dict[Run, None] = {}


class Acknowledgements:
    """Collects runs for `delay` seconds, or MORE times as long. Clock readings are passed in."""

    def __init__(self, own_address: bytes, delay: float) -> None:
        self._own_address = own_address
        self._delay = delay
        self._owed: OrderedDict[Ends, _Owed] = OrderedDict()

    def add(self, ends: Ends, run: Run, now: float, *, is_complete: bool) -> None:
        """Add a run of fragments that are on disk. `is_complete`: it is the whole message."""
        if ends not in self._owed and len(self._owed) >= MOST_SENDERS:
            # Senders that can't be reached gather in front, because others get their turn and move
            # behind them. Strangers can make up any number of unreachable senders. They must not
            # push out what another address of this client owes.
            alike = [other for other in self._owed if other.own == ends.own]
            if len(alike) >= MOST_SENDERS:
                del self._owed[alike[0]]
        owed = self._owed.setdefault(ends, _Owed())
        owed.due = min(owed.due, now + self._delay * (1 if is_complete else MORE))
        runs = owed.runs
        # A run that is a part of another one says nothing new, and would only take room.
        if any(_is_within(run, other) for other in runs):
            return
        for other in [o for o in runs if _is_within(o, run)]:
            del runs[other]
        if len(runs) < MOST_WAITING:
            runs[run] = None

    def forsake(self, own: bytes) -> None:
        """Forget what a reply address owes, because it has ended: nobody can be told from it."""
        for ends in [ends for ends in self._owed if ends.own == own]:
            del self._owed[ends]

    def next(
        self, now: float, is_routable: Callable[[Ends], bool], own: bytes = b""
    ) -> tuple[Ends, Acknowledgement] | None:
        """Return (from where to where, acknowledgement) if `own` has one to send now, or None."""
        for ends, owed in self._owed.items():
            if ends.own != own:
                continue
            is_due = now >= owed.due or len(owed.runs) >= MOST_RUNS
            if is_due and is_routable(ends):
                said = tuple(owed.runs)[:MOST_RUNS]
                for run in said:
                    del owed.runs[run]
                del self._owed[ends]
                if owed.runs:
                    self._owed[ends] = owed  # behind the others, so that senders take turns
                return ends, Acknowledgement(said, ends.own or self._own_address)
        return None


def _is_within(run: Run, other: Run) -> bool:
    return (
        run.message_id == other.message_id and other.first <= run.first and run.last <= other.last
    )
