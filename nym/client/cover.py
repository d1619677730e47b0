"""The loop cover stream: messages to oneself, at moments that depend on nothing."""

import time
from random import Random

from nym.client.packets import PacketMaker
from nym.client.sender import Sender
from nym.client.watch import run_schedule
from nym.timing import Poisson
from nym.wire.provider import LOOP_COVER


class LoopCover:
    """One cover message a tick, `mean` seconds apart on average."""

    def __init__(
        self, own_address: bytes, packets: PacketMaker, sender: Sender, mean: float, random: Random
    ) -> None:
        self._own_address = own_address
        self._packets = packets
        self._sender = sender
        self._mean = mean
        self._random = random

    def run(self) -> None:
        """Send cover for ever."""
        run_schedule(Poisson(self._mean, time.monotonic(), self._random), self.tick)

    def tick(self) -> None:
        """Send one cover message, if there is a network to send it through."""
        if self._packets.is_routable(self._own_address):
            self._sender.send(self._packets.make(self._own_address, LOOP_COVER))
