"""Counts how much of the outbox each recipient's messages occupy.

One recipient gets half of it at most, so that messages to one can't keep out all others. Where two
addresses of this client write to a recipient, it counts as two. Otherwise it could fill its part at
one address by acknowledging nothing, and would learn from the silence at the other.
"""

from collections import Counter
from typing import NamedTuple

from nym.store.outgoing import Outgoing

Pair = tuple[bytes, bytes]  # from where to where; see Ends

MOST_MESSAGES = 10_000
MOST_BYTES = 64 << 20


class FilledBy(NamedTuple):
    """The recipient, with the own address that writes to it, whose messages leave no room.

    `is_share`: they fill the half that one recipient can have. Otherwise the whole outbox is full,
    and this recipient has the largest part of it.
    """

    recipient: Pair
    is_share: bool


class Room:
    """The messages in the outbox, by recipient, with their number and size.

    `held` has each recipient's messages by id, oldest first; sizes are in bytes.
    """

    def __init__(self) -> None:
        self.held: dict[Pair, dict[str, Outgoing]] = {}
        self.sizes: Counter[Pair] = Counter()
        self.count = 0
        self.size = 0

    def filled_by(self, outgoing: Outgoing) -> FilledBy | None:
        """Return the recipient whose messages leave no room for this one, or None if it fits."""
        recipient, size = outgoing.ends.pair, len(outgoing.message)
        count = len(self.held.get(recipient, ())) + 1
        share = self.sizes[recipient] + size
        if count > MOST_MESSAGES // 2 or share > MOST_BYTES // 2:
            return FilledBy(recipient, is_share=True)
        if self.count < MOST_MESSAGES and self.size + size <= MOST_BYTES:
            return None
        return FilledBy(max(self.held, key=self._part), is_share=False)

    def take(self, outgoing: Outgoing) -> None:
        """Count a message, unless it is counted already."""
        held = self.held.setdefault(outgoing.ends.pair, {})
        if outgoing.id in held:
            return
        held[outgoing.id] = outgoing
        self.sizes[outgoing.ends.pair] += len(outgoing.message)
        self.count += 1
        self.size += len(outgoing.message)

    def free(self, outgoing: Outgoing) -> None:
        """Stop counting a message, unless it isn't counted."""
        recipient = outgoing.ends.pair
        if self.held.get(recipient, {}).pop(outgoing.id, None) is None:
            return
        self.sizes[recipient] -= len(outgoing.message)
        self.count -= 1
        self.size -= len(outgoing.message)
        if not self.held[recipient]:
            del self.held[recipient], self.sizes[recipient]

    def _part(self, recipient: Pair) -> float:
        count, size = len(self.held[recipient]), self.sizes[recipient]
        return max(count / MOST_MESSAGES, size / MOST_BYTES)
