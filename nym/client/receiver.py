"""Opens the messages that a pull brought, stores them, and passes on what is for other parts.

Nothing is shown to applications, and nothing is acknowledged, before it is on disk. A published
provider has deleted the messages already, so after a crash they would be nowhere else.
"""

import logging
import time
from collections.abc import Callable

from nym.client.acknowledgements import Acknowledgements
from nym.client.assembly import Assembly
from nym.client.own_addresses import OwnAddresses
from nym.client.taken import Taken
from nym.envelope import Acknowledgement, Cover, Fragment, ProviderNote, Run, Unreadable
from nym.errors import StoreError
from nym.net.spell import Spell
from nym.store.inbox import Inbox
from nym.store.outgoing import Ends
from nym.wire.provider import DUMMY, Pulled, is_cover

log = logging.getLogger(__name__)


class Receiver:
    """Sorts messages that were pulled.

    `returned` is called with the id of each loop, `acknowledged` with each acknowledgement, and the
    ends of what it acknowledges and the time, and `noted` with each note about a peer's provider.
    """

    def __init__(
        self,
        own: OwnAddresses,
        inbox: Inbox,
        assembly: Assembly,
        acknowledgements: Acknowledgements,
        taken: Taken,
        returned: Callable[[bytes, float], None],
        acknowledged: Callable[[Acknowledgement, Ends, float], None],
        noted: Callable[[ProviderNote], None],
    ) -> None:
        self._own = own
        self._inbox = inbox
        self._assembly = assembly
        self._acknowledgements = acknowledgements
        self.taken = taken
        self._returned = returned
        self._acknowledged = acknowledged
        self._noted = noted
        self.accepts_plain = True
        self.plain_refused = 0
        self.received = 0  # packets with something in them
        # The log level for a contradictory answer. After the first warning, it is DEBUG: a provider
        # could otherwise fill the log.
        self._contradicted = logging.WARNING
        self._said: set[type[Exception]] = set()  # kinds of errors that were logged
        # Fragments that are to be acknowledged when they are on disk.
        self._owed: list[tuple[Fragment, bytes, Run]] = []
        self.is_waiting = False  # something other than cover was taken since `settle` was called

    def settle(self) -> None:
        """Wait until all messages are on disk, then have them acknowledged. Raises StoreError."""
        # Taken out first: more may arrive while this waits, and may not be on disk after it.
        owed, self._owed = self._owed, []
        self.is_waiting = False
        try:
            self._inbox.settle()
        except StoreError:
            self._owed = owed + self._owed
            self.is_waiting = True
            raise
        for fragment, own, run in owed:
            if fragment.sender is not None and fragment.is_acknowledged:
                is_complete = run.last - run.first + 1 == fragment.count
                ends = self._own.ends(own, fragment.sender)
                self._acknowledgements.add(ends, run, time.monotonic(), is_complete=is_complete)

    def take(self, pulled: Pulled, own: bytes = b"") -> int:
        """Keep what is in these messages, and return how many had waited and are new.

        The caller has to call `settle` after that. They came to the reply address `own`, or, if it
        is empty, to the main one.
        """
        now = time.monotonic()
        if not pulled.is_sound:
            level, self._contradicted = self._contradicted, logging.DEBUG
            log.log(
                level, "the provider's answer contradicts itself: its unsealed messages are dropped"
            )
        spell = Spell()  # a hostile provider can put many messages into one answer
        new = 0
        for message in self.taken.new(pulled, own):
            spell.rest()
            new += message != DUMMY
            if not is_cover(message):
                try:
                    self._sort(message, own, now, is_sound=pulled.is_sound)
                except Exception as error:  # noqa: BLE001 - the other messages are nowhere else
                    self._say(error)
        self._assembly.expire(now)
        return new

    def _say(self, error: Exception) -> None:
        """Log each kind of error once, because any number of messages may cause it."""
        if type(error) not in self._said:
            self._said.add(type(error))
            log.error("a message that arrived could not be kept", exc_info=error)

    def _sort(self, message: bytes, own: bytes, now: float, *, is_sound: bool) -> None:
        opened = self._own.open(message, own)
        if isinstance(opened, Cover):
            self._returned(opened.id, now)
            return
        self.received += 1
        self.is_waiting = True
        match opened:
            case None:
                # In a contradictory answer, the bounds of messages are guesses. A seal proves that
                # an envelope is complete, but a plain message may be parts of others.
                # Nobody who sends those knows a reply address.
                if is_sound and not own:
                    self._take_plain(message)
            case Fragment() as fragment:
                self._own.look_ahead(fragment, own)
                run = self._assembly.add(fragment, now, own)
                if run is not None:
                    self._owed.append((fragment, own, run))
            case Acknowledgement() as acknowledgement:
                ends = self._own.ends(own, acknowledgement.sender)
                self._acknowledged(acknowledgement, ends, now)
            case ProviderNote() as note:
                self._noted(note)
            case Unreadable(reason):
                log.debug("an envelope was dropped: %s", reason)

    def _take_plain(self, message: bytes) -> None:
        if self.accepts_plain:
            self._inbox.deliver(message, is_sealed=False)
            return
        if not self.plain_refused:
            log.warning(
                "a plain message was refused, and so will be all others, because "
                "client.accept_plain is false"
            )
        self.plain_refused += 1
