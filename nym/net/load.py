"""How busy the event loop is: the share of the time in which it doesn't wait for anything.

This is the time of the wall clock. So what other programs take of the processor while this one has
something to do counts as well, and so does a disk that holds up the loop.
"""

import time
from typing import Self

import gevent

# Priorities of libev: after all that happens before it waits, and before all that happens then.
_LAST, _FIRST = -2, 2


class Load:
    """Looks at the event loop, inside the block."""

    def __init__(self) -> None:
        loop = gevent.get_hub().loop
        self._before = loop.prepare(ref=False, priority=_LAST)
        self._after = loop.check(ref=False, priority=_FIRST)
        self._looked = time.monotonic()
        self._waited = 0.0
        self._waits_since: float | None = None

    def __enter__(self) -> Self:
        self._before.start(self._begin_waiting)
        self._after.start(self._end_waiting)
        return self

    def __exit__(self, *_: object) -> None:
        self._before.close()
        self._after.close()

    def look(self) -> tuple[float, float]:
        """The seconds since the last look, and how busy the loop was in them, from 0 to 1."""
        now = time.monotonic()
        seconds, waited = now - self._looked, self._waited
        self._looked, self._waited = now, 0.0
        return seconds, max(0.0, 1 - waited / seconds) if seconds else 0.0

    def _begin_waiting(self) -> None:
        self._waits_since = time.monotonic()

    def _end_waiting(self) -> None:
        if self._waits_since is not None:  # the first time, it had begun before this did
            self._waited += time.monotonic() - self._waits_since
