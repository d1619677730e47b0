"""Hands packets to the first mixnode, each in a greenlet of its own: a slow node holds up none."""

import logging
from collections.abc import Callable

import gevent
from gevent.pool import Pool

from nym.client.packets import Addressed
from nym.client.transport import send_packet
from nym.client.watch import Outage
from nym.errors import UnreachableError

MOST_AT_ONCE = 256
LONGEST_END = 1.0  # seconds

log = logging.getLogger(__name__)


class Sender:
    """All packets of the client leave here, whatever they carry."""

    def __init__(self) -> None:
        self._pool = Pool(MOST_AT_ONCE)
        self._outages: dict[str, Outage] = {}

    def send(self, addressed: Addressed, failed: Callable[[], None] | None = None) -> None:
        """Hand over a packet, soon; `failed` is called where the node did not take it."""
        self._pool.spawn(self._hand_over, addressed, failed)

    def stop(self) -> None:
        """Let what is under way end, but not for long."""
        self._pool.join(LONGEST_END)
        self._pool.kill()

    def _hand_over(self, addressed: Addressed, failed: Callable[[], None] | None) -> None:
        node = str(addressed.first_hop)
        try:
            send_packet(addressed.first_hop, addressed.packet)
        except gevent.GreenletExit:
            if failed:
                failed()
            raise
        except UnreachableError as error:
            outage = Outage(log, f"mixnode {node}", "messages take another route")
            self._outages.setdefault(node, outage).begins(error)
            if failed:
                failed()
        else:
            if node in self._outages:
                self._outages.pop(node).ends()
