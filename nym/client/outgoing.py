"""The outgoing queue: at each tick one packet, with what waits to be sent, else with cover.

Recipients take turns, and so do the messages to each of them: a long message, or somebody who
doesn't answer, holds up nobody else. Acknowledgements go before messages, but never take two turns
in a row from them.
"""

import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from functools import partial
from random import Random

from nym.client.acknowledgements import Acknowledgements
from nym.client.cover import LoopCover
from nym.client.delivery import Delivery, Recipient, Reliable
from nym.client.packets import PacketMaker
from nym.client.sender import Sender
from nym.envelope import Acknowledgement
from nym.net.watch import run_schedule
from nym.store.outbox import Outbox, Outgoing
from nym.timing import Poisson

SWEEP = 5.0  # seconds between looks for messages that are over without another packet

log = logging.getLogger(__name__)


class OutgoingQueue:
    """A second Poisson stream, in which messages take the place of cover."""

    def __init__(
        self,
        outbox: Outbox,
        acknowledgements: Acknowledgements,
        begin: Callable[[Outgoing, bytes, Recipient, float], Delivery],
        packets: PacketMaker,
        sender: Sender,
        cover: LoopCover,
        mean: float,
        random: Random,
    ) -> None:
        self._outbox = outbox
        self._acknowledgements = acknowledgements
        self._begin = begin
        self._packets = packets
        self._sender = sender
        self._cover = cover
        self._mean = mean
        self._random = random
        self._recipients: OrderedDict[bytes, Recipient] = OrderedDict()
        self._deliveries: dict[str, Delivery] = {}
        self._turns: deque[Callable[[float], bool]] = deque(
            [self._acknowledge, self._send_fragment]
        )
        self._swept = 0.0
        self.sent = 0  # packets that carried something

    def run(self) -> None:
        """Send for ever."""
        run_schedule(Poisson(self._mean, time.monotonic(), self._random), self.tick)

    def tick(self) -> None:
        """Send one packet, if there is a network to send it through."""
        now = time.monotonic()
        self._admit(now)
        if now - self._swept >= SWEEP:
            self._swept = now
            self._sweep(now)
        if not any(turn(now) for turn in tuple(self._turns)):
            self._cover.tick()

    def progress(self, message_id: str) -> tuple[int, int] | None:
        """(fragments that are left, all) of a message that is on its way."""
        delivery = self._deliveries.get(message_id)
        return (delivery.left, delivery.count) if delivery else None

    def acknowledged(self, acknowledgement: Acknowledgement, now: float) -> None:
        """Somebody says what has arrived: of theirs, and of nobody else's."""
        if recipient := self._recipients.get(acknowledgement.sender):
            recipient.heard = now
        for run in acknowledgement.runs:
            delivery = self._deliveries.get(run.message_id.hex())
            if isinstance(delivery, Reliable) and delivery.recipient == acknowledgement.sender:
                self._note(delivery, delivery.acknowledge(run, now))

    def _admit(self, now: float) -> None:
        for outgoing, progress in self._outbox.arrivals():
            recipient = self._recipients.setdefault(outgoing.recipient, Recipient())
            delivery = self._begin(outgoing, progress, recipient, now)
            self._deliveries[delivery.id] = delivery
            recipient.deliveries.append(delivery)

    def _sweep(self, now: float) -> None:
        for delivery in list(self._deliveries.values()):
            if not isinstance(delivery, Reliable):
                self._note(delivery, None)  # the copies that left may turn out to be enough
                continue
            is_routable = self._packets.is_routable(delivery.recipient)
            if delivery.has_failed(now, is_routable=is_routable):
                log.error("message %s was not acknowledged in time: given up", delivery.id)
                self._outbox.give_up(delivery.id)
                self._remove(delivery)

    def _acknowledge(self, now: float) -> bool:
        due = self._acknowledgements.next(now, self._packets.is_routable)
        if due is None:
            return False
        recipient, acknowledgement = due
        self._sender.send(
            self._packets.make(recipient, acknowledgement),
            taken=self._count,
            refused=partial(self._owe, recipient, acknowledgement),
        )
        self._pass_turn(self._acknowledge)
        return True

    def _owe(self, recipient: bytes, acknowledgement: Acknowledgement) -> None:
        for run in acknowledgement.runs:
            self._acknowledgements.add(recipient, run, time.monotonic(), is_complete=True)

    def _send_fragment(self, now: float) -> bool:
        due = self._next(now)
        if due is None:
            return False
        delivery, index = due
        # A node that did not take the packet: the fragment goes out again at a later tick, as a
        # new packet on a new route.
        self._sender.send(
            self._packets.make(delivery.recipient, delivery.content(index)),
            taken=lambda: self._taken(delivery, index),
            refused=lambda: delivery.refused(index),
        )
        self._pass_turn(self._send_fragment)
        return True

    def _next(self, now: float) -> tuple[Delivery, int] | None:
        for address, recipient in self._recipients.items():
            if not self._packets.is_routable(address):
                continue
            for delivery in recipient.deliveries:
                index = delivery.next(now)
                if index is not None:
                    recipient.deliveries.remove(delivery)
                    recipient.deliveries.append(delivery)
                    self._recipients.move_to_end(address)
                    return delivery, index
        return None

    def _taken(self, delivery: Delivery, index: int) -> None:
        self._count()
        self._note(delivery, delivery.taken(index, time.monotonic()))

    def _count(self) -> None:
        self.sent += 1

    def _note(self, delivery: Delivery, progress: bytes | None) -> None:
        if delivery.id not in self._deliveries:
            return  # done, or given up, while a fragment was on its way to the first mixnode
        if delivery.is_done:
            self._outbox.done(delivery.id)
            self._remove(delivery)
        elif progress is not None:
            self._outbox.note(delivery.id, progress)

    def _remove(self, delivery: Delivery) -> None:
        del self._deliveries[delivery.id]
        recipient = self._recipients[delivery.recipient]
        recipient.deliveries.remove(delivery)
        if not recipient.deliveries:
            del self._recipients[delivery.recipient]

    def _pass_turn(self, turn: Callable[[float], bool]) -> None:
        self._turns.remove(turn)
        self._turns.append(turn)
