"""What the client holds: messages that wait to be sent, and messages that wait to be fetched.

Both live in memory and end with the process; they have limits, since local applications and the
network fill them faster than the Poisson queue and the applications empty them.
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from nym.errors import BusyError

MOST_MESSAGES = 10_000
MOST_BYTES = 64 << 20
ENVELOPE = 8  # bytes that an answer needs for a message at most, beside the message

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

    def accept(self, outgoing: Outgoing) -> None:
        """Take responsibility for a message. Raises BusyError where there is no room."""
        if len(self._waiting) >= MOST_MESSAGES or self._bytes + len(outgoing.message) > MOST_BYTES:
            raise BusyError(
                f"busy: {len(self._waiting)} messages wait to be sent; try again in a while"
            )
        self._waiting.append(outgoing)
        self._bytes += len(outgoing.message)

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
    """Received messages, oldest first. When it is full the newest are refused, and counted."""

    def __init__(self) -> None:
        self._messages: deque[bytes] = deque()
        self._bytes = 0
        self.lost = 0

    def __len__(self) -> int:
        return len(self._messages)

    def deliver(self, message: bytes) -> None:
        """Keep a message until it is taken."""
        if len(self._messages) >= MOST_MESSAGES or self._bytes + len(message) > MOST_BYTES:
            if not self.lost:
                log.error("the inbox is full: new messages are lost until some are fetched")
            self.lost += 1
            return
        self._messages.append(message)
        self._bytes += len(message)

    def take(self, most_bytes: int | None = None) -> list[bytes]:
        """All messages, or the oldest that `most_bytes` have room for; they leave the inbox."""
        taken: list[bytes] = []
        room = self._bytes + ENVELOPE * len(self) if most_bytes is None else most_bytes
        while self._messages and (room := room - len(self._messages[0]) - ENVELOPE) >= 0:
            taken.append(self._messages.popleft())
            self._bytes -= len(taken[-1])
        return taken

    def give_back(self, messages: list[bytes]) -> None:
        """Put messages that did not reach the application before all others."""
        self._messages.extendleft(reversed(messages))
        self._bytes += sum(map(len, messages))
