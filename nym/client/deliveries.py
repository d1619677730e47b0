"""All messages that are being sent: what became of packets, and how each message ends.

They take turns (turns.py), so a long message, or a recipient that doesn't answer, holds up nobody
else.

What nobody acknowledges is done once loops have shown that it arrived. That is looked at whenever
one comes back. With a thousand messages a second, those that are done would else fill the outbox.

A message ends in one of three ways: it is done; it is given up, because it is older than the
lifetime or has failed; or it is cancelled. It leaves the outbox first and this list last. If an
error is raised in between, the next look ends it again.
"""

import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Literal

import gevent
from gevent.event import Event

from nym.client.delivery import Delivery, Piece, Stage, Way
from nym.client.reliable import Recipient, Reliable
from nym.client.turns import Turns
from nym.client.unacknowledged import Unacknowledged
from nym.envelope import REPLY_HEAD_LENGTH, Acknowledgement, Run
from nym.net.spell import Spell
from nym.net.watch import run_schedule
from nym.store.outbox import Ends, Manner, Outbox, Outgoing
from nym.timing import Fixed, duration
from nym.wire.answers import MessageProgress
from nym.wire.reports import WaitingMessage

LOOK = 5.0  # seconds between looks for messages that end although no packet of them leaves
MOST_LISTED = 100  # messages in one answer: nothing else runs while it is made
_AT_ONCE = 100  # messages that are looked at before other greenlets have their turn
_MANNERS: dict[Manner, Literal["plain", "anonymous", "reliable"]] = {
    Manner.PLAIN: "plain",
    Manner.SEALED: "anonymous",
    Manner.RELIABLE: "reliable",
}

log = logging.getLogger(__name__)


class Deliveries:
    """The messages of an outbox that are being sent.

    `obstacle` returns what prevents packets between two ends, or None. `way` returns what is known
    about the network. A fragment of a reliable message is sent again if it isn't acknowledged
    within `first_wait` seconds, or within more if its recipient's answers take longer. Messages
    older than `lifetime` seconds are given up; with 0, never.
    """

    def __init__(
        self,
        outbox: Outbox,
        own_address: bytes,
        first_wait: float,
        obstacle: Callable[[Ends], Stage | None],
        way: Callable[[], Way],
        lifetime: float,
    ) -> None:
        self._outbox = outbox
        self._own_address = own_address
        self._first_wait = first_wait
        self._obstacle = obstacle
        self._way = way
        self.lifetime = lifetime
        self._recipients: dict[tuple[bytes, bytes], Recipient] = {}
        self._deliveries: dict[str, Delivery] = {}
        self._turns = Turns(obstacle)
        # Those that wait for loops alone, in the order in which their last pieces were taken.
        self._unproven: OrderedDict[str, Delivery] = OrderedDict()
        self._has_loops = Event()  # a loop has come back, and nobody has looked since

    def run(self) -> None:
        """Look for messages that have ended, for ever."""
        run_schedule(Fixed(LOOK, time.monotonic()), self.look)

    def run_proofs(self) -> None:
        """End messages as soon as loops have shown that they arrived, for ever."""
        while True:
            self._has_loops.wait()
            self._has_loops.clear()
            self.end_proven()

    def loop_returned(self) -> None:
        """Note that a loop came back, which may show what has arrived."""
        self._has_loops.set()

    def next(self, now: float) -> tuple[Delivery, Piece] | None:
        """Return the next piece to send, with its message, or None if nothing is due.

        The caller has to report later whether the piece was taken or refused.
        """
        self._admit()
        return self._turns.next(now, self._way())

    def taken(self, delivery: Delivery, piece: Piece, now: float) -> None:
        """Note that a mixnode took a piece."""
        self._advance(delivery, delivery.taken(piece, now), now)
        self._wake(delivery)
        if delivery.waits_for_loops(self._way()) and delivery.id in self._deliveries:
            self._unproven[delivery.id] = delivery
            self._unproven.move_to_end(delivery.id)

    def refused(self, delivery: Delivery, piece: Piece) -> None:
        """Note that no mixnode took a piece. It is sent again, as a new packet on a new route."""
        delivery.refused(piece)
        self._wake(delivery)

    def acknowledged(self, acknowledgement: Acknowledgement, ends: Ends, now: float) -> None:
        """Note what a recipient says has arrived. Only messages between these ends are affected.

        Each message is handled once, however many runs of it there are: a hostile recipient can
        send many.
        """
        recipient = self._recipients.get(ends.pair)
        if recipient is None:
            return
        by_message: dict[bytes, dict[Run, None]] = {}
        for run in acknowledgement.runs:
            by_message.setdefault(run.message_id, {})[run] = None
        is_new = False
        for message_id, runs in by_message.items():
            delivery = recipient.deliveries.get(message_id.hex())
            if isinstance(delivery, Reliable):
                progress = delivery.acknowledge(runs, now)
                if progress is not None:
                    is_new = True
                    self._advance(delivery, progress, now)
                    self._wake(delivery)
        if is_new and recipient.hear(now) > self._first_wait:
            # What waited for longer because of the silence may be due.
            for delivery in recipient.deliveries.values():
                self._wake(delivery)

    def end_proven(self) -> None:
        """End the messages that loops have shown to be done, as far as is known.

        Loops show it for those that left first, first. So the others aren't asked.
        """
        spell = Spell()
        while self._unproven:
            delivery = next(iter(self._unproven.values()))
            self._advance(delivery, None, time.monotonic())
            if delivery.id in self._unproven:
                if delivery.waits_for_loops(self._way()):
                    return
                # They have shown that it has to be sent again.
                del self._unproven[delivery.id]
                self._wake(delivery)
            spell.rest()

    def look(self) -> None:
        """End messages that are done, have failed or are too old; let others have their turns.

        To end, none needs another packet. What loops have shown since the last look has some sent
        again.
        """
        self._admit()
        given_up: Counter[str] = Counter()
        for delivery in self._in_slices():
            now = time.monotonic()
            self._advance(delivery, None, now)
            if self._deliveries.get(delivery.id) is not delivery:
                continue  # it ended just now, or since it was listed: `_in_slices` lets others run
            if delivery.has_failed or self._is_too_old(delivery) or self._is_cut_off(delivery):
                given_up[self._why(delivery).sentence] += 1
                self._outbox.give_up(delivery.id)
                self._remove(delivery)
            elif delivery.rests_until(now, self._way()) <= now:
                self._turns.give(delivery)
        if given_up:
            # Without their ids, which belong into no log. Applications are told them, and `status`
            # has them.
            why = "; ".join(f"{count} because {reason}" for reason, count in given_up.items())
            log.error("messages that were given up: %d; %s", given_up.total(), why)

    def progress(self, message_id: str) -> MessageProgress | None:
        """Return how far a message has come, or None if it isn't waiting."""
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
        """Return (messages with a number above `after`, oldest first; where the next call goes on).

        The second value is the `after` of the next call, or None if these were the last ones.
        """
        self._admit()
        some = self._outbox.waiting(after, MOST_LISTED)
        deliveries = [self._deliveries[outgoing.id] for outgoing in some]
        listed = [self._described(delivery) for delivery in deliveries]
        return listed, some[-1].number if len(some) == MOST_LISTED else None

    def explain(self, outgoing: Outgoing) -> str:
        """Say why a message waits, and until when. The text can follow a colon."""
        self._admit()
        delivery = self._deliveries.get(outgoing.id)
        why = self._why(delivery).sentence if delivery else Stage.TURN.sentence
        if not self.lifetime:
            return why
        left = max(0.0, self.lifetime - self._outbox.age(outgoing))
        return f"{why}; it is given up in {duration(left)}"

    def cancel(self, ids: Iterable[str]) -> list[str]:
        """Cancel messages, and wait for the disk. Returns the ids of those that waited.

        Packets that have left already can still arrive. Raises StoreError.
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
        """Cancel all messages, or all to one recipient, an address or a tag; see `cancel`."""
        return self.cancel(
            delivery.id
            for delivery in self._in_slices()
            # An address behind a tag is unknown to those who ask.
            if recipient in (None, delivery.ends.tag or delivery.ends.peer)
        )

    def _is_too_old(self, delivery: Delivery) -> bool:
        return 0 < self.lifetime <= self._outbox.age(delivery.outgoing)

    def _is_cut_off(self, delivery: Delivery) -> bool:
        # Only reply addresses end, so nobody is asked about the many others.
        return delivery.ends.is_reply and self._obstacle(delivery.ends) is Stage.EXPIRED

    def _why(self, delivery: Delivery) -> Stage:
        obstacle = self._obstacle(delivery.ends)
        return obstacle or delivery.stage(time.monotonic(), self._way())

    def _described(self, delivery: Delivery) -> WaitingMessage:
        outgoing, why = delivery.outgoing, self._why(delivery)
        age = self._outbox.age(outgoing)
        return WaitingMessage(
            id=outgoing.id,
            recipient=outgoing.to,
            size=len(outgoing.message) - (REPLY_HEAD_LENGTH if outgoing.own else 0),
            manner=_MANNERS[outgoing.manner],
            anonymous_reply=bool(outgoing.own),
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
            recipient = self._recipients.setdefault(outgoing.ends.pair, Recipient())
            delivery = self._begin(outgoing, progress, recipient)
            self._deliveries[delivery.id] = recipient.deliveries[delivery.id] = delivery
            self._turns.give(delivery)

    def _begin(self, outgoing: Outgoing, progress: bytes, recipient: Recipient) -> Delivery:
        if outgoing.manner is Manner.RELIABLE:
            return Reliable(outgoing, progress, recipient, self._own_address, self._first_wait)
        return Unacknowledged(outgoing, progress, self._own_address)

    def _advance(self, delivery: Delivery, progress: bytes | None, now: float) -> None:
        if self._deliveries.get(delivery.id) is not delivery:
            return  # it ended while a piece of it was being handed to the first mixnode
        # If it isn't in the outbox, an error interrupted an earlier ending. It is completed here.
        if delivery.is_done(self._way()) or delivery.id not in self._outbox:
            self._outbox.done(delivery.id)
            self._remove(delivery)
        elif progress is not None:
            self._outbox.note(delivery.id, progress)

    def _wake(self, delivery: Delivery) -> None:
        """Let a message have turns again, unless it has ended."""
        if self._deliveries.get(delivery.id) is delivery:
            self._turns.give(delivery)

    def _remove(self, delivery: Delivery) -> None:
        self._turns.take(delivery)
        self._unproven.pop(delivery.id, None)
        del self._deliveries[delivery.id]
        recipient = self._recipients[delivery.ends.pair]
        del recipient.deliveries[delivery.id]
        if not recipient.deliveries:
            del self._recipients[delivery.ends.pair]

    def _in_slices(self) -> Iterator[Delivery]:
        """Yield all messages, and let other greenlets run after every few."""
        deliveries = iter(list(self._deliveries.values()))
        while some := list(islice(deliveries, _AT_ONCE)):
            yield from some
            gevent.sleep(0)
