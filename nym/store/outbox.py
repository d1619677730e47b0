"""Messages that were accepted and are not on their way yet, or not acknowledged yet.

`accept` returns when they are on disk. They stay until whoever sends them says that they are done,
are given up, or were cancelled. Each of these leaves the disk first and the memory last: what is
raised in between leaves a message that waits, to be ended again.
"""

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import islice
from struct import Struct

from nym.errors import BusyError, StoreError
from nym.store.database import Change
from nym.store.endings import Ending, Endings
from nym.store.journal import Journal
from nym.store.outgoing import ID_LENGTH, Manner, Outgoing
from nym.store.room import FilledBy, Room
from nym.timing import duration
from nym.wire.keys import encode_base58
from nym.wire.pieces import Message, prefix, split

__all__ = ["ID_LENGTH", "Manner", "Outbox", "Outgoing", "new_id"]

_MESSAGE, _PROGRESS = "outgoing", "progress"
_HEAD = Struct(">Bd32s")  # manner and _DATED, when it was accepted, recipient
# Entries without a time are read, too: they begin with the manner alone, which is less.
_DATED = 0x80
_UNDATED_HEAD = 1 + 32

log = logging.getLogger(__name__)


class Outbox:
    """What is accepted, with limits: applications are faster than the Poisson queue.

    `now` is a clock that goes on across starts. `explain` says why a message waits.
    """

    def __init__(
        self,
        journal: Journal,
        now: Callable[[], float] = time.time,
        explain: Callable[[Outgoing], str] = lambda outgoing: "it waits for its turn",
    ) -> None:
        self._journal = journal
        self._now = now
        self._explain = explain
        self._messages: dict[str, Outgoing] = {}
        self._room = Room()
        self._number = 0
        self._arrived: deque[Outgoing] = deque()
        self._watchers: list[Callable[[str], None]] = []
        self._progress = dict(journal.take_short(_PROGRESS))
        self._endings = Endings(journal)
        for entry_id, body in journal.take(_MESSAGE):
            self._restore(entry_id, body)

    def __len__(self) -> int:
        return len(self._messages)

    def __contains__(self, message_id: str) -> bool:
        return message_id in self._messages

    @property
    def failed(self) -> list[str]:
        """Ids of messages that were given up, oldest first."""
        return list(self._endings.ids[Ending.FAILED])

    def has_failed(self, message_id: str) -> bool:
        """Whether the message was given up."""
        return message_id in self._endings.ids[Ending.FAILED]

    def was_cancelled(self, message_id: str) -> bool:
        """Whether the message was taken back."""
        return message_id in self._endings.ids[Ending.CANCELLED]

    def age(self, outgoing: Outgoing) -> float:
        """Seconds since it was accepted, those between two starts included."""
        return max(0.0, self._now() - outgoing.accepted)

    def waiting(self, after: int, most: int) -> list[Outgoing]:
        """The first `most` messages behind number `after`, oldest first."""
        later = (outgoing for outgoing in self._messages.values() if outgoing.number > after)
        return list(islice(later, most))

    def accept(self, messages: Iterable[Outgoing]) -> list[BusyError | StoreError | None]:
        """Take responsibility for messages; says of each why not. Waits for the disk, once."""
        outcomes: list[BusyError | StoreError | None] = []
        accepted: list[Outgoing] = []
        refusal = cache(self._refusal)  # many at once are refused for one reason

        def written(error: StoreError | None) -> None:
            # Not before: what isn't on disk can't be listed or cancelled, or it would come back.
            if error is None:
                self._arrive(accepted)

        try:
            for outgoing in messages:
                filled_by = self._room.filled_by(outgoing)
                if filled_by is None:
                    accepted.append(self._numbered(outgoing._replace(accepted=self._now())))
                outcomes.append(None if filled_by is None else refusal(filled_by))
            changes = [Change(_MESSAGE, outgoing.id, _encode(outgoing)) for outgoing in accepted]
            self._journal.write(changes, written)
        except BaseException as error:
            # Whoever waited may have been killed: what is written all the same still arrives.
            for outgoing in accepted:
                self._room.free(outgoing)
            if not isinstance(error, StoreError):
                raise
            return [outcome or error for outcome in outcomes]
        return outcomes

    def arrivals(self) -> Iterator[tuple[Outgoing, bytes]]:
        """Messages that are new, each with the progress that was noted.

        One counts as seen when the next is asked for, so nothing that is raised meanwhile loses it.
        """
        while self._arrived:
            outgoing = self._arrived[0]
            if outgoing.id in self._messages:
                yield outgoing, self._progress.get(outgoing.id, b"")
            self._arrived.popleft()
            self._progress.pop(outgoing.id, None)

    def note(self, message_id: str, progress: bytes) -> None:
        """Remember how far a message has come, for the next start."""
        self._journal.put(_PROGRESS, message_id, progress)

    def done(self, message_id: str) -> None:
        """Nothing is left to be done for this message."""
        self._end(message_id, None)

    def give_up(self, message_id: str) -> None:
        """The message will not arrive; its id is remembered, and told to watchers."""
        if not self._end(message_id, Ending.FAILED):
            return
        for watcher in tuple(self._watchers):
            try:
                watcher(message_id)
            except Exception:  # none of them is worth more than the others
                log.exception("a subscriber could not be told of a message that was given up")

    def cancel(self, message_id: str) -> None:
        """The message is taken back; its id is remembered. `flush` waits for the disk."""
        self._end(message_id, Ending.CANCELLED)

    def flush(self) -> None:
        """Wait until the disk knows what has ended. Raises StoreError."""
        self._journal.flush()

    def watch(self, watcher: Callable[[str], None]) -> None:
        """Call `watcher` with the id of each message that is given up from now on."""
        self._watchers.append(watcher)

    def unwatch(self, watcher: Callable[[str], None]) -> None:
        """Call it no more."""
        self._watchers.remove(watcher)

    def _end(self, message_id: str, ending: Ending | None) -> bool:
        """One that waited has ended so. What is raised leaves it, and another ending may follow."""
        outgoing = self._messages.get(message_id)
        if outgoing is None:
            return False
        self._endings.note(message_id, ending)
        self._journal.drop(_MESSAGE, message_id)
        self._journal.drop(_PROGRESS, message_id)
        self._room.free(outgoing)
        del self._messages[message_id]
        return True

    def _restore(self, entry_id: str, body: Message) -> None:
        outgoing, is_dated = _decode(entry_id, body, self._now())
        if not is_dated:  # of a version without times: its life begins now, and only once
            self._journal.put(_MESSAGE, entry_id, _encode(outgoing))
        self._arrive([self._numbered(outgoing)])

    def _numbered(self, outgoing: Outgoing) -> Outgoing:
        self._number += 1
        numbered = outgoing._replace(number=self._number)
        self._room.take(numbered)
        return numbered

    def _arrive(self, accepted: list[Outgoing]) -> None:
        for outgoing in accepted:
            self._room.take(outgoing)
            self._messages[outgoing.id] = outgoing
        self._arrived.extend(accepted)

    def _refusal(self, filled_by: FilledBy) -> BusyError:
        """What fills it, why that waits, and what can be done."""
        recipient, is_share = filled_by
        messages = _amount(len(self._room.held[recipient]), self._room.sizes[recipient])
        name = encode_base58(recipient)
        if is_share:
            what = f"no recipient can have more than half of the outbox, and {name} has {messages}"
        else:
            everything = _amount(self._room.count, self._room.size)
            what = f"the outbox is full, with {everything}; {messages} of it for {name}"
        oldest = next(iter(self._room.held[recipient].values()))
        return BusyError(
            f"busy: {what}. The oldest has waited for {duration(self.age(oldest))}: "
            f"{self._explain(oldest)}. Try again later, or take some back with nym-client outbox"
        )


def new_id() -> str:
    """An id that no other message has."""
    return os.urandom(ID_LENGTH).hex()


def _amount(count: int, size: int) -> str:
    return f"{count} message{'' if count == 1 else 's'} of {size / (1 << 20):.1f} MiB"


def _encode(outgoing: Outgoing) -> Message:
    head = _HEAD.pack(_DATED | outgoing.manner, outgoing.accepted, outgoing.recipient)
    return prefix(head, outgoing.message)


def _decode(entry_id: str, body: Message, now: float) -> tuple[Outgoing, bool]:
    """(the message, whether the entry has its time; otherwise that is `now`)."""
    if not body[:1][0] & _DATED:
        head, message = split(body, _UNDATED_HEAD)
        return Outgoing(entry_id, head[1:], message, Manner(head[0]), now), False
    head, message = split(body, _HEAD.size)
    manner, accepted, recipient = _HEAD.unpack(head)
    return Outgoing(entry_id, recipient, message, Manner(manner & ~_DATED), accepted), True
