"""Reliable messages, which are sent until their recipient has acknowledged them.

A recipient can acknowledge whatever it likes. So an acknowledgement never takes back progress, and
can cause only a limited number of packets:

- A recipient counts as heard only when it acknowledges something new, and that comes to an end.
- A fragment is waited for as long as the recipient's answers take (round_trip.py), but never for
  less than `first_wait`. So no answer, however quick, has anything sent earlier.
- Each fragment is sent again at its own growing intervals, whatever else is acknowledged. The
  intervals start again when a recipient is heard after a silence. This happens a few times per
  message, and once more for every window of fragments that it has acknowledged.
- A recipient that has completed a message acknowledges the whole message. If it has acknowledged
  all fragments, but never the whole message, it may have lost them. Then all are sent again, in
  another round. The pauses between rounds grow, and after MOST_ROUNDS the message has failed.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

from nym.client.delivery import Delivery, Piece, Stage, Way
from nym.client.round_trip import LONGEST_ANSWER, RoundTrip
from nym.envelope import Run
from nym.store.outbox import Outgoing

# docs/reliability.md, "Reliable messages", has these numbers in words, and what follows from them.
WINDOW = 64  # fragments of one message that wait for an acknowledgement at a time, at most
MOST_DOUBLINGS = 3  # of the wait for an acknowledgement, while the recipient acknowledges others
# Seconds until a fragment is sent again, at most, for the first quarter of an hour. From then on it
# is a share of the fragment's age, or of the recipient's silence.
LONGEST_WAIT = 120.0
WAIT_SHARE = 1 / 8
MOST_RESTARTS = 4  # of the intervals, in addition to those that progress earns
MOST_ROUNDS = 7  # after the first one
ROUND_GROWTH = 4  # how much longer each pause before a round is; the first is `first_wait`
# Fragments that have to be missed until a recipient that is heard is waited for longer. Fewer may
# be lost in a row, even where the network loses half of all packets.
MISSED = 16
# The chance that lost packets alone have all of so many fragments missed that the wait gets longer.
RARE = 0.05


class Recipient:
    """A recipient, its messages by id, and how it answers."""

    def __init__(self) -> None:
        self.deliveries: dict[str, Delivery] = {}
        self.heard = -math.inf  # when it last acknowledged something new
        self.returned = -math.inf  # when it last did so after a silence
        self.round_trip = RoundTrip()

    def hear(self, now: float) -> float:
        """Note that an acknowledgement of the recipient had something new in it.

        Returns for how many seconds there had been none.
        """
        silence = now - self.heard
        if silence > LONGEST_WAIT:
            self.returned = now
        self.heard = now
        self.round_trip.heard(now)
        return silence


class _Attempts(NamedTuple):
    """How often a mixnode took a fragment, and `at` which time it last did.

    `since` is when the fragment had its first turn. If it was never taken, `at` is the same.
    """

    taken: int
    at: float
    since: float
    is_under_way: bool


class Reliable(Delivery):
    """A message whose fragments are sent until the recipient has acknowledged them."""

    def __init__(
        self,
        outgoing: Outgoing,
        progress: bytes,
        recipient: Recipient,
        own_address: bytes,
        first_wait: float,
    ) -> None:
        super().__init__(outgoing, own_address)
        self._recipient = recipient
        self._first_wait = first_wait
        self._attempts: dict[int, _Attempts] = {}  # of fragments that were sent, not acknowledged
        self._first_attempt = math.inf
        self._restarted = -math.inf  # when the intervals last started again
        self._restarts = 0
        self._is_complete = False
        # One bit per fragment, so that handling the repetitions of a hostile recipient is cheap.
        length = (self.count + 7) // 8
        self._acknowledged = int.from_bytes(progress[:length], "little")
        self._round = int.from_bytes(progress[length:], "little")
        self._round_begins = -math.inf
        self._fresh = 0  # the first fragment of those that were never sent in this round
        self._idle_until = -math.inf  # nothing is due before that; see `_is_idle`
        self._idle_since_heard = -math.inf
        self._open_since, self._loss = -math.inf, 0.0  # see Way

    def next(self, now: float, way: Way) -> Piece | None:
        """See Delivery.

        The state of the network stops nothing: a lost packet costs only its turn, and the fragment
        is sent again.
        """
        self._look_at_recipient()
        self._loss = way.loss or 0.0
        if way.open_since != self._open_since:
            self._open_since = way.open_since
            self._recipient.round_trip.forget(way.open_since)
            self._idle_until = -math.inf
        if self._is_idle(now) or now < self._round_begins or self.has_failed:
            return None
        index = min(self._attempts, key=self._due, default=None)
        if index is None or self._due(index) > now:
            if not self._has_turn:
                self._idle_until = math.inf if index is None else self._due(index)
                self._idle_since_heard = self._recipient.heard
                return None
            index = self._fresh
            self._fresh += 1
        last = self._attempts.get(index, _Attempts(0, now, now, is_under_way=False))
        self._attempts[index] = last._replace(is_under_way=True)
        return Piece(last.taken, index)

    def rests_until(self, now: float, way: Way) -> float:
        """See Delivery."""
        if self.has_failed:
            return math.inf
        if self._is_idle(now):
            return self._idle_until
        return self._round_begins

    def taken(self, piece: Piece, now: float) -> bytes | None:
        """See Delivery."""
        self._idle_until = -math.inf
        if last := self._attempts.get(piece.fragment):
            self._first_attempt = min(self._first_attempt, now)
            if last.taken:
                self._miss(last, now)
            self._attempts[piece.fragment] = last._replace(
                taken=piece.copy + 1, at=now, is_under_way=False
            )
        return None

    def refused(self, piece: Piece) -> None:
        """See Delivery."""
        self._idle_until = -math.inf
        if last := self._attempts.get(piece.fragment):
            self._attempts[piece.fragment] = last._replace(is_under_way=False)

    def acknowledge(self, runs: Iterable[Run], now: float) -> bytes | None:
        """Note that the recipient has these fragments. Returns the progress if there was any."""
        before = self._acknowledged
        for run in runs:
            self._is_complete |= run.first == 0 and run.last >= self.count - 1
            # During the pause, acknowledgements are about the round before, whose fragments may be
            # lost. Only one for the whole message counts then.
            if now >= self._round_begins:
                last = min(run.last, self.count - 1)
                self._acknowledged |= (1 << last + 1) - (1 << min(run.first, last + 1))
        if self._acknowledged == before:
            # That the whole message arrived is new, too, so the recipient counts as heard. The
            # message ends now, so there is no progress to store.
            return b"" if self._is_complete else None
        self._idle_until = -math.inf
        for index in [index for index in self._attempts if self._has(index)]:
            self._measure(index, now)
            del self._attempts[index]
        if not self._missing and not self._is_complete:
            self._begin_round(now)
        return self._progress

    @property
    def left(self) -> int:
        """See Delivery."""
        return 0 if self._round else self._missing

    @property
    def has_failed(self) -> bool:
        """See Delivery."""
        return self._round > MOST_ROUNDS

    def is_done(self, way: Way) -> bool:
        """See Delivery."""
        return self._is_complete

    def stage(self, now: float, way: Way) -> Stage:
        """See Delivery."""
        if self.has_failed or now < self._round_begins:
            return Stage.WHOLE
        if any(attempts.is_under_way for attempts in self._attempts.values()):
            return Stage.HAND_OVER
        if self._has_turn:
            return Stage.TURN
        is_due = any(self._due(index) <= now for index in self._attempts)
        return Stage.TURN if is_due else Stage.ACKNOWLEDGEMENT

    def _wait(self, left: float) -> float:
        """How many seconds a fragment that left then is waited for, at least."""
        return self._recipient.round_trip.wait(left, self._first_wait)

    @property
    def _missing(self) -> int:
        return self.count - self._acknowledged.bit_count()

    @property
    def _progress(self) -> bytes:
        acknowledged = self._acknowledged.to_bytes((self.count + 7) // 8, "little")
        return acknowledged + bytes([self._round])

    def _begin_round(self, now: float) -> None:
        # Late answers to this round must not be taken for answers to the next one.
        pause = max(self._wait(now), self._first_wait * float(ROUND_GROWTH**self._round))
        self._round_begins = now + pause
        self._round += 1
        self._acknowledged = self._fresh = 0

    def _is_idle(self, now: float) -> bool:
        """Whether an earlier call of `next` found that nothing is due, and nothing has changed.

        This saves a search over all fragments. A tick asks many messages, and each can have many
        fragments.
        """
        return now < self._idle_until and self._recipient.heard == self._idle_since_heard

    def _look_at_recipient(self) -> None:
        """Start the intervals again if the recipient is back after a silence.

        This happens only a limited number of times: a hostile recipient could otherwise have
        packets sent by falling silent and coming back.
        """
        if self._recipient.returned <= self._restarted:
            return
        earned = self._acknowledged.bit_count() // WINDOW
        if self._restarts < MOST_RESTARTS + earned:
            self._restarts += 1
            self._restarted = self._recipient.returned
            self._idle_until = -math.inf

    def _miss(self, missed: _Attempts, now: float) -> None:
        """Note that a fragment has left again, because its wait was over."""
        recipient, wait = self._recipient, self._wait(missed.at)
        if missed.at >= recipient.heard:
            # The recipient may be away. A long wait would hold up what is lost until it is back.
            longest = min(LONGEST_WAIT, self._first_wait * float(1 << MOST_DOUBLINGS))
            enough = misses_by_loss(self._loss)
            recipient.round_trip.missed(missed.at, now, wait, longest, enough)
        elif missed.taken == 1 and missed.at >= recipient.returned:
            recipient.round_trip.missed(missed.at, now, wait, LONGEST_ANSWER, enough=MISSED)

    def _measure(self, index: int, now: float) -> None:
        """Take the time until a fragment was acknowledged, if it left only once."""
        taken, at, _, is_under_way = self._attempts[index]
        # In a later round, this may be the answer to an earlier one.
        if taken == 1 and not is_under_way and not self._round:
            # If it was to leave again, but hasn't, this client was late, not the recipient.
            self._recipient.round_trip.answered(at, min(now, self._due(index)))

    def _due(self, index: int) -> float:
        taken, at, since, is_under_way = self._attempts[index]
        if is_under_way:
            return math.inf
        if not taken:
            return at
        # A wait of an eighth of the age has the age grow by an eighth per packet. That is about
        # seventy packets per fragment in a week.
        # Time in which no answer could arrive, as while this process was stopped, doesn't count. An
        # eighth of it would keep the message waiting for long when everything works again.
        age = at - max(since, self._restarted, self._open_since)
        wait = self._first_wait * float(1 << min(taken - 1, MOST_DOUBLINGS))
        if age * WAIT_SHARE > LONGEST_WAIT:
            wait = max(wait, age * WAIT_SHARE)
        # A wait as long as the silence so far doubles the time between attempts.
        began = max(self._first_attempt, self._round_begins, self._open_since)
        silence = at - max(self._recipient.heard, began)
        longest = max(LONGEST_WAIT, max(age, silence) * WAIT_SHARE)
        return at + max(self._wait(at), min(longest, max(wait, silence)))

    @property
    def _has_turn(self) -> bool:
        """Whether there is room for a fragment that was never sent."""
        # Skip fragments that are acknowledged already, by finding the lowest zero bit. A search bit
        # by bit would take long in a message of 19,623 fragments.
        rest = self._acknowledged >> self._fresh
        self._fresh += (~rest & (rest + 1)).bit_length() - 1
        return self._fresh < self.count and len(self._attempts) < WINDOW

    def _has(self, index: int) -> bool:
        return bool(self._acknowledged >> index & 1)


def misses_by_loss(loss: float) -> int:
    """How many fragments have to be missed in a row until that is hardly because of lost packets.

    `loss` is the share of packets that is lost, 0 to 1. The result is MISSED at most.
    """
    missed = 1 - (1 - loss) ** 2  # the fragment is lost, or its acknowledgement is
    count = 1
    while count < MISSED and missed**count > RARE:
        count += 1
    return count
