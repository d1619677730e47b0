"""What the client holds: messages that wait to be sent, and messages that wait to be fetched.

Both live in memory and end with the process; they have limits, since local applications and the
network fill them faster than the Poisson queue and the applications empty them.
"""

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

from nym.errors import BusyError
from nym.wire.requests import Received

MOST_MESSAGES = 10_000
MOST_BYTES = 64 << 20
MOST_OFFERED = 100  # unacknowledged messages of one subscriber

log = logging.getLogger(__name__)


class Outgoing(NamedTuple):
    """A message that was accepted and not sent yet."""

    recipient: bytes
    message: bytes


class Outbox:
    """First in, first out, but for messages that can't be routed yet: those are stepped over."""

    def __init__(self) -> None:
        self._waiting: deque[Outgoing] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def accept(self, outgoing: Outgoing) -> str:
        """Take responsibility for a message; returns its id. Raises BusyError without room."""
        if len(self._waiting) >= MOST_MESSAGES or self._bytes + len(outgoing.message) > MOST_BYTES:
            raise BusyError(
                f"busy: {len(self._waiting)} messages wait to be sent; try again in a while"
            )
        self._waiting.append(outgoing)
        self._bytes += len(outgoing.message)
        return new_id()

    def take(self, is_routable: Callable[[Outgoing], bool]) -> Outgoing | None:
        """The oldest message that is routable now; it leaves the outbox."""
        for position, outgoing in enumerate(self._waiting):
            if is_routable(outgoing):
                del self._waiting[position]
                self._bytes -= len(outgoing.message)
                return outgoing
        return None

    def give_back(self, outgoing: Outgoing) -> None:
        """Put a message that could not be sent before all others, whatever the limits."""
        self._waiting.appendleft(outgoing)
        self._bytes += len(outgoing.message)


class Inbox:
    """Received messages, oldest first. When it is full the newest are refused, and counted.

    A message leaves when it is taken, or acknowledged by the subscriber that it was offered to.
    While it is on offer nobody else gets it; when its subscriber goes, it is there for all again.
    """

    def __init__(self) -> None:
        self._messages: dict[str, Received] = {}
        self._bytes = 0
        self._offered: dict[str, Subscriber] = {}
        self._subscribers: list[Subscriber] = []
        self.lost = 0

    def __len__(self) -> int:
        return len(self._messages)

    def deliver(self, message: bytes) -> None:
        """Keep a message until it is taken or acknowledged."""
        if len(self._messages) >= MOST_MESSAGES or self._bytes + len(message) > MOST_BYTES:
            if not self.lost:
                log.error("the inbox is full: new messages are lost until some are fetched")
            self.lost += 1
            return
        self._keep(Received(new_id(), message, time.time()))
        self._notify()

    def take(
        self, most_bytes: int | None = None, size: Callable[[bytes], int] = len
    ) -> list[Received]:
        """All messages, or the oldest that `most_bytes` have room for; they leave the inbox.

        `size` gives the bytes that a message takes.
        """
        taken: list[Received] = []
        room = most_bytes
        for received in self._free():
            if room is not None:
                room -= size(received.message)
                if room < 0:
                    break
            taken.append(received)
        for received in taken:
            self._drop(received.id)
        return taken

    def give_back(self, messages: list[Received]) -> None:
        """Put messages that did not reach the application before all others."""
        later, self._messages, self._bytes = list(self._messages.values()), {}, 0
        for received in [*messages, *later]:
            self._keep(received)
        self._notify()

    def subscribe(self, notify: Callable[[], None]) -> "Subscriber":
        """Somebody to whom messages are offered; `notify` is called when there may be some."""
        subscriber = Subscriber(notify)
        self._subscribers.append(subscriber)
        return subscriber

    def unsubscribe(self, subscriber: "Subscriber") -> None:
        """What was offered to this one, and not acknowledged, is there for all again."""
        self._subscribers.remove(subscriber)
        self._offered = {id_: s for id_, s in self._offered.items() if s is not subscriber}
        self._notify()

    def offer(self, subscriber: "Subscriber") -> list[Received]:
        """Messages for this subscriber, as long as it doesn't have too many unacknowledged."""
        room = MOST_OFFERED - sum(s is subscriber for s in self._offered.values())
        offered = list(islice(self._free(), max(0, room)))
        self._offered.update((received.id, subscriber) for received in offered)
        return offered

    def acknowledge(self, message_id: str) -> bool:
        """Drop a message; False if there is none with this id."""
        if message_id not in self._messages:
            return False
        self._drop(message_id)
        self._notify()  # there is room for another offer
        return True

    def _free(self) -> Iterator[Received]:
        return (r for r in self._messages.values() if r.id not in self._offered)

    def _keep(self, received: Received) -> None:
        self._messages[received.id] = received
        self._bytes += len(received.message)

    def _drop(self, message_id: str) -> None:
        self._bytes -= len(self._messages.pop(message_id).message)
        self._offered.pop(message_id, None)

    def _notify(self) -> None:
        for subscriber in self._subscribers:
            subscriber.notify()


class Subscriber:
    """Whom messages are offered to; an identity, and a way to wake it."""

    def __init__(self, notify: Callable[[], None]) -> None:
        self.notify = notify


def new_id() -> str:
    """An id that no other message has."""
    return os.urandom(8).hex()
