"""Messages that nobody acknowledges: plain ones, sent once, and anonymous ones, sent in copies."""

import math
from collections import deque
from enum import Enum, auto

from nym.client.delivery import Delivery, Piece, Stage, Way
from nym.store.outbox import Manner, Outgoing

MOST_COPIES = 4
ACCEPTABLE_LOSS = 0.001  # the share of messages that may not arrive
_NOTE_EVERY = 64  # fragments between writes of the progress to disk


class _Copies(Enum):
    """Whether enough copies have been sent."""

    ENOUGH = auto()
    TOO_FEW = auto()
    UNKNOWN = auto()


class Unacknowledged(Delivery):
    """A plain message, sent once, or an anonymous one, sent in copies.

    - While the client doesn't know how much the network loses, it sends one copy of an anonymous
      message. The message then waits until the loss is known.
    - While no loops come back, nothing is sent, because it would be lost.
    - Before the client notices that, some packets have left and are probably lost. Pieces of an
      anonymous message in such packets are sent again. So the message isn't done until loops have
      shown that the network carried packets when its last piece left.
    """

    def __init__(self, outgoing: Outgoing, progress: bytes, own_address: bytes) -> None:
        super().__init__(outgoing, own_address)
        self._is_plain = outgoing.manner is Manner.PLAIN
        self._next = Piece(*divmod(int.from_bytes(progress, "big"), self.count))
        self._again: deque[Piece] = deque()  # pieces to be sent again, before `_next`
        self._under_way: set[Piece] = set()  # pieces that are being handed to a mixnode
        self._unproven: dict[Piece, float] = {}  # pieces that may be lost, and when each was taken
        self._taken = 0  # since the start of the client

    def next(self, now: float, way: Way) -> Piece | None:
        """See Delivery."""
        self._prove(way)
        if way.is_dead or not self._is_due(way):
            return None
        if self._again:
            piece = self._again.popleft()
        else:
            piece = self._next
            last = piece.fragment == self.count - 1
            self._next = (
                Piece(piece.copy + 1, 0) if last else piece._replace(fragment=piece.fragment + 1)
            )
        self._under_way.add(piece)
        return piece

    def rests_until(self, now: float, way: Way) -> float:
        """See Delivery. What loops have shown meanwhile is asked in `is_done`."""
        return math.inf if self.waits_for_loops(way) else now

    def waits_for_loops(self, way: Way) -> bool:
        """See Delivery."""
        return not (self._under_way or self._is_due(way))

    def taken(self, piece: Piece, now: float) -> bytes | None:
        """See Delivery."""
        self._under_way.remove(piece)
        # A plain message has no id by which its recipient could drop a second one. So once it was
        # taken, it is not sent again.
        if not self._is_plain:
            self._unproven[piece] = now
        self._taken += 1
        if self._taken % _NOTE_EVERY:
            return None
        # If the process dies, pieces that are under way or unproven may be lost. So the next start
        # continues with the first of these, and sends everything after it again.
        first = min([self._next, *self._under_way, *self._again, *self._unproven])
        return (first.copy * self.count + first.fragment).to_bytes(4, "big")

    def refused(self, piece: Piece) -> None:
        """See Delivery."""
        self._under_way.remove(piece)
        self._again.append(piece)

    @property
    def left(self) -> int:
        """See Delivery. Only the first copy counts."""
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
        return Stage.TURN if self._is_due(way) else Stage.KNOWLEDGE

    def _is_due(self, way: Way) -> bool:
        """Whether there is a piece to send, as soon as it may leave."""
        return (
            bool(self._again) or not self._is_between_copies or self._copies(way) is _Copies.TOO_FEW
        )

    @property
    def _is_between_copies(self) -> bool:
        return self._next.copy > 0 and self._next.fragment == 0

    @property
    def _has_left(self) -> bool:
        return self._is_between_copies and not self._under_way and not self._again

    def _prove(self, way: Way) -> None:
        """Forget pieces that the network carried, and send again those that it didn't carry.

        If one of the latter did arrive, the recipient recognises the second one and drops it.
        """
        for piece, at in list(self._unproven.items()):
            was_carried = way.was_carried(at)
            # In a dead network, what isn't known to have been carried counts as lost.
            if was_carried is None and not way.is_dead:
                continue
            del self._unproven[piece]
            if not was_carried:
                self._again.append(piece)

    def _copies(self, way: Way) -> _Copies:
        if self._is_plain:
            return _Copies.ENOUGH  # one is all that it gets, whatever the loss
        if way.loss is None:
            return _Copies.UNKNOWN
        is_enough = self._next.copy >= copies(way.loss, self.count)
        return _Copies.ENOUGH if is_enough else _Copies.TOO_FEW


def copies(loss: float, count: int) -> int:
    """Return how often each of `count` fragments is sent, so that ACCEPTABLE_LOSS is not exceeded.

    `loss` is the share of packets that is lost, 0 to 1. The result is at most MOST_COPIES.
    """
    # A message is lost if any of its fragments is. All copies of one are lost with loss**copies.
    acceptable = ACCEPTABLE_LOSS / count
    if loss <= acceptable:
        return 1
    if loss >= 1:
        return MOST_COPIES
    return min(MOST_COPIES, math.ceil(math.log(acceptable) / math.log(loss)))
