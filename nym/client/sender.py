"""Hands packets to their first mixnode, each in its own greenlet, so that a slow node delays none.

A packet is made before its moment, and leaves at that moment: what it carries, and how long it took
to make, doesn't show in when it leaves.

The outcome of a packet is reported exactly once, whatever is raised: while the packet is made,
while it waits for a free greenlet, in the greenlet, or into the greenlet when it is killed. Unless
the packet was certainly taken, it counts as refused. The caller can send a refused piece again, but
could not take back one that it has counted as sent.
"""

import logging
import time
from collections.abc import Callable
from enum import Enum, auto

from gevent import Greenlet
from gevent.pool import Pool

from nym.client.packets import Addressed
from nym.errors import OwnFaultError, UnreachableError
from nym.health import Health
from nym.net.alarm import Alarm
from nym.net.boundary import translated
from nym.net.transport import send_packet
from nym.net.watch import Outage
from nym.onlookers import Onlookers
from nym.wire.sightings import Carried

MOST_AT_ONCE = 256  # greenlets; each holds a socket
LONGEST_END = 1.0  # seconds that packets under way may take while the client stops
ONLINE = 30.0  # seconds after a packet was taken in which the client's own line counts as working

log = logging.getLogger(__name__)


class Outcome(Enum):
    """What became of a packet."""

    TAKEN = auto()  # a mixnode has taken it
    REFUSED = auto()  # no mixnode has taken it, as far as is known


class _Attempt:
    """The outcome of one packet: refused, unless it is set to another one before `settle`."""

    def __init__(self, settled: Callable[[Outcome], None]) -> None:
        self._settled: Callable[[Outcome], None] | None = settled
        self.outcome = Outcome.REFUSED

    def settle(self) -> None:
        """Report the outcome. Only the first call does."""
        # Cleared before the call: a callback that raises must not be called a second time.
        settled, self._settled = self._settled, None
        if settled:
            settled(self.outcome)


class Sender:
    """Sends all packets of the client, whatever they carry."""

    def __init__(self, health: Health, onlookers: Onlookers) -> None:
        self._health = health
        self._onlookers = onlookers
        self._last_taken = -ONLINE  # so that the line doesn't count as working at the start
        self._pool = Pool(MOST_AT_ONCE)
        self._outages: dict[str, Outage] = {}

    def send(
        self,
        moment: float,
        make: Callable[[], Addressed],
        settled: Callable[[Outcome], None],
        carries: Carried,
    ) -> None:
        """Make a packet, and hand it over at `moment`, a time of the monotonic clock.

        `settled` is called once, with the outcome.

        What it carries is told to nobody but the user's own onlookers.

        If making it or starting its greenlet raises an error, this call raises that, after it has
        called `settled`.
        """
        attempt = _Attempt(settled)
        try:
            greenlet: Greenlet[..., object] = Greenlet(
                self._hand_over, moment, make(), attempt, carries
            )
            # A greenlet that is killed before it runs executes none of its code, no `finally`
            # either. But its links are called.
            greenlet.rawlink(lambda ended: attempt.settle())
            # Waits while MOST_AT_ONCE greenlets are running.
            self._pool.start(greenlet)
        except BaseException:
            attempt.settle()
            raise

    def is_online(self) -> bool:
        """Whether a mixnode took a packet lately, so that the client's own line works."""
        return time.monotonic() - self._last_taken < ONLINE

    def stop(self) -> None:
        """Let packets under way be handed over, but not for long; then give up the others."""
        self._pool.join(LONGEST_END)
        self._pool.kill()

    def _hand_over(
        self, moment: float, addressed: Addressed, attempt: _Attempt, carries: Carried
    ) -> None:
        try:
            with translated(addressed.first_hop), Alarm() as alarm:
                alarm.wait_until(moment)
            # Now, whatever becomes of it: an attempt to connect is what others see first.
            self._onlookers.packet(addressed.first_hop, carries)
            send_packet(addressed.first_hop, addressed.packet)
            # Set at once: an error in what follows must not have the packet sent again.
            attempt.outcome = Outcome.TAKEN
            self._works(addressed)
        except UnreachableError as error:
            self._fails(addressed, error)
        finally:
            attempt.settle()

    def _works(self, addressed: Addressed) -> None:
        self._last_taken = time.monotonic()
        self._health.accepted(addressed.route[0], time.monotonic())
        if outage := self._outages.pop(str(addressed.first_hop), None):
            outage.ends()

    def _fails(self, addressed: Addressed, error: UnreachableError) -> None:
        node = str(addressed.first_hop)
        outage = Outage(log, f"mixnode {node}", "messages take another route")
        self._outages.setdefault(node, outage).begins(error)
        # When this machine failed, the node was never asked, so it is not blamed.
        if not isinstance(error, OwnFaultError):
            self._health.refused(addressed.route[0], time.monotonic())
