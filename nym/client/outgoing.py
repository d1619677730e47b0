"""The outgoing queue: one packet per tick, with something that waits to be sent, or with cover.

Acknowledgements and notes go before messages, but none of them takes two turns in a row while
something else waits.
"""

import time
from collections import deque
from collections.abc import Callable
from functools import partial
from random import Random

from nym.client.acknowledgements import Acknowledgements
from nym.client.cover import LoopCover
from nym.client.deliveries import Deliveries
from nym.client.delivery import Delivery, Piece
from nym.client.notes import ProviderNotes
from nym.client.packets import PacketMaker
from nym.client.reliable import Reliable
from nym.client.sender import Outcome, Sender
from nym.envelope import Acknowledgement, Content
from nym.net.watch import run_schedule
from nym.timing import Poisson


class OutgoingQueue:
    """The second Poisson stream, in which messages take the place of cover.

    An observer sees the same stream, whether or not there is anything to send.
    """

    def __init__(
        self,
        deliveries: Deliveries,
        acknowledgements: Acknowledgements,
        notes: ProviderNotes,
        packets: PacketMaker,
        sender: Sender,
        cover: LoopCover,
        mean: float,
        random: Random,
    ) -> None:
        self._deliveries = deliveries
        self._acknowledgements = acknowledgements
        self._notes = notes
        self._packets = packets
        self._sender = sender
        self._cover = cover
        self._mean = mean
        self._random = random
        # What is asked at a tick, in this order. What was sent goes to the end.
        self._turns: deque[Callable[[float], bool]] = deque(
            [self._acknowledge, self._tell, self._send_piece]
        )
        self.sent = 0  # packets that carried something

    def run(self) -> None:
        """Send for ever."""
        run_schedule(Poisson(self._mean, time.monotonic(), self._random), self.tick)

    def tick(self) -> None:
        """Send one packet, if there is a network to send it through."""
        now = time.monotonic()
        # A copy, because each turn that sends something changes the order.
        if not any(turn(now) for turn in tuple(self._turns)):
            self._cover.tick()

    def _acknowledge(self, now: float) -> bool:
        due = self._acknowledgements.next(now, self._packets.is_routable)
        if due is None:
            return False
        recipient, acknowledgement = due
        self._notes.meet(recipient, now)
        self._pass_turn(self._acknowledge)
        self._send(
            recipient,
            lambda: acknowledgement,
            partial(self._settle_acknowledgement, recipient, acknowledgement),
        )
        return True

    def _tell(self, now: float) -> bool:
        due = self._notes.next(now, self._packets.is_routable)
        if due is None:
            return False
        recipient, note = due
        self._pass_turn(self._tell)
        self._send(recipient, lambda: note, self._settle_note)
        return True

    def _send_piece(self, now: float) -> bool:
        due = self._deliveries.next(now)
        if due is None:
            return False
        delivery, piece = due
        if isinstance(delivery, Reliable):
            self._notes.meet(delivery.recipient, now)
        self._pass_turn(self._send_piece)
        self._send(
            delivery.recipient,
            partial(delivery.content, piece),
            partial(self._settle_piece, delivery, piece),
        )
        return True

    def _send(
        self,
        recipient: bytes,
        content: Callable[[], Content | bytes],
        settled: Callable[[Outcome], None],
    ) -> None:
        # The packet is made inside `send`, so that an error in it is reported as a refusal, too.
        self._sender.send(lambda: self._packets.make(recipient, content()), settled)

    def _settle_acknowledgement(
        self, recipient: bytes, acknowledgement: Acknowledgement, outcome: Outcome
    ) -> None:
        if outcome is Outcome.TAKEN:
            self.sent += 1
            return
        # They are still owed. As complete ones, they wait for the shorter time.
        for run in acknowledgement.runs:
            self._acknowledgements.add(recipient, run, time.monotonic(), is_complete=True)

    def _settle_note(self, outcome: Outcome) -> None:
        if outcome is Outcome.TAKEN:
            self.sent += 1

    def _settle_piece(self, delivery: Delivery, piece: Piece, outcome: Outcome) -> None:
        if outcome is Outcome.TAKEN:
            self.sent += 1
            self._deliveries.taken(delivery, piece, time.monotonic())
        else:
            # It is sent again at a later tick, as a new packet on a new route.
            delivery.refused(piece)

    def _pass_turn(self, turn: Callable[[float], bool]) -> None:
        self._turns.remove(turn)
        self._turns.append(turn)
