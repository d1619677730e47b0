"""Packets that wait for their time at a mixnode, and what is being sent at the moment.

Each packet is a timer, so that waiting takes no stack. The limits are on what waits and what is
being sent together: a neighbour that doesn't answer holds packets, too.
"""

import time
from collections.abc import Callable
from typing import Any

import gevent
from gevent.event import Event

from nym.errors import OverloadError
from nym.net.crew import Crew

# Seconds. Clients ask for far less. Packets that ask for more have only a part of the places, so
# that nobody can fill a node for minutes with what it forwards in seconds.
LONG = 10.0
SHARE_OF_LONG = 4
_LOOK = 0.05  # seconds between two looks at what is still held


class Delays:
    """Holds packets for their delays."""

    def __init__(self, most: int) -> None:
        self._most = most
        # For each packet its timer, and the greenlet that is sending it.
        self._held: dict[Any, Any] = {}
        self._long: dict[Any, Any] = {}
        self._crew = Crew()

    def __len__(self) -> int:
        return len(self._held) + len(self._long)

    def require_room(self) -> None:
        """Raise OverloadError if there are too many packets already."""
        if len(self) >= self._most:
            raise OverloadError(f"there are {self._most} packets already")

    def hold(self, delay: float, send: Callable[[], None]) -> None:
        """Call `send` in a greenlet after `delay` seconds.

        Raises OverloadError if there are too many packets already.
        """
        self.require_room()
        held = self._long if delay > LONG else self._held
        if held is self._long and len(held) >= self._most // SHARE_OF_LONG:
            raise OverloadError(f"there are too many packets already that wait for {LONG:.0f} s")
        timer = gevent.get_hub().loop.timer(delay)
        held[timer] = None
        timer.start(self._crew.spawn, self._send, held, timer, send)

    def wait_empty(self, hurry: Event, most: float) -> None:
        """Wait until nothing is held, `hurry` is set, or `most` seconds have passed."""
        until = time.monotonic() + most
        while len(self) and not hurry.is_set() and (left := until - time.monotonic()) > 0:
            hurry.wait(min(left, _LOOK))

    def stop(self) -> None:
        """Drop what is held."""
        self._crew.dismiss()
        for held in (self._held, self._long):
            for timer, sender in held.items():
                timer.close()
                if sender is not None:
                    sender.kill(block=False)
            held.clear()

    def _send(self, held: dict[Any, Any], timer: Any, send: Callable[[], None]) -> None:
        if timer not in held:  # dropped after its time, before the turn of this greenlet
            return
        timer.close()
        held[timer] = gevent.getcurrent()
        try:
            send()
        finally:
            held.pop(timer, None)
