"""Packets that wait for their time at a mixnode, and what is being sent at the moment.

Each packet is a greenlet that hasn't started yet, so that waiting takes no stack. The limits are on
what waits and what is being sent together: a neighbour that doesn't answer holds packets, too.
"""

import time
from collections.abc import Callable

import gevent
from gevent.event import Event
from gevent.pool import Group

from nym.errors import OverloadError

MOST_PACKETS = 20_000  # some 60 MB
_LOOK = 0.05  # seconds between two looks at what is still held


class Delays:
    """Holds packets for their delays."""

    def __init__(self) -> None:
        self._held = Group()

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, delay: float, send: Callable[[], None]) -> None:
        """Call `send` in a greenlet of its own after `delay` seconds.

        Raises OverloadError if there are too many packets already.
        """
        if len(self._held) >= MOST_PACKETS:
            raise OverloadError(f"there are {MOST_PACKETS} packets already")
        greenlet: gevent.Greenlet[..., object] = gevent.Greenlet(send)
        self._held.add(greenlet)
        greenlet.start_later(delay)

    def wait_empty(self, hurry: Event, most: float) -> None:
        """Wait until nothing is held, `hurry` is set, or `most` seconds have passed."""
        until = time.monotonic() + most
        while self._held and not hurry.is_set() and (left := until - time.monotonic()) > 0:
            hurry.wait(min(left, _LOOK))

    def stop(self) -> None:
        """Drop what is held."""
        self._held.kill(block=False)
