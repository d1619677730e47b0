"""How much of the outbox each recipient holds: half at most, so that one can't fill it."""

from collections import Counter
from typing import NamedTuple

from nym.store.outgoing import Outgoing

MOST_MESSAGES = 10_000
MOST_BYTES = 64 << 20


class FilledBy(NamedTuple):
    """Whose messages leave no room: they are all that one recipient can have, or the most."""

    recipient: bytes
    is_share: bool


class Room:
    """What each recipient holds of the outbox."""

    def __init__(self) -> None:
        self.held: dict[bytes, dict[str, Outgoing]] = {}
        self.sizes: Counter[bytes] = Counter()
        self.count = 0
        self.size = 0

    def filled_by(self, outgoing: Outgoing) -> FilledBy | None:
        """The recipient whose messages leave no room for this one; None where there is room."""
        recipient, size = outgoing.recipient, len(outgoing.message)
        count = len(self.held.get(recipient, ())) + 1
        share = self.sizes[recipient] + size
        if count > MOST_MESSAGES // 2 or share > MOST_BYTES // 2:
            return FilledBy(recipient, is_share=True)
        if self.count < MOST_MESSAGES and self.size + size <= MOST_BYTES:
            return None
        return FilledBy(max(self.held, key=self._part), is_share=False)

    def take(self, outgoing: Outgoing) -> None:
        """It is in, if it wasn't."""
        held = self.held.setdefault(outgoing.recipient, {})
        if outgoing.id in held:
            return
        held[outgoing.id] = outgoing
        self.sizes[outgoing.recipient] += len(outgoing.message)
        self.count += 1
        self.size += len(outgoing.message)

    def free(self, outgoing: Outgoing) -> None:
        """It is out, if it wasn't."""
        recipient = outgoing.recipient
        if self.held.get(recipient, {}).pop(outgoing.id, None) is None:
            return
        self.sizes[recipient] -= len(outgoing.message)
        self.count -= 1
        self.size -= len(outgoing.message)
        if not self.held[recipient]:
            del self.held[recipient], self.sizes[recipient]

    def _part(self, recipient: bytes) -> float:
        count, size = len(self.held[recipient]), self.sizes[recipient]
        return max(count / MOST_MESSAGES, size / MOST_BYTES)
