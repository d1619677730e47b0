"""Greenlets that are used again, for short work that comes thousands of times a second.

For the frames of each new greenlet, CPython takes memory from the system, and gives it back at the
greenlet's end. Together with what gevent does at both, that is a tenth of what a mixnode does for a
packet, and a packet needs two greenlets.
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import gevent
from gevent.hub import Waiter

MOST_IDLE = 64  # greenlets that wait for work; each takes some 20 kB


class Crew:
    """Does each piece of work in a greenlet, which then waits for more."""

    def __init__(self) -> None:
        self._idle: list[Waiter[bool]] = []  # each is told whether there is more to do
        self._most_idle = MOST_IDLE
        # For each of these, a greenlet was woken or started that hasn't had its turn yet. They
        # aren't arguments of that greenlet, which would keep them in memory to its end.
        self._tasks: deque[Callable[[], object]] = deque()

    def spawn(self, work: Callable[..., object], *arguments: Any) -> None:
        """Like gevent.spawn: call `work` with the arguments once it is its turn."""
        self._tasks.append(partial(work, *arguments))
        if self._idle:
            self._wake(True)
        else:
            gevent.spawn(self._run)

    def dismiss(self) -> None:
        """Keep no greenlet that has nothing to do, from now on."""
        self._most_idle = 0
        while self._idle:
            self._wake(False)

    def _wake(self, has_more: bool) -> None:
        gevent.get_hub().loop.run_callback(self._idle.pop().switch, has_more)

    def _run(self) -> None:
        has_more = True
        while has_more:
            self._tasks.popleft()()
            if len(self._idle) >= self._most_idle:
                return
            waiter: Waiter[bool] = Waiter()
            self._idle.append(waiter)
            has_more = waiter.get()
