"""One message's way out: which fragment is due, what became of it, and when it is over.

An unacknowledged message is handed over fragment by fragment, in as many copies as it takes to
arrive. A reliable one is sent until the recipient says that it has all of it, or nothing has
happened for DEADLINE seconds. Clock readings are passed in.
"""

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from nym.envelope import Fragment, Run, fragment, fragment_count
from nym.store.outbox import Manner, Outgoing

MOST_COPIES = 4
ACCEPTABLE_LOSS = 0.001  # of unacknowledged messages
DEADLINE = 3600.0  # seconds without any progress
LEAST_TURNS = 16  # of one fragment before its message is given up: they may be far between
WINDOW = 64  # fragments of a message that wait for their acknowledgement
MOST_DOUBLINGS = 3  # of the wait for an acknowledgement, as long as others come
LONGEST_WAIT = 120.0  # seconds until a fragment is sent again
_NOTE_EVERY = 64  # fragments


class Delivery(ABC):
    """What is left to be sent of one message."""

    def __init__(self, outgoing: Outgoing) -> None:
        self.id = outgoing.id
        self.recipient = outgoing.recipient
        self._outgoing = outgoing
        is_reliable = outgoing.manner is Manner.RELIABLE
        self.count = (
            1
            if outgoing.manner is Manner.PLAIN
            else fragment_count(len(outgoing.message), reliable=is_reliable)
        )

    @abstractmethod
    def content(self, index: int) -> Fragment | bytes:
        """What the packet with this fragment carries."""

    @abstractmethod
    def next(self, now: float) -> int | None:
        """The fragment to send now, if any, as a number; it is `taken` or `refused` later."""

    @abstractmethod
    def taken(self, index: int, now: float) -> bytes | None:
        """A mixnode took the fragment; returns the progress when it should be noted."""

    @abstractmethod
    def refused(self, index: int) -> None:
        """No mixnode took the fragment."""

    @property
    @abstractmethod
    def left(self) -> int:
        """Fragments that are still to be taken by a mixnode, or to be acknowledged."""

    @property
    @abstractmethod
    def is_done(self) -> bool:
        """Whether nothing is left to be sent."""


class Unacknowledged(Delivery):
    """A plain message, sent once, or an anonymous one, sent in copies.

    `loss` is the share of packets that is lost; None as long as nobody knows, when a message goes
    out once and waits for what will be known.
    """

    def __init__(
        self, outgoing: Outgoing, progress: bytes, loss: Callable[[], float | None]
    ) -> None:
        super().__init__(outgoing)
        self._is_plain = outgoing.manner is Manner.PLAIN
        self._loss = loss
        self._next = int.from_bytes(progress, "big")  # copies are numbered one after another
        self._again: deque[int] = deque()
        self._under_way: set[int] = set()
        self._taken = 0  # since the start

    def content(self, index: int) -> Fragment | bytes:
        """See Delivery."""
        if self._is_plain:
            return self._outgoing.message
        return fragment(self._outgoing.message, bytes.fromhex(self.id), index % self.count)

    def next(self, now: float) -> int | None:
        """See Delivery."""
        if self._again:
            index = self._again.popleft()
        elif not self._is_between_copies or self._are_enough() is False:
            index = self._next
            self._next += 1
        else:
            return None
        self._under_way.add(index)
        return index

    def taken(self, index: int, now: float) -> bytes | None:
        """See Delivery."""
        self._under_way.remove(index)
        self._taken += 1
        if self._taken % _NOTE_EVERY or self.is_done:
            return None
        # What is under way now may be lost with the process: after a start it is sent again, and
        # all that follows it.
        return min([self._next, *self._under_way, *self._again]).to_bytes(4, "big")

    def refused(self, index: int) -> None:
        """See Delivery."""
        self._under_way.remove(index)
        self._again.append(index)

    @property
    def left(self) -> int:
        """See Delivery; of the first copy."""
        pending = sum(index < self.count for index in (*self._under_way, *self._again))
        return max(0, self.count - self._next) + pending

    @property
    def is_done(self) -> bool:
        """See Delivery."""
        is_idle = not self._under_way and not self._again
        return is_idle and self._is_between_copies and self._are_enough() is True

    @property
    def _is_between_copies(self) -> bool:
        return self._next > 0 and self._next % self.count == 0

    def _are_enough(self) -> bool | None:
        """Whether the copies that were begun are all that it takes, if anybody knows."""
        if self._is_plain:
            return True
        loss = self._loss()
        return None if loss is None else self._next >= self.count * copies(loss, self.count)


class Recipient:
    """Somebody who acknowledges what is sent, or is silent."""

    def __init__(self) -> None:
        self.deliveries: deque[Delivery] = deque()
        self.heard = -math.inf  # when an acknowledgement came last


class _Attempts(NamedTuple):
    """How often a fragment had its turn, how often it was taken, and when last.

    Where it was never taken, that is when it had its first turn.
    """

    turns: int
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
        now: float,
    ) -> None:
        super().__init__(outgoing)
        self._recipient = recipient
        self._own_address = own_address
        self._first_wait = first_wait
        self._attempts: dict[int, _Attempts] = {}  # of fragments that aren't acknowledged
        self._first_attempt = math.inf
        self._is_complete = False
        self._begin(progress or bytes((self.count + 7) // 8), now)

    def _begin(self, acknowledged: bytes, now: float) -> None:
        """Send all that isn't in `acknowledged`, a bit each."""
        self._acknowledged = bytearray(acknowledged)
        self._fresh: deque[int] = deque(i for i in range(self.count) if not self._has(i))
        self._left = len(self._fresh)
        self._since = now

    def content(self, index: int) -> Fragment:
        """See Delivery."""
        message_id = bytes.fromhex(self.id)
        return fragment(self._outgoing.message, message_id, index, self._own_address)

    def next(self, now: float) -> int | None:
        """See Delivery."""
        index = min(self._attempts, key=self._due, default=None)
        if index is None or self._due(index) > now:
            if not self._fresh or len(self._attempts) >= WINDOW:
                return None
            index = self._fresh.popleft()
            self._since = now  # until then it waited for its turn
        last = self._attempts.get(index, _Attempts(0, 0, now, is_under_way=False))
        self._attempts[index] = last._replace(turns=last.turns + 1, is_under_way=True)
        return index

    def taken(self, index: int, now: float) -> bytes | None:
        """See Delivery."""
        if index in self._attempts:
            turns, taken, _, _ = self._attempts[index]
            if not taken:
                self._since = now
            self._first_attempt = min(self._first_attempt, now)
            self._attempts[index] = _Attempts(turns, taken + 1, now, is_under_way=False)
        return None

    def refused(self, index: int) -> None:
        """See Delivery."""
        if index in self._attempts:
            self._attempts[index] = self._attempts[index]._replace(is_under_way=False)

    def acknowledge(self, run: Run, now: float) -> bytes | None:
        """The recipient has these fragments; returns the progress if there was any."""
        left = self._left
        for index in range(run.first, min(run.last, self.count - 1) + 1):
            if not self._has(index):
                self._acknowledged[index // 8] |= 1 << index % 8
                self._left -= 1
                self._attempts.pop(index, None)
        self._is_complete |= run.first == 0 and run.last >= self.count - 1
        if self._left == left:
            return None
        if self._fresh and run.first <= self._fresh[-1]:
            self._fresh = deque(i for i in self._fresh if not self._has(i))
        self._since = now
        if not self._left and not self._is_complete:
            self._begin(bytes(len(self._acknowledged)), now)
        return bytes(self._acknowledged)

    def has_failed(self, now: float, *, is_routable: bool) -> bool:
        """Whether nothing has happened for too long, though it was tried, or never could be."""
        turns = max((attempts.turns for attempts in self._attempts.values()), default=0)
        return now - self._since > DEADLINE and (turns >= LEAST_TURNS or not is_routable)

    @property
    def left(self) -> int:
        """See Delivery."""
        return self._left

    @property
    def is_done(self) -> bool:
        """See Delivery."""
        return self._is_complete

    def _due(self, index: int) -> float:
        _, taken, at, is_under_way = self._attempts[index]
        if is_under_way:
            return math.inf
        if not taken:
            return at
        wait = self._first_wait * float(1 << min(taken - 1, MOST_DOUBLINGS))
        # To wait as long as nothing was heard doubles the time between attempts.
        silence = at - max(self._recipient.heard, self._first_attempt)
        return at + max(self._first_wait, min(LONGEST_WAIT, max(wait, silence)))

    def _has(self, index: int) -> bool:
        return bool(self._acknowledged[index // 8] >> index % 8 & 1)


def copies(loss: float, count: int) -> int:
    """How often each of `count` fragments is sent, for ACCEPTABLE_LOSS of messages not to arrive.

    `loss` is the share of packets that is lost, 0 to 1.
    """
    acceptable = ACCEPTABLE_LOSS / count
    if loss <= acceptable:
        return 1
    if loss >= 1:
        return MOST_COPIES
    return min(MOST_COPIES, math.ceil(math.log(acceptable) / math.log(loss)))
