"""Wakes greenlets at moments of the monotonic clock, exact to a fraction of a millisecond.

gevent's own timers are rounded up to whole milliseconds, because epoll_wait takes no others. So
gaps of less than a millisecond would become none at all, and longer ones would be off by up to one.
At 50 packets per second, whoever watches the line would see from 5,000 gaps that they aren't those
of a Poisson process. The kernel's timers are files, and gevent waits for files without rounding.
"""

import os
import time
from contextlib import suppress
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Self

import gevent
from gevent.hub import Waiter

from nym._timers import open_timer, set_timer

_READ = 1  # the event of libev
_HIGHEST = 2  # its priority: of all that is ready, this goes first
_COUNT = 8  # bytes: how often the timer has expired, which a read takes away
_SECOND = 10**9  # nanoseconds


class Alarm:
    """One timer of the kernel, for any number of greenlets.

    Open inside the block, or until `close`. Raises OSError if there can't be one more timer.
    """

    def __init__(self) -> None:
        self._file = open_timer()
        # Who waits, with the earliest deadline first. The numbers keep those of one deadline in
        # their order. One that was killed stays until its deadline, which then wakes nobody.
        self._waiting: list[tuple[float, int, Waiter[None]]] = []
        self._numbers = count()
        # From when on those of them may be woken that have a leeway. There are few of these.
        self._early: dict[tuple[float, int, Waiter[None]], float] = {}
        self._io = gevent.get_hub().loop.io(self._file, _READ, priority=_HIGHEST)
        self._io.start(self._rings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the timer back, if that wasn't done before. Nobody may be waiting."""
        self._io.close()
        if self._file >= 0:
            os.close(self._file)
        self._file = -1

    def wait_until(self, deadline: float, leeway: float = 0.0) -> None:
        """Let others run until `deadline`. One that has passed is over after their next turn.

        With a leeway, it may be over up to so many seconds earlier: when the alarm rings for
        somebody else. A turn of the event loop takes more than most of what is done in it, because
        the processor's caches are cold.
        """
        waiter: Waiter[None] = Waiter()
        one = (deadline, next(self._numbers), waiter)
        heappush(self._waiting, one)
        if leeway:
            self._early[one] = deadline - leeway
        if self._waiting[0] is one:
            self._set(deadline)
        try:
            waiter.get()
        finally:
            self._early.pop(one, None)

    def _set(self, deadline: float) -> None:
        # Not the moment itself, but how far it is off: whoever looks at a clock decides which one.
        # At 0, the timer would never ring.
        set_timer(self._file, max(1, int((deadline - time.monotonic()) * _SECOND)))

    def _rings(self) -> None:
        # Setting a timer takes away that it has expired. So it may be empty, if it was set after
        # the event loop had seen it.
        with suppress(BlockingIOError):
            os.read(self._file, _COUNT)
        now, over = time.monotonic(), []
        while self._waiting and self._waiting[0][0] <= now:
            one = heappop(self._waiting)
            self._early.pop(one, None)
            over.append(one[2])
        if over:
            over += self._woken_early(now)
        # Before they run: they may wait again, and then the timer is set for the earlier deadline.
        if self._waiting:
            self._set(self._waiting[0][0])
        for waiter in over:
            waiter.switch(None)

    def _woken_early(self, now: float) -> "list[Waiter[None]]":
        early = [one for one, at in self._early.items() if at <= now]
        for one in early:
            del self._early[one]
            self._waiting.remove(one)  # or it would ring for nobody
        if early:
            heapify(self._waiting)
        return [one[2] for one in early]
