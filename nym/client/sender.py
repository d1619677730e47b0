"""Hands packets to their first mixnode, each in a greenlet, so that a slow node delays none.

A packet is made before its moment, and leaves at that moment: what it carries, and how long it took
to make, doesn't show in when it leaves. Those that were drafted in one turn of the event loop are
made together, since that takes less time (docs/protocol/sphinx.md).

The outcome of a packet is reported exactly once, whatever is raised: while the packet is drafted or
made, while it waits for a free greenlet, in the greenlet, or into the greenlet when it is killed.
Unless the packet was certainly taken, it counts as refused. The caller can send a refused piece
again, but could not take back one that it has counted as sent.
"""

import logging
import time
from collections.abc import Callable
from enum import Enum, auto
from itertools import islice

from nym.client.packets import Draft
from nym.errors import OwnFaultError, UnreachableError
from nym.health import Health
from nym.net.alarm import Alarm
from nym.net.crew import Crew
from nym.net.transport import send_packet
from nym.net.watch import Outage
from nym.onlookers import Onlookers
from nym.sphinx import AT_ONCE, create_packets
from nym.topology import Mix
from nym.wire.sightings import Carried

MOST_AT_ONCE = 256  # greenlets; each holds a socket
MOST_IDLE = 8  # of them that wait for another packet
LONGEST_END = 1.0  # seconds that packets under way may take while the client stops
ONLINE = 30.0  # seconds after a packet was taken in which the client's own line counts as working

log = logging.getLogger(__name__)


class Outcome(Enum):
    """What became of a packet."""

    TAKEN = auto()  # a mixnode has taken it
    REFUSED = auto()  # no mixnode has taken it, as far as is known


class _Attempt:
    """One packet, and its outcome: refused, unless it is set to another one before `settle`."""

    def __init__(
        self,
        draft: Draft,
        moment: float,
        settled: Callable[[Outcome], None],
        carries: Carried,
    ) -> None:
        self.request, self.mixnode = draft.request, draft.route[0]
        self.moment = moment
        self.carries = carries
        self.packet = draft.packet
        self.outcome = Outcome.REFUSED
        self._settled: Callable[[Outcome], None] | None = settled

    def settle(self) -> None:
        """Report the outcome. Only the first call does."""
        # Cleared before the call: a callback that raises must not be called a second time.
        settled, self._settled = self._settled, None
        if settled:
            settled(self.outcome)


class Sender:
    """Sends all packets of the client, whatever they carry."""

    def __init__(self, health: Health, onlookers: Onlookers) -> None:
        """Raises OSError without a descriptor for its alarm."""
        self._health = health
        self._onlookers = onlookers
        self._last_taken = -ONLINE  # so that the line doesn't count as working at the start
        self._alarm = Alarm()
        self._crew = Crew(MOST_IDLE, MOST_AT_ONCE, self._settle)
        self._unmade: dict[_Attempt, None] = {}  # in the order in which they were drafted
        self._outages: dict[str, Outage] = {}

    def send(
        self,
        moment: float,
        draft: Callable[[], Draft],
        settled: Callable[[Outcome], None],
        carries: Carried,
    ) -> None:
        """Draft a packet, make it, and hand it over at `moment`, a time of the monotonic clock.

        `settled` is called once, with the outcome.

        What it carries is told to nobody but the user's own onlookers.

        If drafting it or starting its greenlet raises an error, this call raises that, after it has
        called `settled`.
        """
        try:
            attempt = _Attempt(draft(), moment, settled, carries)
        except BaseException:
            settled(Outcome.REFUSED)
            raise
        try:
            if not attempt.packet:
                self._unmade[attempt] = None
            # Waits while MOST_AT_ONCE packets are under way.
            self._crew.spawn(self._hand_over, attempt)
        except BaseException:
            self._settle(attempt)
            raise

    def is_online(self) -> bool:
        """Whether a mixnode took a packet lately, so that the client's own line works."""
        return time.monotonic() - self._last_taken < ONLINE

    def stop(self) -> None:
        """Let packets under way be handed over, but not for long; then give up the others."""
        self._crew.end(LONGEST_END)
        self._alarm.close()

    def _hand_over(self, attempt: _Attempt) -> None:
        try:
            if not attempt.packet:
                self._make(attempt)
            self._alarm.wait_until(attempt.moment)
            # Now, whatever becomes of it: an attempt to connect is what others see first.
            self._onlookers.packet(attempt.mixnode.address, attempt.carries)
            send_packet(attempt.mixnode.address, attempt.packet)
            # Set at once: an error in what follows must not have the packet sent again.
            attempt.outcome = Outcome.TAKEN
            self._works(attempt.mixnode)
        except UnreachableError as error:
            self._fails(attempt.mixnode, error)
        finally:
            self._settle(attempt)

    def _make(self, attempt: _Attempt) -> None:
        """Make this packet, and others with it that nobody has made yet."""
        # Taken out first: whatever goes wrong now ends this one alone.
        del self._unmade[attempt]
        together = [attempt, *islice(self._unmade, AT_ONCE - 1)]
        packets = create_packets([one.request for one in together])
        for one, packet in zip(together, packets, strict=True):
            one.packet = packet
            self._unmade.pop(one, None)

    def _settle(self, attempt: _Attempt) -> None:
        self._unmade.pop(attempt, None)
        attempt.settle()

    def _works(self, mixnode: Mix) -> None:
        self._last_taken = time.monotonic()
        self._health.accepted(mixnode, time.monotonic())
        if outage := self._outages.pop(str(mixnode.address), None):
            outage.ends()

    def _fails(self, mixnode: Mix, error: UnreachableError) -> None:
        node = str(mixnode.address)
        outage = Outage(log, f"mixnode {node}", "messages take another route")
        self._outages.setdefault(node, outage).begins(error)
        # When this machine failed, the node was never asked, so it is not blamed.
        if not isinstance(error, OwnFaultError):
            self._health.refused(mixnode, time.monotonic())
