"""What a pull brought: opened, kept, and handed to whom it concerns.

Nothing of it has an effect outside before the disk has it: the provider has deleted it already.
"""

import logging
import time
from collections.abc import Callable

from nym.client.acknowledgements import Acknowledgements
from nym.client.assembly import Assembly
from nym.envelope import Acknowledgement, Cover, Envelopes, Fragment, Run, Unreadable
from nym.errors import StoreError
from nym.net.spell import Spell
from nym.store.inbox import Inbox
from nym.wire.provider import Pulled, is_cover

log = logging.getLogger(__name__)


class Receiver:
    """Sorts what comes in."""

    def __init__(
        self,
        envelopes: Envelopes,
        inbox: Inbox,
        assembly: Assembly,
        acknowledgements: Acknowledgements,
        returned: Callable[[bytes, float], None],
        acknowledged: Callable[[Acknowledgement, float], None],
    ) -> None:
        self._envelopes = envelopes
        self._inbox = inbox
        self._assembly = assembly
        self._acknowledgements = acknowledgements
        self._returned = returned
        self._acknowledged = acknowledged
        self.accepts_plain = True
        self.plain_refused = 0
        self._contradicted = logging.WARNING  # said loudly once
        self._said: set[type[Exception]] = set()
        self._owed: list[tuple[Fragment, Run]] = []

    def settle(self) -> None:
        """What came is on disk when this returns, and will be acknowledged. Raises StoreError."""
        owed, self._owed = self._owed, []  # more may come while the disk is waited for
        try:
            self._inbox.settle()
        except StoreError:
            self._owed = owed + self._owed
            raise
        for fragment, run in owed:
            if fragment.sender is not None:
                is_complete = run.last - run.first + 1 == fragment.count
                self._acknowledgements.add(
                    fragment.sender, run, time.monotonic(), is_complete=is_complete
                )

    def take(self, pulled: Pulled) -> None:
        """Keep what is in these messages; they have to be settled then."""
        now = time.monotonic()
        if not pulled.is_sound:
            level, self._contradicted = self._contradicted, logging.DEBUG
            log.log(level, "the provider's answer contradicts itself: what has no seal is dropped")
        spell = Spell()  # a provider can have put many into one answer
        for message in pulled.messages:
            spell.rest()
            if not is_cover(message):
                try:
                    self._sort(message, now, is_sound=pulled.is_sound)
                except Exception as error:  # noqa: BLE001 - the others are nowhere else any more
                    self._say(error)
        self._assembly.expire(now)

    def _say(self, error: Exception) -> None:
        """Each kind of error once: any number of messages may bring it about."""
        if type(error) not in self._said:
            self._said.add(type(error))
            log.error("a message that came could not be kept", exc_info=error)

    def _sort(self, message: bytes, now: float, *, is_sound: bool) -> None:
        match self._envelopes.open(message):
            case None:
                if is_sound:
                    self._take_plain(message)
            case Cover(loop):
                self._returned(loop, now)
            case Fragment() as fragment:
                run = self._assembly.add(fragment, now)
                if run is not None:
                    self._owed.append((fragment, run))
            case Acknowledgement() as acknowledgement:
                self._acknowledged(acknowledgement, now)
            case Unreadable(reason):
                log.debug("an envelope was dropped: %s", reason)

    def _take_plain(self, message: bytes) -> None:
        if self.accepts_plain:
            self._inbox.deliver(message, is_sealed=False)
            return
        if not self.plain_refused:
            log.warning(
                "a plain message was refused, as will be others: client.accept_plain is false"
            )
        self.plain_refused += 1
