"""Whose turn it is: recipients take turns, and so do the messages to each of them.

A message that has nothing to send for a while rests: nobody asks it until then. So a tick is as
short with thousands of messages that wait for something as with a few.
"""

import heapq
from collections import OrderedDict
from collections.abc import Callable
from math import inf

from nym.client.delivery import Delivery, Piece, Stage, Way
from nym.store.outbox import Ends

MOST_ASKED = 300  # messages that are asked at a tick, which takes less than a millisecond


class Turns:
    """The messages that have turns. `obstacle` returns what prevents packets between two ends."""

    def __init__(self, obstacle: Callable[[Ends], Stage | None]) -> None:
        self._obstacle = obstacle
        # The messages to each recipient, by id, in the order of their turns.
        self._recipients: OrderedDict[tuple[bytes, bytes], OrderedDict[str, Delivery]] = (
            OrderedDict()
        )
        self._resting: dict[str, Delivery] = {}
        self._alarms: list[tuple[float, str]] = []  # a heap
        self._alarm: dict[str, float] = {}  # the earliest one of each message that has some
        self._seen: tuple[bool, float] | None = None  # `is_dead` and `open_since` of the last way

    def give(self, delivery: Delivery) -> None:
        """Let a message have turns, also one that rests."""
        self._resting.pop(delivery.id, None)
        deliveries = self._recipients.setdefault(delivery.ends.pair, OrderedDict())
        deliveries.setdefault(delivery.id, delivery)

    def take(self, delivery: Delivery) -> None:
        """Let a message have no more turns."""
        self._resting.pop(delivery.id, None)
        deliveries = self._recipients.get(delivery.ends.pair, OrderedDict())
        deliveries.pop(delivery.id, None)
        if not deliveries:
            self._recipients.pop(delivery.ends.pair, None)

    def next(self, now: float, way: Way) -> tuple[Delivery, Piece] | None:
        """Return the next piece to send, with its message, or None if nothing is due."""
        self._wake(now, way)
        left = MOST_ASKED
        for _ in range(min(left, len(self._recipients))):
            if not left:
                # A recipient whose messages nobody was asked about keeps its place. Otherwise one
                # with many messages that wait would be the first at every tick, for ever.
                break
            pair, deliveries = next(iter(self._recipients.items()))
            # This was its turn, whether or not something is due.
            self._recipients.move_to_end(pair)
            first = next(iter(deliveries.values()))
            if self._obstacle(first.ends) is not None:
                continue
            for _ in range(min(left, len(deliveries))):
                left -= 1
                delivery = next(iter(deliveries.values()))
                deliveries.move_to_end(delivery.id)
                piece = delivery.next(now, way)
                if piece is not None:
                    return delivery, piece
                if (until := delivery.rests_until(now, way)) > now:
                    self._rest(delivery, until)
        return None

    def _rest(self, delivery: Delivery, until: float) -> None:
        self.take(delivery)
        self._resting[delivery.id] = delivery
        # An alarm that is earlier does no harm. With one for each rest, they would become many: a
        # long message rests, and is woken by an acknowledgement, thousands of times.
        if until < self._alarm.get(delivery.id, inf):
            self._alarm[delivery.id] = until
            heapq.heappush(self._alarms, (until, delivery.id))

    def _wake(self, now: float, way: Way) -> None:
        seen = way.is_dead, way.open_since
        if seen != self._seen:
            # What left before may be lost, and waits that grew while nothing could arrive are over.
            self._seen = seen
            for delivery in list(self._resting.values()):
                self.give(delivery)
        while self._alarms and self._alarms[0][0] <= now:
            at, message_id = heapq.heappop(self._alarms)
            if self._alarm.get(message_id) == at:
                del self._alarm[message_id]
                if rested := self._resting.get(message_id):
                    self.give(rested)
