"""Lets long work pause, so that other greenlets, sockets and timers have their turn.

Packets must leave, and pulls must happen, at times that don't depend on what an application does.
A greenlet that works for 100 ms would delay them, which an observer could see. So no greenlet keeps
the loop for more than a few milliseconds (tests/test_long_messages.py measures it).
"""

import time

import gevent

LONGEST = 0.002  # seconds of work between two rests
# gevent.sleep(0) would let other greenlets run, but not those that wait for sockets or timers: the
# loop looks at these only when it waits itself.
_SHORTEST_SLEEP = 1e-6


class Spell:
    """The work of one greenlet.

    It calls `rest` between pieces of its work, each of which takes far less than LONGEST.
    """

    def __init__(self) -> None:
        self._began = time.perf_counter()

    def rest(self) -> None:
        """Let everything else have its turn, if the last rest was more than LONGEST ago."""
        if time.perf_counter() - self._began > LONGEST:
            gevent.sleep(_SHORTEST_SLEEP)
            self._began = time.perf_counter()
