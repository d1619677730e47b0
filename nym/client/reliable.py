"""Messages that are sent until their recipient has acknowledged all of them."""

import math
from collections import OrderedDict
from typing import NamedTuple

from nym.client.delivery import Delivery, Piece, Stage, Way
from nym.envelope import Fragment, Run, fragment
from nym.store.outbox import Outgoing

WINDOW = 64  # fragments of a message that wait for their acknowledgement
MOST_DOUBLINGS = 3  # of the wait for an acknowledgement, as long as others come
LONGEST_WAIT = 120.0  # seconds until a fragment is sent again, in the first quarter of an hour
LONGEST_WAIT_SHARE = 1 / 8  # of the recipient's silence, from then on


class Recipient:
    """Somebody who acknowledges what is sent, or is silent; with messages by id, in turn."""

    def __init__(self) -> None:
        self.deliveries: OrderedDict[str, Delivery] = OrderedDict()
        self.heard = -math.inf  # when an acknowledgement came last


class _Attempts(NamedTuple):
    """How often a fragment was taken, and when last.

    Where it was never taken, that is when it had its first turn.
    """

    taken: int
    at: float
    is_under_way: bool


class Reliable(Delivery):
    """A message whose fragments are sent until the recipient has acknowledged them.

    Who completes a message acknowledges it whole. Where parts were acknowledged that together are
    everything, but never the whole, the recipient has given up some of them meanwhile: all of
    them are sent again.
    """

    def __init__(
        self,
        outgoing: Outgoing,
        progress: bytes,
        recipient: Recipient,
        own_address: bytes,
        first_wait: float,
    ) -> None:
        super().__init__(outgoing)
        self._recipient = recipient
        self._own_address = own_address
        self._first_wait = first_wait
        self._attempts: dict[int, _Attempts] = {}  # of fragments that aren't acknowledged
        self._first_attempt = math.inf
        self._is_complete = False
        # A bit for each fragment: what a hostile recipient repeats costs next to nothing.
        self._acknowledged = int.from_bytes(progress, "little")
        self._fresh = 0  # no fragment from here on was sent yet

    def content(self, piece: Piece) -> Fragment:
        """See Delivery."""
        message_id = bytes.fromhex(self.id)
        return fragment(self.outgoing.message, message_id, piece.fragment, self._own_address)

    def next(self, now: float, way: Way) -> Piece | None:
        """See Delivery; whatever the way, as a packet too much costs nothing but its turn."""
        index = min(self._attempts, key=self._due, default=None)
        if index is None or self._due(index) > now:
            if not self._has_turn:
                return None
            index = self._fresh
            self._fresh += 1
        last = self._attempts.get(index, _Attempts(0, now, is_under_way=False))
        self._attempts[index] = last._replace(is_under_way=True)
        return Piece(last.taken, index)

    def taken(self, piece: Piece, now: float) -> bytes | None:
        """See Delivery."""
        if piece.fragment in self._attempts:
            self._first_attempt = min(self._first_attempt, now)
            self._attempts[piece.fragment] = _Attempts(piece.copy + 1, now, is_under_way=False)
        return None

    def refused(self, piece: Piece) -> None:
        """See Delivery."""
        if last := self._attempts.get(piece.fragment):
            self._attempts[piece.fragment] = last._replace(is_under_way=False)

    def acknowledge(self, run: Run) -> bytes | None:
        """The recipient has these fragments; returns the progress if there was any."""
        last = min(run.last, self.count - 1)
        before = self._acknowledged
        self._acknowledged |= (1 << last + 1) - (1 << min(run.first, last + 1))
        self._is_complete |= run.first == 0 and run.last >= self.count - 1
        if self._acknowledged == before:
            return None
        for index in [index for index in self._attempts if self._has(index)]:
            del self._attempts[index]
        if not self.left and not self._is_complete:
            self._acknowledged = self._fresh = 0
        return self._acknowledged.to_bytes((self.count + 7) // 8, "little")

    @property
    def left(self) -> int:
        """See Delivery."""
        return self.count - self._acknowledged.bit_count()

    def is_done(self, way: Way) -> bool:
        """See Delivery."""
        return self._is_complete

    def stage(self, now: float, way: Way) -> Stage:
        """See Delivery."""
        if any(attempts.is_under_way for attempts in self._attempts.values()):
            return Stage.HAND_OVER
        if self._has_turn:
            return Stage.TURN
        is_due = any(self._due(index) <= now for index in self._attempts)
        return Stage.TURN if is_due else Stage.ACKNOWLEDGEMENT

    def _due(self, index: int) -> float:
        taken, at, is_under_way = self._attempts[index]
        if is_under_way:
            return math.inf
        if not taken:
            return at
        wait = self._first_wait * float(1 << min(taken - 1, MOST_DOUBLINGS))
        # To wait as long as nothing was heard doubles the time between attempts.
        silence = at - max(self._recipient.heard, self._first_attempt)
        # That is a packet more for each eighth of the silence: seventy of a fragment in a week.
        longest = max(LONGEST_WAIT, silence * LONGEST_WAIT_SHARE)
        return at + max(self._first_wait, min(longest, max(wait, silence)))

    @property
    def _has_turn(self) -> bool:
        """Whether there is room for a fragment that was never sent."""
        while self._fresh < self.count and self._has(self._fresh):
            self._fresh += 1
        return self._fresh < self.count and len(self._attempts) < WINDOW

    def _has(self, index: int) -> bool:
        return bool(self._acknowledged >> index & 1)
