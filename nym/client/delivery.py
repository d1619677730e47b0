"""One message's way out: which piece of it is due, what became of it, and when it is over.

An unacknowledged message is handed over fragment by fragment, in as many copies as it takes to
arrive. A reliable one is sent until the recipient says that it has all of it. How long that may
take is not decided here. Clock readings are passed in.
"""

import math
from abc import ABC, abstractmethod
from collections import OrderedDict, deque
from collections.abc import Callable
from enum import Enum, auto
from typing import NamedTuple

from nym.envelope import Fragment, Run, fragment, fragment_count
from nym.store.outbox import Manner, Outgoing

MOST_COPIES = 4
ACCEPTABLE_LOSS = 0.001  # of unacknowledged messages
WINDOW = 64  # fragments of a message that wait for their acknowledgement
MOST_DOUBLINGS = 3  # of the wait for an acknowledgement, as long as others come
LONGEST_WAIT = 120.0  # seconds until a fragment is sent again, in the first quarter of an hour
LONGEST_WAIT_SHARE = 1 / 8  # of the recipient's silence, from then on
_NOTE_EVERY = 64  # fragments


class Way(NamedTuple):
    """What the client's own loops say of the way through the network (nym/loops.py).

    `loss` is the share of packets to reckon with, None where it isn't known yet. `is_dead`: nothing
    comes back, for whatever reason. `was_carried` says whether what left at a moment had a way
    through, None where that isn't known yet. That both aren't known has a bound there, so that
    whoever floods a client doesn't hold up its messages.
    """

    loss: float | None
    is_dead: bool = False
    was_carried: Callable[[float], bool | None] = lambda at: True


class Piece(NamedTuple):
    """What one packet carries of a message: a fragment of it, and which copy of that."""

    copy: int  # 0 is the first
    fragment: int


class Stage(Enum):
    """What a message that isn't done waits for: a word for programs, a sentence for people."""

    NETWORK = "network", "no network is known yet"
    REGISTRATION = "registration", "this client isn't registered at a provider yet"
    RECIPIENT = "recipient", "the directory lists no client with the recipient's address"
    TURN = "turn", "it waits for its turn"
    HAND_OVER = "hand_over", "a packet of it is being handed to a mixnode"
    LOOPS = "loops", "nothing that this client sends to itself comes back, so it would be lost, too"
    KNOWLEDGE = "loss", "it has left; whether that was enough shows when loops have come back"
    ACKNOWLEDGEMENT = "acknowledgement", "the recipient hasn't acknowledged it yet"

    def __init__(self, word: str, sentence: str) -> None:
        self.word = word
        self.sentence = sentence


class Delivery(ABC):
    """What is left to be sent of one message."""

    def __init__(self, outgoing: Outgoing) -> None:
        self.id = outgoing.id
        self.recipient = outgoing.recipient
        self.outgoing = outgoing
        is_reliable = outgoing.manner is Manner.RELIABLE
        self.count = (
            1
            if outgoing.manner is Manner.PLAIN
            else fragment_count(len(outgoing.message), reliable=is_reliable)
        )

    @abstractmethod
    def content(self, piece: Piece) -> Fragment | bytes:
        """What the packet with this piece carries."""

    @abstractmethod
    def next(self, now: float, way: Way) -> Piece | None:
        """The piece to send now, if any; it is `taken` or `refused` later, once."""

    @abstractmethod
    def taken(self, piece: Piece, now: float) -> bytes | None:
        """A mixnode took the piece; returns the progress when it should be noted."""

    @abstractmethod
    def refused(self, piece: Piece) -> None:
        """No mixnode took the piece."""

    @property
    @abstractmethod
    def left(self) -> int:
        """Fragments that are still to be taken by a mixnode, or to be acknowledged."""

    @abstractmethod
    def is_done(self, way: Way) -> bool:
        """Whether nothing is left to be sent."""

    @abstractmethod
    def stage(self, now: float, way: Way) -> Stage:
        """What it waits for."""


class _Copies(Enum):
    """Whether the copies that have left are all that it takes."""

    ENOUGH = auto()
    TOO_FEW = auto()
    UNKNOWN = auto()


class Unacknowledged(Delivery):
    """A plain message, sent once, or an anonymous one, sent in copies.

    As long as nobody knows how much is lost, an anonymous message goes out once and waits for what
    will be known. While nothing comes back, nothing goes out: it would be spent. What had left when
    nothing was carried any more, before that was noticed, goes out again. So a message isn't done
    before loops have shown that what left when its last piece did was carried.
    """

    def __init__(self, outgoing: Outgoing, progress: bytes) -> None:
        super().__init__(outgoing)
        self._is_plain = outgoing.manner is Manner.PLAIN
        self._next = Piece(*divmod(int.from_bytes(progress, "big"), self.count))
        self._again: deque[Piece] = deque()
        self._under_way: set[Piece] = set()
        self._unproven: dict[Piece, float] = {}  # were taken, and when
        self._taken = 0  # since the start

    def content(self, piece: Piece) -> Fragment | bytes:
        """See Delivery."""
        if self._is_plain:
            return bytes(self.outgoing.message)
        return fragment(self.outgoing.message, bytes.fromhex(self.id), piece.fragment)

    def next(self, now: float, way: Way) -> Piece | None:
        """See Delivery."""
        self._prove(way)
        if way.is_dead:
            return None
        if self._again:
            piece = self._again.popleft()
        elif not self._is_between_copies or self._copies(way) is _Copies.TOO_FEW:
            piece = self._next
            last = piece.fragment == self.count - 1
            self._next = (
                Piece(piece.copy + 1, 0) if last else piece._replace(fragment=piece.fragment + 1)
            )
        else:
            return None
        self._under_way.add(piece)
        return piece

    def taken(self, piece: Piece, now: float) -> bytes | None:
        """See Delivery."""
        self._under_way.remove(piece)
        if not self._is_plain:
            self._unproven[piece] = now
        self._taken += 1
        if self._taken % _NOTE_EVERY:
            return None
        # What is under way now, or unproven, may be lost with the process: after a start it is sent
        # again, and all that follows it.
        first = min([self._next, *self._under_way, *self._again, *self._unproven])
        return (first.copy * self.count + first.fragment).to_bytes(4, "big")

    def refused(self, piece: Piece) -> None:
        """See Delivery."""
        self._under_way.remove(piece)
        self._again.append(piece)

    @property
    def left(self) -> int:
        """See Delivery; of the first copy."""
        pending = sum(piece.copy == 0 for piece in (*self._under_way, *self._again))
        return pending + (0 if self._next.copy else self.count - self._next.fragment)

    def is_done(self, way: Way) -> bool:
        """See Delivery."""
        self._prove(way)
        return self._has_left and not self._unproven and self._copies(way) is _Copies.ENOUGH

    def stage(self, now: float, way: Way) -> Stage:
        """See Delivery."""
        if self._under_way:
            return Stage.HAND_OVER
        if way.is_dead:
            return Stage.LOOPS
        is_due = self._again or not self._is_between_copies
        return Stage.TURN if is_due else Stage.KNOWLEDGE

    @property
    def _is_between_copies(self) -> bool:
        return self._next.copy > 0 and self._next.fragment == 0

    @property
    def _has_left(self) -> bool:
        return self._is_between_copies and not self._under_way and not self._again

    def _prove(self, way: Way) -> None:
        """What was carried is proven; what wasn't goes out again, and is there once if it was."""
        for piece, at in list(self._unproven.items()):
            was_carried = way.was_carried(at)
            if was_carried is None and not way.is_dead:
                continue
            del self._unproven[piece]
            if not was_carried:
                self._again.append(piece)

    def _copies(self, way: Way) -> _Copies:
        if self._is_plain:
            return _Copies.ENOUGH
        if way.loss is None:
            return _Copies.UNKNOWN
        is_enough = self._next.copy >= copies(way.loss, self.count)
        return _Copies.ENOUGH if is_enough else _Copies.TOO_FEW


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


def begin(
    outgoing: Outgoing, progress: bytes, recipient: Recipient, own_address: bytes, first_wait: float
) -> Delivery:
    """The delivery of a message that came as far as `progress`, which one of its kind has noted.

    A reliable one is sent again where it isn't acknowledged within `first_wait` seconds.
    """
    if outgoing.manner is Manner.RELIABLE:
        return Reliable(outgoing, progress, recipient, own_address, first_wait)
    return Unacknowledged(outgoing, progress)


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
