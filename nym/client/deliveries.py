"""All messages that are on their way: whose turn it is, what became of a packet, and when one ends.

Recipients take turns, and so do the messages to each of them: a long message, or somebody who
doesn't answer, holds up nobody else. A message ends in one of three ways: it is done, given up
because it is older than the lifetime or has failed, or cancelled. It leaves the outbox first and
this list last, so that it is ended again at the next look, whatever is raised in between.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Literal

import gevent

from nym.client.delivery import Delivery, Piece, Stage, Way
from nym.client.reliable import Recipient, Reliable
from nym.client.unacknowledged import Unacknowledged
from nym.envelope import Acknowledgement, Run
from nym.net.watch import run_schedule
from nym.store.outbox import Manner, Outbox, Outgoing
from nym.timing import Fixed, duration
from nym.wire.keys import encode_base58
from nym.wire.requests import MessageProgress, WaitingMessage

LOOK = 5.0  # seconds between looks for messages that are over without another packet
MOST_NAMED = 10  # messages in one line of the log
MOST_LISTED = 100  # in one answer, which holds up everything else
MOST_ASKED = 300  # at a tick: less than a millisecond
_AT_ONCE = 100  # messages that are looked at before others have their turn
_MANNERS: dict[Manner, Literal["plain", "anonymous", "reliable"]] = {
    Manner.PLAIN: "plain",
    Manner.SEALED: "anonymous",
    Manner.RELIABLE: "reliable",
}

log = logging.getLogger(__name__)


class Deliveries:
    """The messages of an outbox, on their way.

    `obstacle` says what keeps packets from being made for a recipient, if anything, and `way`
    what is known of the network. A reliable message is sent again where it isn't acknowledged
    within `first_wait` seconds. What is older than `lifetime` seconds is given up; 0: never.
    """

    def __init__(
        self,
        outbox: Outbox,
        own_address: bytes,
        first_wait: float,
        obstacle: Callable[[bytes], Stage | None],
        way: Callable[[], Way],
        lifetime: float,
    ) -> None:
        self._outbox = outbox
        self._own_address = own_address
        self._first_wait = first_wait
        self._obstacle = obstacle
        self._way = way
        self.lifetime = lifetime
        self._recipients: OrderedDict[bytes, Recipient] = OrderedDict()
        self._deliveries: dict[str, Delivery] = {}

    def run(self) -> None:
        """Look at them for ever."""
        run_schedule(Fixed(LOOK, time.monotonic()), self.look)

    def next(self, now: float) -> tuple[Delivery, Piece] | None:
        """What has its turn, if anything: a piece of a message, to be `taken` or `refused`.

        Of many that only wait, some are asked each time, so that a tick is short.
        """
        self._admit()
        way = self._way()
        left = MOST_ASKED
        for _ in range(min(left, len(self._recipients))):
            address, recipient = next(iter(self._recipients.items()))
            self._recipients.move_to_end(address)
            if self._obstacle(address) is not None:
                continue
            for _ in range(min(left, len(recipient.deliveries))):
                left -= 1
                delivery = next(iter(recipient.deliveries.values()))
                recipient.deliveries.move_to_end(delivery.id)
                piece = delivery.next(now, way)
                if piece is not None:
                    return delivery, piece
        return None

    def taken(self, delivery: Delivery, piece: Piece, now: float) -> None:
        """A mixnode took a piece."""
        self._advance(delivery, delivery.taken(piece, now), now)

    def acknowledged(self, acknowledgement: Acknowledgement, now: float) -> None:
        """A recipient says what has arrived. Only messages to that recipient are affected.

        Each of them is looked at once, however many runs there are of it.
        """
        recipient = self._recipients.get(acknowledgement.sender)
        if recipient is None:
            return
        by_message: dict[bytes, dict[Run, None]] = {}
        for run in acknowledgement.runs:
            by_message.setdefault(run.message_id, {})[run] = None
        for message_id, runs in by_message.items():
            delivery = recipient.deliveries.get(message_id.hex())
            if isinstance(delivery, Reliable):
                progress = delivery.acknowledge(runs, now)
                if progress is not None:
                    recipient.hear(now)
                self._advance(delivery, progress, now)

    def look(self) -> None:
        """End what is over without another packet: for good, or because it took too long."""
        self._admit()
        given_up = []
        for delivery in self._in_slices():
            self._advance(delivery, None, time.monotonic())
            is_over = delivery.has_failed or self._is_too_old(delivery)
            if self._deliveries.get(delivery.id) is delivery and is_over:
                given_up.append(f"{delivery.id} ({self._why(delivery).sentence})")
                self._outbox.give_up(delivery.id)
                self._remove(delivery)
        if given_up:
            more = ", ..." if len(given_up) > MOST_NAMED else ""
            named = ", ".join(given_up[:MOST_NAMED])
            log.error("messages that were given up: %d; %s%s", len(given_up), named, more)

    def progress(self, message_id: str) -> MessageProgress | None:
        """How far a message has come that is on its way."""
        self._admit()
        delivery = self._deliveries.get(message_id)
        if delivery is None or message_id not in self._outbox:
            return None
        return MessageProgress(
            message_id,
            "waiting",
            delivery.left,
            delivery.count,
            self._why(delivery).word,
            self.explain(delivery.outgoing),
        )

    def waiting(self, after: int) -> tuple[list[WaitingMessage], int | None]:
        """(what waits behind number `after` and why, oldest first, the number to go on behind)."""
        self._admit()
        some = self._outbox.waiting(after, MOST_LISTED)
        deliveries = [self._deliveries[outgoing.id] for outgoing in some]
        listed = [self._described(delivery) for delivery in deliveries]
        return listed, some[-1].number if len(some) == MOST_LISTED else None

    def explain(self, outgoing: Outgoing) -> str:
        """Why a message waits, and until when, in half a sentence."""
        self._admit()
        delivery = self._deliveries.get(outgoing.id)
        why = self._why(delivery).sentence if delivery else Stage.TURN.sentence
        if not self.lifetime:
            return why
        left = max(0.0, self.lifetime - self._outbox.age(outgoing))
        return f"{why}; it is given up in {duration(left)}"

    def cancel(self, ids: Iterable[str]) -> list[str]:
        """Take messages back; returns the ids of those that waited. Waits for the disk.

        Packets of them that have left already can arrive. Raises StoreError.
        """
        self._admit()
        cancelled = []
        for message_id in ids:
            if delivery := self._deliveries.get(message_id):
                self._outbox.cancel(message_id)
                self._remove(delivery)
                cancelled.append(message_id)
        self._outbox.flush()
        return cancelled

    def cancel_all(self, recipient: bytes | None) -> list[str]:
        """Take back all messages, or all to one recipient; see `cancel`."""
        return self.cancel(
            delivery.id for delivery in self._in_slices() if recipient in (None, delivery.recipient)
        )

    def _is_too_old(self, delivery: Delivery) -> bool:
        return 0 < self.lifetime <= self._outbox.age(delivery.outgoing)

    def _why(self, delivery: Delivery) -> Stage:
        obstacle = self._obstacle(delivery.recipient)
        return obstacle or delivery.stage(time.monotonic(), self._way())

    def _described(self, delivery: Delivery) -> WaitingMessage:
        outgoing, why = delivery.outgoing, self._why(delivery)
        age = self._outbox.age(outgoing)
        return WaitingMessage(
            id=outgoing.id,
            recipient=encode_base58(outgoing.recipient),
            size=len(outgoing.message),
            manner=_MANNERS[outgoing.manner],
            accepted=round(time.time() - age, 3),
            age=round(age, 3),
            expires=round(max(0.0, self.lifetime - age), 3) if self.lifetime else None,
            left=delivery.left,
            fragments=delivery.count,
            waits_for=why.word,
            why=why.sentence,
        )

    def _admit(self) -> None:
        for outgoing, progress in self._outbox.arrivals():
            recipient = self._recipients.setdefault(outgoing.recipient, Recipient())
            delivery = self._begin(outgoing, progress, recipient)
            self._deliveries[delivery.id] = delivery
            recipient.deliveries[delivery.id] = delivery

    def _begin(self, outgoing: Outgoing, progress: bytes, recipient: Recipient) -> Delivery:
        if outgoing.manner is Manner.RELIABLE:
            return Reliable(outgoing, progress, recipient, self._own_address, self._first_wait)
        return Unacknowledged(outgoing, progress)

    def _advance(self, delivery: Delivery, progress: bytes | None, now: float) -> None:
        if self._deliveries.get(delivery.id) is not delivery:
            return  # over, while a piece of it was on its way to the first mixnode
        if delivery.is_done(self._way()) or delivery.id not in self._outbox:
            self._outbox.done(delivery.id)
            self._remove(delivery)
        elif progress is not None:
            self._outbox.note(delivery.id, progress)

    def _remove(self, delivery: Delivery) -> None:
        del self._deliveries[delivery.id]
        recipient = self._recipients[delivery.recipient]
        del recipient.deliveries[delivery.id]
        if not recipient.deliveries:
            del self._recipients[delivery.recipient]

    def _in_slices(self) -> Iterator[Delivery]:
        """All of them, some at a time, so that many of them hold up nobody."""
        deliveries = iter(list(self._deliveries.values()))
        while some := list(islice(deliveries, _AT_ONCE)):
            yield from some
            gevent.sleep(0)
