"""Lets long work pause, so that other greenlets, sockets and timers have their turn.

Packets must leave, and pulls must happen, at times that don't depend on what an application does.
A greenlet that works for 100 ms would delay them, which an observer could see. So no greenlet keeps
the loop for more than a few milliseconds (tests/test_long_messages.py measures it).
"""

import os
import time

import gevent

# Seconds of work between two rests. Packets whose moments are within them leave together after it:
# with 2 ms, whoever watches the line saw from 5,000 gaps that there were too many short ones.
LONGEST = 0.0005
# A file that is always ready, for which a greenlet waits behind all others that can go on. Neither
# would a sleep of 0 do, because the loop looks at sockets and timers only when it waits itself; nor
# the shortest one, for which it waits a whole millisecond if nobody else has anything to do.
_READY = os.eventfd(1, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
_READ, _LOWEST = 1, -2  # an event of libev, and a priority


class Spell:
    """The work of one greenlet.

    It calls `rest` between pieces of its work, each of which takes far less than LONGEST.
    """

    def __init__(self) -> None:
        self._began = time.perf_counter()

    def rest(self) -> None:
        """Let everything else have its turn, if the last rest was more than LONGEST ago."""
        if time.perf_counter() - self._began > LONGEST:
            _let_others_run()
            self._began = time.perf_counter()


def _let_others_run() -> None:
    hub = gevent.get_hub()
    behind = hub.loop.io(_READY, _READ, priority=_LOWEST)
    try:
        hub.wait(behind)
    finally:
        behind.close()
