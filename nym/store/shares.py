"""How much of what comes in each sender may hold.

Senders have one of three standings, and each standing has room of its own. Keys cost nothing, so a
stranger has as many names as it likes: what strangers send takes room from strangers only, and what
nobody proves to have sent from such messages only. Of the room of a standing, one sender has half
at most.
"""

import time
from collections import Counter
from collections.abc import Callable, Container
from enum import Enum
from logging import Logger
from math import inf
from typing import NamedTuple

# For each standing, in each place that keeps messages.
MOST_MESSAGES = 10_000
MOST_BYTES = 64 << 20
SAY_EVERY = 3600.0  # seconds


class Standing(Enum):
    """What is known of a sender, in words that follow "from"."""

    ANONYMOUS = "senders that are not known"
    STRANGER = "strangers"
    CONTACT = "contacts"


class Holder(NamedTuple):
    """To whom a message is charged; nobody knows the `sender` of an anonymous one."""

    standing: Standing
    sender: bytes = b""


def holder_of(sender: bytes | None, contacts: Container[bytes]) -> Holder:
    """To whom a message from `sender` is charged, None if that isn't proven."""
    if sender is None:
        return Holder(Standing.ANONYMOUS)
    return Holder(Standing.CONTACT if sender in contacts else Standing.STRANGER, sender)


class Shares:
    """What each sender, and each standing, holds: messages and bytes."""

    def __init__(self) -> None:
        self._messages: Counter[Holder | Standing] = Counter()
        self._bytes: Counter[Holder | Standing] = Counter()

    def overfull(self, holder: Holder, more: int | None = None) -> Holder | Standing | None:
        """Whose room is too small: the sender's, the standing's, or neither's.

        With another message of so many bytes `more`, if that is given.
        """
        standing = holder.standing
        if standing is not Standing.ANONYMOUS and self._is_over(holder, more, 2):
            return holder
        return standing if self._is_over(standing, more, 1) else None

    def take(self, holder: Holder, size: int, messages: int = 1) -> None:
        """It holds more."""
        for whose in (holder, holder.standing):
            self._messages[whose] += messages
            self._bytes[whose] += size

    def free(self, holder: Holder, size: int) -> None:
        """It holds a message less, of so many bytes."""
        self.take(holder, -size, -1)
        if not self._messages[holder]:
            del self._messages[holder], self._bytes[holder]

    def _is_over(self, whose: Holder | Standing, more: int | None, part: int) -> bool:
        messages = self._messages[whose] + (more is not None)
        size = self._bytes[whose] + (more or 0)
        return messages > MOST_MESSAGES // part or size > MOST_BYTES // part


class Losses:
    """Counts messages that found no room. Says of each standing why, once in SAY_EVERY seconds.

    `why` has a place for the standing.
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
        """One more."""
        self.counts[standing] += 1
        now = self._clock()
        if now - self._said.get(standing, -inf) < SAY_EVERY:
            return
        self._said[standing] = now
        why = self._why.format(standing.value)
        self._log.log(self._level, "%s; %d so far", why, self.counts[standing])
