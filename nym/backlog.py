"""How much waits at the provider while more comes in than the client pulls (a backlog).

A provider of 0.4 answers each pull with five messages, and fills up with dummies if fewer wait. It
doesn't say whether more wait, or how many. The client's own loops show it, because they are mixed
evenly among what others send. The client knows how many loops should be waiting. The share of loops
among the messages pulled lately is about the share of loops among those that wait. So the number of
messages that wait is about: loops waiting * messages pulled / loops pulled. This holds in whatever
order the provider hands messages over. Loops that were probably lost are subtracted. Messages that
waited before the first loop left can't be counted.
"""

from collections import deque
from typing import NamedTuple

from nym.loops import Loops
from nym.wire.reports import BacklogReport

# Seconds, or pulls if these are further apart, for which each answer has to be full. A shorter time
# is a burst, and no backlog.
LEAST_LASTING = 10.0
WINDOW = 60.0  # seconds over which rates are measured
LEAST_LOOPS = 5  # that have to come back within WINDOW, or the numbers would be guesses
_ADVICE = "to pull more, set a shorter traffic.fetch_message_delay"


class _Totals(NamedTuple):
    """Counts at the time `at`: messages pulled, loops sent, loops returned."""

    at: float
    pulled: int = 0
    sent: int = 0
    returned: int = 0


class Backlog:
    """What waits for all addresses of the client, which are pulled in turn.

    Pulls are `period` seconds apart. Clock readings are passed in.
    """

    def __init__(self, loops: Loops, period: float) -> None:
        self._loops = loops
        self._period = period
        self._queues: dict[bytes, _Queue] = {}

    def pulled(self, count: int, now: float, *, is_drained: bool, own: bytes = b"") -> None:
        """Note that a pull for an address brought `count` messages.

        `is_drained`: nothing more waits for it.
        """
        if is_drained:
            self.forsaken(own)
        else:
            queue = self._queues.setdefault(own, _Queue(self._loops, own, self._period))
            queue.pulled(count, now)

    def forsaken(self, own: bytes) -> None:
        """Note that nothing waits for an address any more."""
        self._queues.pop(own, None)

    def report(self, now: float) -> BacklogReport | None:
        """The backlog; None if nothing waits, or only since a moment ago."""
        all_of_them = {own: queue.report(now) for own, queue in self._queues.items()}
        reports = {own: report for own, report in all_of_them.items() if report is not None}
        if not reports:
            return None
        # Only for the main address is it known how much waits.
        told = reports.get(b"") or next(iter(reports.values()))
        return BacklogReport(
            lasted=max(report["lasted"] for report in reports.values()),
            pulled=round(sum(report["pulled"] for report in reports.values()), 1),
            messages=told["messages"],
            change=told["change"],
            seconds=told["seconds"],
        )


class _Queue:
    """What waits for one address."""

    def __init__(self, loops: Loops, own: bytes, period: float) -> None:
        self._loops = loops
        self._own = own
        self._least = LEAST_LASTING * max(1.0, period)
        self._full_since: float | None = None
        self._totals: deque[_Totals] = deque()

    def pulled(self, count: int, now: float) -> None:
        """Note that a pull brought `count` messages, and more wait."""
        if self._full_since is None:
            self._full_since = now
        pulled = count + (self._totals[-1].pulled if self._totals else 0)
        sent, returned = self._loops.sent_to[self._own], self._loops.returned_to[self._own]
        self._totals.append(_Totals(now, pulled, sent, returned))
        while now - self._totals[0].at > WINDOW:
            self._totals.popleft()

    def report(self, now: float) -> BacklogReport | None:
        """The backlog of this address; None if it began only a moment ago."""
        if self._full_since is None or now - self._full_since < self._least:
            return None
        first, last = self._totals[0], self._totals[-1]
        pulled, returned = last.pulled - first.pulled, last.returned - first.returned
        if last.at == first.at:  # no rate can be computed yet
            return None
        rate = pulled / (last.at - first.at)
        report = BacklogReport(
            lasted=round(now - self._full_since, 1),
            pulled=round(rate, 1),
            messages=None,
            change=None,
            seconds=None,
        )
        # Loops to a reply address don't count while it has a backlog (nym/loops.py).
        if returned >= LEAST_LOOPS and not self._own:
            kept = 1 - (self._loops.loss(now) or 0.0)
            report["messages"] = round(self._loops.waiting(now) * pulled / returned)
            report["change"] = round(rate * ((last.sent - first.sent) * kept / returned - 1), 1)
            report["seconds"] = round(self._loops.age, 1)
        return report


def describe(report: BacklogReport) -> str:
    """The report as a sentence, with advice."""
    said = [f"more comes in than is pulled ({report['pulled']:g} messages per second)"]
    messages, change, seconds = report["messages"], report["change"], report["seconds"]
    if messages is None or change is None or seconds is None:
        said.append("how many messages wait at the provider isn't known yet")
    else:
        turn = "more" if change >= 0 else "fewer"
        said.append(
            f"about {messages} messages wait at the provider, {abs(change):g} {turn} each second, "
            f"and those that arrive now were sent {seconds:.0f} s ago"
        )
    return "; ".join([*said, _ADVICE])
