"""What a node counts, for `status` and for Prometheus; nothing in it says who did anything.

There is one `Counts` for each node. Each part of the node adds its own figures to it, and counts in
them: a count is a number in this process, so that a packet costs next to nothing more. Workers have
their own, which are added when somebody asks.
"""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence

import gevent

from nym import __version__
from nym.errors import (
    DelayTooLongError,
    DescriptorsError,
    InboxFullError,
    MacError,
    NotForThisNodeError,
    OverloadError,
    RemoteError,
    ReplayedError,
    StoreError,
    UnreachableError,
)
from nym.wire import metrics
from nym.wire.metrics import Family, as_object

LAG_PERIOD = 0.5  # seconds between two looks at how late the event loop is
_LAGS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

STOPPED = "stopped"
# The reason for which a packet is dropped, by its error; the first class that fits counts.
_REASONS: dict[type[Exception], str] = {
    MacError: "wrong_mac",
    ReplayedError: "replay",
    NotForThisNodeError: "not_for_this_node",
    DelayTooLongError: "delay_too_long",
    OverloadError: "overload",
    InboxFullError: "inbox_full",
    DescriptorsError: "descriptors",
    UnreachableError: "unreachable",
    StoreError: "storage",
    RemoteError: "malformed",
    Exception: "error",
}
REASONS = (*_REASONS.values(), STOPPED)

# Reasons that are the fault of whoever made the packet.
BAD = frozenset({"wrong_mac", "malformed", "not_for_this_node", "delay_too_long"})


def reason_of(error: Exception) -> str:
    """The reason, one of REASONS, for which this error drops a packet."""
    return next(reason for kind, reason in _REASONS.items() if isinstance(error, kind))


class Count:
    """A number that only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0

    def add(self) -> None:
        """Count one more."""
        self.value += 1


class Histogram:
    """How many values there were up to each bound."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def note(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Counts:
    """The figures of one node. A name is that which Prometheus gets."""

    def __init__(self, role: str) -> None:
        about = {"role": role, "version": __version__}
        self._families: list[Callable[[], Family]] = []
        # The figures of other processes that are this node, too: a list for each.
        self.elsewhere: Callable[[], Iterable[list[Family]]] = tuple
        self._add(lambda: metrics.info("nym_node_info", "What this node is.", about))
        self._lag = self.histogram(
            "nym_node_loop_lag_seconds",
            "How late a timer of the event loop was, looked at twice a second.",
            _LAGS,
        )

    def count(self, name: str, about: str) -> Count:
        """A number that only grows."""
        count = Count()
        self._add(lambda: metrics.counter(name, about, count.value))
        return count

    def kinds(self, name: str, about: str, label: str, words: Sequence[str]) -> dict[str, int]:
        """Such a number for each of the words."""
        values = dict.fromkeys(words, 0)
        self._add(lambda: metrics.counters(name, about, label, values))
        return values

    def histogram(self, name: str, about: str, bounds: Sequence[float]) -> Histogram:
        """How values are distributed."""
        made = Histogram(bounds)
        self._add(lambda: metrics.histogram(name, about, bounds, made.counts, made.total))
        return made

    def gauge(self, name: str, about: str, read: Callable[[], float | None]) -> None:
        """A number that `read` returns whenever somebody wants to know it; None: unknown."""
        self._add(lambda: metrics.gauge(name, about, read()))

    def gauges(
        self, name: str, about: str, label: str, read: Callable[[], Mapping[str, float]]
    ) -> None:
        """Several such numbers, by word."""
        self._add(lambda: metrics.gauges(name, about, label, read()))

    def families(self) -> list[Family]:
        """All figures, for Prometheus."""
        return metrics.total([[family() for family in self._families], *self.elsewhere()])

    def report(self) -> dict[str, object]:
        """All figures, for `status`."""
        return as_object(self.families())

    def keep_noting_lag(self) -> None:
        """Note for ever how late the event loop is: with that, everything is late."""
        while True:
            due = time.monotonic() + LAG_PERIOD
            gevent.sleep(LAG_PERIOD)
            self._lag.note(max(0.0, time.monotonic() - due))

    def _add(self, family: Callable[[], Family]) -> None:
        self._families.append(family)
