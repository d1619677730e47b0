"""How much waits at the provider, while more comes in than is pulled.

A provider of 0.4 answers each pull with five messages, and fills up what is missing: whether more
waits, it doesn't say. Loops tell, which are mixed evenly among what others send. As many of those
that came lately were loops, so, about, it is with what waits; and how many loops of those that
should be there aren't is known. It doesn't matter in which order the provider hands them over.
Loops that are lost are reckoned off. What began before the first loop left is not known.
"""

from collections import deque
from typing import NamedTuple

from nym.loops import Loops
from nym.wire.requests import BacklogReport

LEAST_LASTING = 10.0  # seconds, or pulls, of answers without room: what is shorter is a burst
WINDOW = 60.0  # seconds that rates are taken from
LEAST_LOOPS = 5  # in it
_ADVICE = "a shorter traffic.fetch_message_delay pulls more"


class _Totals(NamedTuple):
    """What there was, up to then."""

    at: float
    pulled: int = 0
    sent: int = 0
    returned: int = 0


class Backlog:
    """Follows pulls, `period` seconds apart; clock readings are passed in."""

    def __init__(self, loops: Loops, period: float) -> None:
        self._loops = loops
        self._least = LEAST_LASTING * max(1.0, period)
        self._full_since: float | None = None
        self._totals: deque[_Totals] = deque()

    def pulled(self, count: int, now: float, *, is_drained: bool) -> None:
        """A pull brought `count` messages; `is_drained`: nothing else waits."""
        if is_drained:
            self._full_since = None
            self._totals.clear()
            return
        if self._full_since is None:
            self._full_since = now
        pulled = count + (self._totals[-1].pulled if self._totals else 0)
        loops = self._loops
        self._totals.append(_Totals(now, pulled, loops.sent_count, loops.returned_count))
        while now - self._totals[0].at > WINDOW:
            self._totals.popleft()

    def report(self, now: float) -> BacklogReport | None:
        """What is known of what waits; None where nothing does, or it is but a burst."""
        if self._full_since is None or now - self._full_since < self._least:
            return None
        first, last = self._totals[0], self._totals[-1]
        pulled, returned = last.pulled - first.pulled, last.returned - first.returned
        if last.at == first.at:
            return None
        rate = pulled / (last.at - first.at)
        report = BacklogReport(
            lasted=round(now - self._full_since, 1),
            pulled=round(rate, 1),
            messages=None,
            change=None,
            seconds=None,
        )
        if returned >= LEAST_LOOPS:
            kept = 1 - (self._loops.loss(now) or 0.0)
            report["messages"] = round(self._loops.waiting(now) * pulled / returned)
            report["change"] = round(rate * ((last.sent - first.sent) * kept / returned - 1), 1)
            report["seconds"] = round(self._loops.age, 1)
        return report


def describe(report: BacklogReport) -> str:
    """The same as a sentence, with advice."""
    said = [f"more comes in than is pulled, {report['pulled']:g} messages a second"]
    messages, change, seconds = report["messages"], report["change"], report["seconds"]
    if messages is None or change is None or seconds is None:
        said.append("how much waits at the provider isn't known yet")
    else:
        turn = "more" if change >= 0 else "fewer"
        said.append(
            f"about {messages} wait at the provider, {abs(change):g} {turn} each second, and what "
            f"comes now left {seconds:.0f} s ago"
        )
    return "; ".join([*said, _ADVICE])
