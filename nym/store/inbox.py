"""Messages that came and wait for an application, in memory and on disk."""

import logging
import os
import struct
import time
from collections.abc import Callable, Container, Iterable, Iterator
from itertools import islice

from nym.store.journal import Journal
from nym.store.shares import Holder, Losses, Shares, Standing, holder_of
from nym.timing import Fixed
from nym.wire.pieces import Message, prefix, split
from nym.wire.requests import MOST_OFFERED, Received

REVIEW = 3600.0  # seconds between looks whether there is room again for those who were refused

_KIND = "received"
_HEAD = struct.Struct(">dB")  # when it came; the length of the sender's address, and _SEALED
_SEALED = 0x80

log = logging.getLogger(__name__)


class Inbox:
    """Received messages, oldest first. Those that find no room in their shares are refused.

    Who proves to have sent a message is told when it is kept, and so could tell when applications
    make room, by sending another one again and again. So once one of them was refused, all are
    until the next review, at times that depend on nothing: all of the same sender where its own
    share was full, all of the same standing where that was.

    A message is there for applications once it is on disk. It leaves when one of them has taken it,
    or acknowledged it after it was offered. While it is on offer nobody else gets it; when its
    subscriber goes, it is there for all again.
    """

    def __init__(
        self,
        journal: Journal,
        contacts: Container[bytes] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._journal = journal
        self._contacts = contacts
        self._clock = clock
        self._shares = Shares()
        self._holders: dict[str, Holder] = {}  # by the message's id
        self._closed: set[Holder | Standing] = set()  # until the next review
        self._review = Fixed(REVIEW, clock())
        self.refusals = Losses(
            log, logging.ERROR, "the inbox is full: new messages from {} are refused", clock
        )
        self._messages: dict[str, Received] = {}
        self._arrived: dict[str, Received] = {}  # and perhaps not on disk yet
        self._offered: dict[str, Subscriber] = {}
        self._leaving: dict[str, None] = {}  # acknowledged, and perhaps on disk as yet
        self._subscribers: list[Subscriber] = []
        self._watchers: list[Callable[[], None]] = []
        for entry_id, body in journal.take(_KIND):
            self._keep(_decode(entry_id, body))

    def __len__(self) -> int:
        return len(self._messages) + len(self._arrived)

    def deliver(self, message: Message, sender: bytes | None = None, *, is_sealed: bool) -> bool:
        """Keep a message, which has to be settled then. False without room: it is refused.

        `is_sealed`: it came in an envelope; `sender`, its authenticated address, is known of those.
        Whatever is raised, it isn't kept then.
        """
        if not self.has_room(sender, len(message)):
            return False
        received = Received(os.urandom(8).hex(), message, time.time(), sender, is_sealed)
        self._arrived[received.id] = received
        try:
            self._journal.put(_KIND, received.id, _encode(received))
        except BaseException:
            del self._arrived[received.id]
            raise
        self._charge(received)
        return True

    def has_room(self, sender: bytes | None, length: int) -> bool:
        """Whether a message of so many bytes would be kept. Otherwise it counts as refused."""
        holder = holder_of(sender, self._contacts)
        has_room = self._has_room(holder, length)
        if not has_room:
            self.refusals.note(holder.standing)
        return has_room

    def settle(self) -> None:
        """What was delivered, and all else in the journal, is on disk when this returns.

        Raises StoreError if the disk doesn't take it now; it has to be settled again.
        """
        arrived = list(self._arrived)  # more may come while the disk is waited for
        self._journal.flush()
        for message_id in arrived:
            if received := self._arrived.pop(message_id, None):
                self._messages[message_id] = received
        if arrived:
            self._notify()

    def take(
        self,
        most_bytes: int | None = None,
        size: Callable[[Message], int] = len,
        longest: int | None = None,
    ) -> list[Received]:
        """All messages, or the oldest that `most_bytes` have room for, and at least one.

        `size` gives the bytes that a message takes; those of more than `longest` bytes are passed
        over. What is taken has to be `handed_over` or given back.
        """
        taken: list[Received] = []
        room = most_bytes
        for received in self._free():
            if longest is not None and len(received.message) > longest:
                continue
            if room is not None:
                room -= size(received.message)
                if room < 0 and taken:
                    break
            taken.append(received)
        for received in taken:
            self._remove(received.id)
        return taken

    def handed_over(self, messages: Iterable[Received]) -> None:
        """The application has what it took."""
        for received in messages:
            self._journal.drop(_KIND, received.id)

    def give_back(self, messages: list[Received]) -> None:
        """Put messages that did not reach the application before all others."""
        later, self._messages = self._messages, {}
        for received in messages:
            self._keep(received)
        self._messages |= later
        self._notify()

    def has_free(self) -> bool:
        """Whether there is a message that is not on offer to anybody."""
        return any(True for _ in self._free())

    def watch(self, notify: Callable[[], None]) -> None:
        """Call `notify` when there may be more for somebody who takes it."""
        self._watchers.append(notify)

    def unwatch(self, notify: Callable[[], None]) -> None:
        """Call it no more."""
        self._watchers.remove(notify)

    def subscribe(self, notify: Callable[[], None], window: int = MOST_OFFERED) -> "Subscriber":
        """Somebody to whom messages are offered, at most `window` that aren't acknowledged.

        `notify` is called when there may be some.
        """
        subscriber = Subscriber(notify, window)
        self._subscribers.append(subscriber)
        return subscriber

    def unsubscribe(self, subscriber: "Subscriber") -> None:
        """What was offered to this one, and not acknowledged, is there for all again."""
        self._subscribers.remove(subscriber)
        self._offered = {id_: s for id_, s in self._offered.items() if s is not subscriber}
        self._notify()

    def offer(self, subscriber: "Subscriber") -> list[Received]:
        """Messages for this subscriber, as long as it doesn't have too many unacknowledged."""
        room = subscriber.window - sum(s is subscriber for s in self._offered.values())
        offered = list(islice(self._free(), max(0, room)))
        self._offered.update((received.id, subscriber) for received in offered)
        return offered

    def is_drained(self, subscriber: "Subscriber") -> bool:
        """Whether there is nothing to offer to this one, and nothing on offer."""
        return subscriber not in self._offered.values() and not self.has_free()

    def acknowledge(self, message_id: str) -> bool:
        """Drop a message, on disk, too; False if there is none with this id.

        Raises StoreError if the disk doesn't have that yet: it may be acknowledged again.
        """
        if message_id in self._messages:
            self._remove(message_id)
            self._leaving[message_id] = None
            self._journal.drop(_KIND, message_id)
            self._notify()  # there is room for another offer
        elif message_id not in self._leaving:
            return False
        leaving = list(self._leaving)  # more may go while the disk is waited for
        self._journal.flush()
        for gone in leaving:
            self._leaving.pop(gone, None)
        return True

    def _free(self) -> Iterator[Received]:
        return (r for r in self._messages.values() if r.id not in self._offered)

    def _has_room(self, holder: Holder, length: int) -> bool:
        now = self._clock()
        if now >= self._review.deadline:
            self._review.advance(now)
            self._closed.clear()
        if holder in self._closed or holder.standing in self._closed:
            return False
        full = self._shares.overfull(holder, more=length)
        if full is not None and holder.standing is not Standing.ANONYMOUS:
            self._closed.add(full)
        return full is None

    def _keep(self, received: Received) -> None:
        self._messages[received.id] = received
        self._charge(received)

    def _charge(self, received: Received) -> None:
        holder = holder_of(received.sender, self._contacts)
        self._holders[received.id] = holder
        self._shares.take(holder, len(received.message))

    def _remove(self, message_id: str) -> None:
        received = self._messages.pop(message_id)
        self._shares.free(self._holders.pop(message_id), len(received.message))
        self._offered.pop(message_id, None)

    def _notify(self) -> None:
        for subscriber in self._subscribers:
            subscriber.notify()
        for notify in self._watchers:
            notify()


class Subscriber:
    """Whom messages are offered to; an identity, and a way to wake it."""

    def __init__(self, notify: Callable[[], None], window: int) -> None:
        self.notify = notify
        self.window = window


def _encode(received: Received) -> Message:
    sender = received.sender or b""
    seal = _SEALED if received.sealed else 0
    return prefix(_HEAD.pack(received.at, len(sender) | seal) + sender, received.message)


def _decode(entry_id: str, body: Message) -> Received:
    at, sender_and_seal = _HEAD.unpack(body[: _HEAD.size])
    head, message = split(body, _HEAD.size + (sender_and_seal & ~_SEALED))
    sender = head[_HEAD.size :] or None
    # Earlier versions didn't note seals; they knew the senders of sealed messages only.
    is_sealed = sender is not None or bool(sender_and_seal & _SEALED)
    return Received(entry_id, message, at, sender, is_sealed)
