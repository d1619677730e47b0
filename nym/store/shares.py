"""Limits how much room the messages of each sender may take.

Senders have one of four standings. Keys cost nothing, so a stranger can have any number of
addresses. Therefore messages of strangers take room only from other strangers, and messages without
a proven sender only from other such messages. One sender may take half of the room of its standing
at most.

What comes to a reply address has room that belongs to this address alone, as much as one sender may
take: if others could fill it, a correspondent could learn from a refusal which addresses belong to
the same client. There are only a few such addresses, so their standing has no limit of its own.
"""

import time
from collections import Counter
from collections.abc import Callable, Container
from enum import Enum
from logging import Logger
from math import inf
from typing import NamedTuple

# The room of each standing, both in the inbox and for messages of which fragments are missing.
MOST_MESSAGES = 10_000
MOST_BYTES = 64 << 20
# Seconds between log lines about one standing. Strangers decide how many messages are lost, and
# must not be able to fill the log.
SAY_EVERY = 3600.0


class Standing(Enum):
    """What is known about a sender. The value is for log lines, after the word "from"."""

    ANONYMOUS = "anonymous senders"
    STRANGER = "strangers"
    CONTACT = "contacts"
    CORRESPONDENT = "correspondents"


class Holder(NamedTuple):
    """The sender whose room a message takes; `sender` is empty for an anonymous message.

    For a correspondent, it is the reply address to which the message came.
    """

    standing: Standing
    sender: bytes = b""


def holder_of(sender: bytes | None, contacts: Container[bytes], own: bytes = b"") -> Holder:
    """Return the holder for a message from `sender`, which is None if no sender is proven.

    `own` is the reply address to which it came, or empty.
    """
    if own:
        return Holder(Standing.CORRESPONDENT, own)
    if sender is None:
        return Holder(Standing.ANONYMOUS)
    return Holder(Standing.CONTACT if sender in contacts else Standing.STRANGER, sender)


class Shares:
    """The number and the bytes of the messages that each sender, and each standing, holds."""

    def __init__(self) -> None:
        self._messages: Counter[Holder | Standing] = Counter()
        self._bytes: Counter[Holder | Standing] = Counter()

    def overfull(self, holder: Holder, more: int | None = None) -> Holder | Standing | None:
        """Return whose room is exceeded: the sender's, its standing's, or None.

        With `more`, another message of that many bytes is counted, too.
        """
        standing = holder.standing
        # Anonymous messages have no senders to tell apart, so there is no half for each.
        if standing is not Standing.ANONYMOUS and self._is_over(holder, more, 2):
            return holder
        if standing is Standing.CORRESPONDENT:
            return None
        return standing if self._is_over(standing, more, 1) else None

    def take(self, holder: Holder, size: int, messages: int = 1) -> None:
        """Charge a holder, and its standing, for `size` bytes and a number of messages."""
        for whose in (holder, holder.standing):
            self._messages[whose] += messages
            self._bytes[whose] += size

    def free(self, holder: Holder, size: int) -> None:
        """Discharge a holder, and its standing, of one message of `size` bytes."""
        self.take(holder, -size, -1)
        # Strangers can use any number of keys, so holders with nothing must not stay.
        if not self._messages[holder]:
            del self._messages[holder], self._bytes[holder]

    def _is_over(self, whose: Holder | Standing, more: int | None, part: int) -> bool:
        messages = self._messages[whose] + (more is not None)
        size = self._bytes[whose] + (more or 0)
        return messages > MOST_MESSAGES // part or size > MOST_BYTES // part


class Losses:
    """Counts messages that were lost, and logs that at most once in SAY_EVERY seconds.

    Standings are counted and logged separately. `why` is the text for the log, with {} where the
    standing goes.
    """

    def __init__(
        self, log: Logger, level: int, why: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = log
        self._level = level
        self._why = why
        self._clock = clock
        self._said: dict[Standing, float] = {}
        self.counts: Counter[Standing] = Counter()

    def note(self, standing: Standing) -> None:
        """Count one more lost message."""
        self.counts[standing] += 1
        now = self._clock()
        if now - self._said.get(standing, -inf) < SAY_EVERY:
            return
        self._said[standing] = now
        why = self._why.format(standing.value)
        self._log.log(self._level, "%s; %d so far", why, self.counts[standing])
