"""The loop cover stream: cover packets that the client sends to itself.

They leave at random times that do not depend on what the user does. If loops are sealed, each has
its own id, and those that come back show how well the network works. Plain loops all have the same
text, that of the published client, so they show nothing.
"""

import os
import time
from collections.abc import Sequence
from functools import partial
from random import Random

from nym.client.packets import PacketMaker
from nym.client.sender import Outcome, Sender
from nym.client.trial import ProviderTrial
from nym.envelope import ID_LENGTH, Cover
from nym.health import Health
from nym.net.watch import run_schedule
from nym.timing import Poisson
from nym.topology import Mix, ProviderNode
from nym.wire.provider import LOOP_COVER


class LoopCover:
    """Sends one loop per tick. Ticks are `mean` seconds apart on average."""

    def __init__(
        self,
        own_address: bytes,
        packets: PacketMaker,
        sender: Sender,
        health: Health,
        trial: ProviderTrial,
        mean: float,
        random: Random,
        *,
        is_sealed: bool,
    ) -> None:
        self._own_address = own_address
        self._packets = packets
        self._sender = sender
        self._health = health
        self._trial = trial
        self._mean = mean
        self._random = random
        self._is_sealed = is_sealed
        self.sent = 0

    def run(self) -> None:
        """Send loops for ever."""
        run_schedule(Poisson(self._mean, time.monotonic(), self._random), self.tick)

    def tick(self) -> None:
        """Send one loop, if there is a network to send it through."""
        if not self._packets.is_routable(self._own_address):
            return
        loop = os.urandom(ID_LENGTH)
        content = Cover(loop) if self._is_sealed else LOOP_COVER
        other = self._trial.turn()
        addressed = self._packets.make(self._own_address, content, other)
        self._sender.send(lambda: addressed, partial(self._settled, loop, addressed.route, other))

    def _settled(
        self, loop: bytes, route: Sequence[Mix], other: ProviderNode | None, outcome: Outcome
    ) -> None:
        # A loop that no mixnode took never entered the network, so its loss would prove nothing.
        if outcome is Outcome.REFUSED:
            return
        self.sent += 1
        if other:
            self._trial.sent(loop, other, time.monotonic())
        elif self._is_sealed:
            self._health.sent(loop, route, time.monotonic())
