"""Hands packets to the first mixnode, each in a greenlet of its own: a slow node holds up none."""

import logging
import time
from collections.abc import Callable

import gevent
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


def _do_nothing() -> None:
    pass


class Sender:
    """All packets of the client leave here, whatever they carry."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self._last_taken = -ONLINE
        self._pool = Pool(MOST_AT_ONCE)
        self._outages: dict[str, Outage] = {}

    def send(
        self,
        addressed: Addressed,
        taken: Callable[[], None] = _do_nothing,
        refused: Callable[[], None] = _do_nothing,
    ) -> None:
        """Hand over a packet, soon; one of the two is called when the node took it, or did not."""
        self._pool.spawn(self._hand_over, addressed, taken, refused)

    def is_online(self) -> bool:
        """Whether a node took a packet lately: what doesn't answer is not our own line then."""
        return time.monotonic() - self._last_taken < ONLINE

    def stop(self) -> None:
        """Let what is under way end, but not for long."""
        self._pool.join(LONGEST_END)
        self._pool.kill()

    def _hand_over(
        self, addressed: Addressed, taken: Callable[[], None], refused: Callable[[], None]
    ) -> None:
        node = str(addressed.first_hop)
        try:
            send_packet(addressed.first_hop, addressed.packet)
        except gevent.GreenletExit:
            refused()
            raise
        except UnreachableError as error:
            outage = Outage(log, f"mixnode {node}", "messages take another route")
            self._outages.setdefault(node, outage).begins(error)
            if not isinstance(error, OwnFaultError):
                self._health.refused(addressed.route[0], time.monotonic())
            refused()
        else:
            self._last_taken = time.monotonic()
            self._health.accepted(addressed.route[0], time.monotonic())
            taken()
            if node in self._outages:
                self._outages.pop(node).ends()
