"""The outgoing queue: at each tick one packet, with a message if one waits, else with cover."""

import time
from random import Random

from nym.client.cover import LoopCover
from nym.client.packets import PacketMaker
from nym.client.sender import Sender
from nym.client.watch import run_schedule
from nym.store import Outbox
from nym.timing import Poisson


class OutgoingQueue:
    """A second Poisson stream, in which messages take the place of cover."""

    def __init__(
        self,
        outbox: Outbox,
        packets: PacketMaker,
        sender: Sender,
        cover: LoopCover,
        mean: float,
        random: Random,
    ) -> None:
        self._outbox = outbox
        self._packets = packets
        self._sender = sender
        self._cover = cover
        self._mean = mean
        self._random = random

    def run(self) -> None:
        """Send for ever."""
        run_schedule(Poisson(self._mean, time.monotonic(), self._random), self.tick)

    def tick(self) -> None:
        """Send one packet, if there is a network to send it through."""
        outgoing = self._outbox.take(lambda waiting: self._packets.is_routable(waiting.recipient))
        if outgoing is None:
            self._cover.tick()
            return
        # A node that did not take the packet: the message goes out again at a later tick, as a
        # new packet on a new route.
        self._sender.send(
            self._packets.make(outgoing.recipient, outgoing.message),
            failed=lambda: self._outbox.give_back(outgoing),
        )
