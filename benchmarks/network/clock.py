"""Simulated time: what has to be done, in the order of its time."""

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Any


class Clock:
    """Calls actions at their times, in seconds. Those of the same time keep their order."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[[Any], None], Any]] = []
        self._numbers = count()

    def at(self, time: float, action: Callable[[Any], None], argument: Any) -> None:
        """Call `action(argument)` at this time, which must not have passed."""
        heappush(self._events, (time, next(self._numbers), action, argument))

    def run(self, until: float) -> None:
        """Do everything that is due before `until`."""
        events = self._events
        while events and events[0][0] < until:
            self.now, _, action, argument = heappop(events)
            action(argument)
        self.now = until
