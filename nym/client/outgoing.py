"""The outgoing queue: one packet per tick, with something that waits to be sent, or with cover.

Acknowledgements, notes and messages have shares of the ticks. A message may also take a tick that
an acknowledgement or a note doesn't need, but never the other way round: whoever is acknowledged
would see in it whether the user is sending.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import cycle
from random import Random
from typing import NamedTuple

from nym.client.acknowledgements import Acknowledgements
from nym.client.cover import DropCover
from nym.client.deliveries import Deliveries
from nym.client.delivery import Delivery, Piece
from nym.client.notes import ProviderNotes
from nym.client.packets import Draft, PacketMaker
from nym.client.reliable import Reliable
from nym.client.sender import Outcome, Sender
from nym.client.tempo import Tempo
from nym.envelope import Acknowledgement, Content
from nym.net.alarm import Alarm
from nym.net.watch import run_stream
from nym.store.outgoing import Ends
from nym.wire.sightings import Carried

ACKNOWLEDGEMENTS_A_NOTE = 3  # so many ticks for acknowledgements, one for a note


class _Due(NamedTuple):
    """What a packet carries, and who is told its outcome."""

    ends: Ends
    content: Callable[[], Content | bytes]
    settled: Callable[[Outcome], None]
    carries: Carried


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
        cover: DropCover,
        tempo: Tempo,
        mean: float,
        random: Random,
    ) -> None:
        self._deliveries = deliveries
        self._acknowledgements = acknowledgements
        self._notes = notes
        self._packets = packets
        self._sender = sender
        self._cover = cover
        self._tempo = tempo
        self._mean = mean
        self._random = random
        # What may take each tick, in this order. Every second one belongs to messages alone.
        message = (self._send_piece,)
        acknowledgement, note = (self._acknowledge, *message), (self._tell, *message)
        self._turns: Iterator[Sequence[Callable[[float], _Due | None]]] = cycle(
            [*[acknowledgement, message] * ACKNOWLEDGEMENTS_A_NOTE, note, message]
        )
        self.sent = 0  # packets that carried something

    def run(self, alarm: Alarm) -> None:
        """Send for ever."""
        run_stream(alarm, self._mean, self._random, self.tick, self._tempo)

    def tick(self, moment: float) -> None:
        """Send one packet at `moment`, if there is a network to send it through."""
        now = time.monotonic()
        for turn in next(self._turns):
            if due := turn(now):
                self._send(moment, due)
                return
        self._cover.send(moment)

    def _acknowledge(self, now: float) -> _Due | None:
        # Drawn, whether or not it owes anything. If the others took its turns, whoever floods one
        # address would see it in the acknowledgements of another one.
        own = self._packets.draw_own()
        due = self._acknowledgements.next(now, self._packets.is_routable, own)
        if due is None:
            return None
        ends, acknowledgement = due
        self._notes.meet(ends, now)
        settled = partial(self._settle_acknowledgement, ends, acknowledgement)
        return _Due(ends, lambda: acknowledgement, settled, "answer")

    def _tell(self, now: float) -> _Due | None:
        due = self._notes.next(now, self._packets.is_routable)
        if due is None:
            return None
        ends, note = due
        return _Due(ends, lambda: note, self._settle_note, "answer")

    def _send_piece(self, now: float) -> _Due | None:
        due = self._deliveries.next(now)
        if due is None:
            return None
        delivery, piece = due
        if isinstance(delivery, Reliable):
            self._notes.meet(delivery.ends, now)
        content = partial(delivery.content, piece)
        settled = partial(self._settle_piece, delivery, piece)
        return _Due(delivery.ends, content, settled, "fragment")

    def _send(self, moment: float, due: _Due) -> None:
        # The draft is made inside `send`, so that an error in it is reported as a refusal, too.
        def draft() -> Draft:
            return self._packets.draft(due.ends, due.content())

        self._sender.send(moment, draft, due.settled, due.carries)

    def _settle_acknowledgement(
        self, ends: Ends, acknowledgement: Acknowledgement, outcome: Outcome
    ) -> None:
        if outcome is Outcome.TAKEN:
            self.sent += 1
            return
        # They are still owed. As complete ones, they wait for the shorter time.
        for run in acknowledgement.runs:
            self._acknowledgements.add(ends, run, time.monotonic(), is_complete=True)

    def _settle_note(self, outcome: Outcome) -> None:
        if outcome is Outcome.TAKEN:
            self.sent += 1

    def _settle_piece(self, delivery: Delivery, piece: Piece, outcome: Outcome) -> None:
        if outcome is Outcome.TAKEN:
            self.sent += 1
            self._deliveries.taken(delivery, piece, time.monotonic())
        else:
            self._deliveries.refused(delivery, piece)
