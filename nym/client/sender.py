"""Hands packets to the first mixnode, each in a greenlet of its own: a slow node holds up none."""

import logging
from collections.abc import Callable

from gevent.pool import Pool

from nym.client.packets import Addressed
from nym.client.transport import send_packet
from nym.client.watch import Outage
from nym.errors import UnreachableError

MOST_AT_ONCE = 256

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
        """Give up what is under way."""
        self._pool.kill()

    def _hand_over(self, addressed: Addressed, failed: Callable[[], None] | None) -> None:
        node = str(addressed.first_hop)
        try:
            send_packet(addressed.first_hop, addressed.packet)
        except UnreachableError as error:
            self._outages.setdefault(node, Outage(log, f"mixnode {node}")).begins(error)
            if failed:
                failed()
        else:
            if node in self._outages:
                self._outages.pop(node).ends()
