"""Work in spells: long computations let everything else have its turn meanwhile.

Packets leave and pulls happen at moments that must not show what an application does, so nobody
keeps the loop for more than a few milliseconds.
"""

import time

import gevent

LONGEST = 0.002  # seconds of work without a rest
# gevent.sleep(0) lets other greenlets run, but not what waits for sockets or timers.
_SHORTEST_SLEEP = 1e-6


class Spell:
    """The work of one greenlet. Between pieces of it, each well under LONGEST, it calls `rest`."""

    def __init__(self) -> None:
        self._began = time.perf_counter()

    def rest(self) -> None:
        """Let all others have their turn, if the last time was long enough ago."""
        if time.perf_counter() - self._began > LONGEST:
            gevent.sleep(_SHORTEST_SLEEP)
            self._began = time.perf_counter()
