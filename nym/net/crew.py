"""Greenlets that are used again, for short work that comes thousands of times a second.

For the frames of each new greenlet, CPython takes memory from the system, and gives it back at the
greenlet's end. Together with what gevent does at both, that is a tenth of what a mixnode does for a
packet, and a packet needs two greenlets.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

import gevent

MOST_IDLE = 64  # greenlets that wait for work; each takes some 20 kB


class Crew:
    """Does each piece of work in a greenlet, which then waits for more."""

    def __init__(self) -> None:
        self._idle: list[Any] = []  # greenlets; each is told whether there is more to do
        self._most_idle = MOST_IDLE
        # For each of these, a greenlet was woken or started that hasn't had its turn yet. They
        # aren't arguments of that greenlet, which would keep them in memory to its end.
        self._tasks: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()

    def spawn(self, work: Callable[..., object], *arguments: Any) -> None:
        """Like gevent.spawn: call `work` with the arguments once it is its turn."""
        self._tasks.append((work, arguments))
        if self._idle:
            gevent.get_hub().loop.run_callback(self._idle.pop().switch, True)
        else:
            gevent.spawn(self._run)

    def dismiss(self) -> None:
        """Keep no greenlet that has nothing to do, from now on."""
        self._most_idle = 0
        while self._idle:
            gevent.get_hub().loop.run_callback(self._idle.pop().switch, False)

    def _run(self) -> None:
        own, hub = gevent.getcurrent(), gevent.get_hub()
        has_more = True
        while has_more:
            work, arguments = self._tasks.popleft()
            work(*arguments)
            del work, arguments  # which would be kept in memory
            if len(self._idle) >= self._most_idle:
                return
            self._idle.append(own)
            has_more = hub.switch()
