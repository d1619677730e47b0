"""Messages that nobody acknowledges: they go out once, or in as many copies as it takes."""

import math
from collections import deque
from enum import Enum, auto

from nym.client.delivery import Delivery, Piece, Stage, Way
from nym.envelope import Fragment, fragment
from nym.store.outbox import Manner, Outgoing

MOST_COPIES = 4
ACCEPTABLE_LOSS = 0.001  # of messages
_NOTE_EVERY = 64  # fragments


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
        is_due = is_due or self._copies(way) is _Copies.TOO_FEW
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
