"""Cover: packets without a message, which nobody on the way can tell from those with one.

Loops go to the client itself, to all its addresses alike. They have a stream of their own, at
random times that do not depend on what the user does. If they are sealed, each has its own id, and
those that come back show how well the network works. Plain loops all have the same text, that of
the published client, so they show nothing.

Drop cover goes to providers, which drop it. It takes the place of messages in the outgoing queue:
a message leaves and doesn't come back, so its cover must not come back, either.
"""

import os
import time
from functools import partial
from random import Random
from typing import NamedTuple

from nym.client.own_addresses import OwnAddresses
from nym.client.packets import PacketMaker
from nym.client.sender import Outcome, Sender
from nym.client.stock import Made, Stock
from nym.client.tempo import Tempo
from nym.client.trial import ProviderTrial
from nym.envelope import ID_LENGTH, Cover, seal_for_nobody
from nym.health import Health
from nym.net.alarm import Alarm
from nym.net.watch import run_stream
from nym.sphinx import nobodys_key
from nym.store.outgoing import Ends
from nym.topology import ProviderNode
from nym.wire.provider import LOOP_COVER

# Seconds, and mean gaps, by which a loop may come before its moment. Nothing of it depends on what
# an application does. But its route should be of this network, and it waits in its own greenlet.
FURTHEST_AHEAD, MEANS_AHEAD = 1.0, 2


class _Loop(NamedTuple):
    """What is known of a loop: its id, and where it goes.

    That is the provider on trial, or else the provider of the address `own`.
    """

    name: bytes
    other: ProviderNode | None
    own: bytes
    provider: ProviderNode | None


class LoopCover:
    """Sends one loop per tick. Ticks are `mean` seconds apart on average."""

    def __init__(
        self,
        own: OwnAddresses,
        packets: PacketMaker,
        sender: Sender,
        health: Health,
        trial: ProviderTrial,
        tempo: Tempo,
        mean: float,
        random: Random,
        *,
        is_sealed: bool,
    ) -> None:
        self._own = own
        self._packets = packets
        self._sender = sender
        self._health = health
        self._trial = trial
        self._tempo = tempo
        self._mean = mean
        self._random = random
        self._is_sealed = is_sealed
        self._stock = Stock(packets, mean, self._draw)
        self.sent = 0

    def run(self, alarm: Alarm) -> None:
        """Send loops for ever. They come early if the alarm rings for another stream."""
        ahead = min(FURTHEST_AHEAD, MEANS_AHEAD * self._mean)
        run_stream(alarm, self._mean, self._random, self.tick, self._tempo, ahead)

    def tick(self, moment: float) -> None:
        """Send one loop at `moment`, if there is a network to send it through."""
        if made := self._stock.take():
            settled = partial(self._settled, made)
            self._sender.send(moment, lambda: made.draft, settled, "loop")

    def _draw(self) -> Made[_Loop] | None:
        other = self._trial.turn()
        own = b"" if other else self._own.draw()
        ends = Ends(own, self._own.address(own))
        if not self._packets.is_routable(ends):
            return None
        name = os.urandom(ID_LENGTH)
        content = Cover(name) if self._is_sealed else LOOP_COVER
        draft = self._packets.draft(ends, content, other)
        return Made(draft, _Loop(name, other, own, self._provider(own)))

    def _settled(self, made: Made[_Loop], outcome: Outcome) -> None:
        # A loop that no mixnode took never entered the network, so its loss would prove nothing.
        if outcome is Outcome.REFUSED:
            return
        self.sent += 1
        draft, loop = made
        if loop.other:
            self._trial.sent(loop.name, loop.other, time.monotonic())
        # Neither would the loss of one that was made for an address, or a provider, of before.
        elif self._is_sealed and _is_as_before(loop.provider, self._provider(loop.own)):
            self._health.sent(loop.name, draft.route, time.monotonic(), draft.delays, loop.own)

    def _provider(self, own: bytes) -> ProviderNode | None:
        return self._own.provider_of(self._own.address(own))


def _is_as_before(before: ProviderNode | None, now: ProviderNode | None) -> bool:
    """Whether packets that were made for a provider still reach it."""
    if before is None or now is None:
        return False
    return (before.address, before.public_key) == (now.address, now.public_key)


class DropCover:
    """Sends packets that providers drop, when the outgoing queue has nothing else to send.

    Each goes to a random provider, for an address that nobody has.
    """

    def __init__(
        self, packets: PacketMaker, sender: Sender, mean: float, *, is_sealed: bool
    ) -> None:
        self._packets = packets
        self._sender = sender
        self._is_sealed = is_sealed
        self._stock = Stock(packets, mean, self._draw)
        self.sent = 0

    def send(self, moment: float) -> None:
        """Send one packet at `moment`, if there is a network to send it through."""
        if made := self._stock.take():
            self._sender.send(moment, lambda: made.draft, self._settled, "drop")

    def _draw(self) -> Made[None] | None:
        provider = self._packets.random_provider()
        if provider is None:
            return None
        # Another address for each packet: a provider could count those that are for one.
        nobody = nobodys_key()
        content = (
            seal_for_nobody(Cover(os.urandom(ID_LENGTH)), nobody) if self._is_sealed else LOOP_COVER
        )
        return Made(self._packets.draft(Ends(b"", nobody), content, provider), None)

    def _settled(self, outcome: Outcome) -> None:
        self.sent += outcome is Outcome.TAKEN
