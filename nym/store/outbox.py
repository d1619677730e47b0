"""Messages that the client has accepted and not finished sending.

`accept` returns when they are on disk. A message stays until it ends: it is done, given up, or
cancelled (nym/client/deliveries.py decides that). An ending changes the journal first and the
memory last. If an error is raised in between, the message still waits, and can be ended again.
"""

import logging
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
from nym.store.outgoing import ID_LENGTH, Ends, Manner, Outgoing, new_id
from nym.store.room import FilledBy, Room
from nym.timing import duration
from nym.wire.pieces import Message, prefix, split
from nym.wire.sizes import ADDRESS_LENGTH, TAG_LENGTH

__all__ = ["ID_LENGTH", "Ends", "Manner", "Outbox", "Outgoing", "new_id"]

_MESSAGE, _PROGRESS = "outgoing", "progress"
_HEAD = Struct(">Bd32s")  # manner plus _DATED, time of acceptance, recipient
# Marks entries that have a time. Entries of format 1 don't: they begin with the manner alone, which
# is always less than this bit.
_DATED = 0x80
# Marks entries of messages to or from reply addresses. These and their tags follow the head.
_REPLY = 0x40
_ENDS = Struct(f">{ADDRESS_LENGTH}s{TAG_LENGTH}s")  # zeros for the main address, and for no tag
_MARKS = _DATED | _REPLY
_UNDATED_HEAD = 1 + 32

log = logging.getLogger(__name__)


class Outbox:
    """The accepted messages, with limits, because applications are faster than the Poisson stream.

    `now` reads a clock that goes on across starts (nym/store/clock.py). `explain` returns why a
    message waits, for the error that refuses another one.
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
        self._number = 0  # of the latest message since the start: lists go on behind a number
        self._arrived: deque[Outgoing] = deque()
        self._watchers: list[Callable[[str], None]] = []
        self._progress = dict(journal.take_short(_PROGRESS))
        self._noted = set(self._progress)  # the messages whose progress is on disk
        self._endings = Endings(journal)
        for entry_id, body in journal.take(_MESSAGE):
            self._restore(entry_id, body)

    def __len__(self) -> int:
        return len(self._messages)

    def __contains__(self, message_id: str) -> bool:
        return message_id in self._messages

    @property
    def failed(self) -> list[str]:
        """Ids of the messages that were given up, oldest first."""
        return list(self._endings.ids[Ending.FAILED])

    def has_failed(self, message_id: str) -> bool:
        """Whether the message was given up."""
        return message_id in self._endings.ids[Ending.FAILED]

    def was_cancelled(self, message_id: str) -> bool:
        """Whether the message was cancelled."""
        return message_id in self._endings.ids[Ending.CANCELLED]

    def age(self, outgoing: Outgoing) -> float:
        """Seconds since the message was accepted, including time when the client did not run."""
        return max(0.0, self._now() - outgoing.accepted)

    def waiting(self, after: int, most: int) -> list[Outgoing]:
        """Return the first `most` messages with a number above `after`, oldest first."""
        later = (outgoing for outgoing in self._messages.values() if outgoing.number > after)
        return list(islice(later, most))

    def accept(self, messages: Iterable[Outgoing]) -> list[BusyError | StoreError | None]:
        """Accept messages, and wait once until all of them are on disk.

        Returns the outcome of each message, in order: None if it was accepted, or the error.
        """
        outcomes: list[BusyError | StoreError | None] = []
        accepted: list[Outgoing] = []
        # Many messages at once may be refused for one reason, and its text takes time to make.
        refusal = cache(self._refusal)

        def written(error: StoreError | None) -> None:
            # Only now can a message be listed and cancelled. If it was cancelled before it was
            # written, the write would bring it back.
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
            # The greenlet may have been killed while it waited, and the messages may be written
            # all the same. Then `written` takes their room again.
            for outgoing in accepted:
                self._room.free(outgoing)
            if not isinstance(error, StoreError):
                raise
            return [outcome or error for outcome in outcomes]
        return outcomes

    def arrivals(self) -> Iterator[tuple[Outgoing, bytes]]:
        """Yield the messages that are new, each with the progress that was noted.

        A message counts as seen when the caller asks for the next one. So if the caller raises, the
        message is yielded again next time.
        """
        while self._arrived:
            outgoing = self._arrived[0]
            if outgoing.id in self._messages:
                yield outgoing, self._progress.get(outgoing.id, b"")
            self._arrived.popleft()
            self._progress.pop(outgoing.id, None)

    def note(self, message_id: str, progress: bytes) -> None:
        """Keep the progress of a message for the next start."""
        self._journal.put(_PROGRESS, message_id, progress)
        self._noted.add(message_id)

    def done(self, message_id: str) -> None:
        """End a message for which nothing is left to do."""
        self._end(message_id, None)

    def give_up(self, message_id: str) -> None:
        """End a message that will not arrive. Its id is kept, and passed to the watchers."""
        if not self._end(message_id, Ending.FAILED):
            return
        for watcher in tuple(self._watchers):
            try:
                watcher(message_id)
            except Exception:  # the other watchers must still be told
                log.exception("a subscriber could not be told of a message that was given up")

    def cancel(self, message_id: str) -> None:
        """End a message on request. Its id is kept. `flush` waits until that is on disk."""
        self._end(message_id, Ending.CANCELLED)

    def flush(self) -> None:
        """Wait until all endings are on disk. Raises StoreError."""
        self._journal.flush()

    def watch(self, watcher: Callable[[str], None]) -> None:
        """Call `watcher` with the id of each message that is given up from now on."""
        self._watchers.append(watcher)

    def unwatch(self, watcher: Callable[[str], None]) -> None:
        """Stop calling `watcher`."""
        self._watchers.remove(watcher)

    def _end(self, message_id: str, ending: Ending | None) -> bool:
        """End a message that waits; returns False if there is none with this id.

        If this call raises, the message still waits, and can be ended in this or another way.
        """
        outgoing = self._messages.get(message_id)
        if outgoing is None:
            return False
        self._endings.note(message_id, ending)
        self._journal.drop(_MESSAGE, message_id)
        if message_id in self._noted:  # few have any: short messages leave at once
            self._journal.drop(_PROGRESS, message_id)
            self._noted.remove(message_id)
        self._room.free(outgoing)
        del self._messages[message_id]
        return True

    def _restore(self, entry_id: str, body: Message) -> None:
        outgoing, is_dated = _decode(entry_id, body, self._now())
        if not is_dated:
            # Its lifetime begins now. The time is written, or it would begin again at each start.
            self._journal.put(_MESSAGE, entry_id, _encode(outgoing))
        self._arrive([self._numbered(outgoing)])

    def _numbered(self, outgoing: Outgoing) -> Outgoing:
        self._number += 1
        numbered = outgoing._replace(number=self._number)
        self._room.take(numbered)
        return numbered

    def _arrive(self, accepted: list[Outgoing]) -> None:
        for outgoing in accepted:
            # It has its room already, unless its greenlet was killed: then `accept` freed it.
            self._room.take(outgoing)
            self._messages[outgoing.id] = outgoing
        self._arrived.extend(accepted)

    def _refusal(self, filled_by: FilledBy) -> BusyError:
        """Say what fills the outbox, why that waits, and what can be done."""
        recipient, is_share = filled_by
        messages = _amount(len(self._room.held[recipient]), self._room.sizes[recipient])
        oldest = next(iter(self._room.held[recipient].values()))
        name = oldest.to
        if is_share:
            what = f"no recipient can have more than half of the outbox, and {name} has {messages}"
        else:
            everything = _amount(self._room.count, self._room.size)
            what = f"the outbox is full, with {everything}; {messages} of it for {name}"
        return BusyError(
            f"busy: {what}. The oldest has waited for {duration(self.age(oldest))}: "
            f"{self._explain(oldest)}. Try again later, or cancel some with nym-client outbox"
        )


def _amount(count: int, size: int) -> str:
    return f"{count} message{'' if count == 1 else 's'} of {size / (1 << 20):.1f} MiB"


def _encode(outgoing: Outgoing) -> Message:
    marks = _DATED | (_REPLY if outgoing.ends.is_reply else 0)
    head = _HEAD.pack(marks | outgoing.manner, outgoing.accepted, outgoing.recipient)
    ends = _ENDS.pack(outgoing.own, outgoing.tag) if outgoing.ends.is_reply else b""
    return prefix(head + ends, outgoing.message)


def _decode(entry_id: str, body: Message, now: float) -> tuple[Outgoing, bool]:
    """Return (the message, whether the entry has a time). Without one, the time is `now`."""
    if not body[:1][0] & _DATED:
        head, message = split(body, _UNDATED_HEAD)
        return Outgoing(entry_id, head[1:], message, Manner(head[0]), now), False
    head, message = split(body, _HEAD.size)
    manner, accepted, recipient = _HEAD.unpack(head)
    outgoing = Outgoing(entry_id, recipient, message, Manner(manner & ~_MARKS), accepted)
    if not manner & _REPLY:
        return outgoing, True
    ends, message = split(message, _ENDS.size)
    own, tag = (end if any(end) else b"" for end in _ENDS.unpack(ends))
    return outgoing._replace(message=message, own=own, tag=tag), True
