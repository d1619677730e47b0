"""Hands packets to the first mixnode, each in a greenlet of its own: a slow node holds up none.

What became of a packet is said exactly once, whatever is raised on the way: while it is made, when
there is no room for another greenlet, in the greenlet, or into it when it is killed. What was not
surely taken counts as refused, since the caller can send it again, and nobody can take back
what was counted as sent.
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
from nym.net.transport import send_packet
from nym.net.watch import Outage

MOST_AT_ONCE = 256
LONGEST_END = 1.0  # seconds
ONLINE = 30.0  # seconds after a packet was taken

log = logging.getLogger(__name__)


class Outcome(Enum):
    """What became of a packet."""

    TAKEN = auto()  # a mixnode has it
    REFUSED = auto()  # no mixnode has it, as far as is known


class _Attempt:
    """A packet's outcome: refused, unless something better is known by the time it is said."""

    def __init__(self, settled: Callable[[Outcome], None]) -> None:
        self._settled: Callable[[Outcome], None] | None = settled
        self.outcome = Outcome.REFUSED

    def settle(self) -> None:
        """Say it, the first time."""
        settled, self._settled = self._settled, None
        if settled:
            settled(self.outcome)


class Sender:
    """All packets of the client leave here, whatever they carry."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self._last_taken = -ONLINE
        self._pool = Pool(MOST_AT_ONCE)
        self._outages: dict[str, Outage] = {}

    def send(self, make: Callable[[], Addressed], settled: Callable[[Outcome], None]) -> None:
        """Make a packet, and hand it over soon; `settled` is called once, with its outcome.

        What is raised while it is made, or begun, is raised here, after `settled` was called.
        """
        attempt = _Attempt(settled)
        try:
            greenlet: Greenlet[..., object] = Greenlet(self._hand_over, make(), attempt)
            # One that is killed before it has begun runs none of its code, no `finally` either.
            greenlet.rawlink(lambda ended: attempt.settle())
            self._pool.start(greenlet)
        except BaseException:
            attempt.settle()
            raise

    def is_online(self) -> bool:
        """Whether a node took a packet lately: what doesn't answer is not our own line then."""
        return time.monotonic() - self._last_taken < ONLINE

    def stop(self) -> None:
        """Let what is under way end, but not for long."""
        self._pool.join(LONGEST_END)
        self._pool.kill()

    def _hand_over(self, addressed: Addressed, attempt: _Attempt) -> None:
        try:
            send_packet(addressed.first_hop, addressed.packet)
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
        if not isinstance(error, OwnFaultError):
            self._health.refused(addressed.route[0], time.monotonic())
