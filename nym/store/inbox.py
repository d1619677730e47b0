"""Messages that have arrived and that no application has taken yet, in memory and on disk."""

import logging
import os
import struct
import time
from collections import OrderedDict
from collections.abc import Callable, Container, Iterable
from typing import Protocol

from nym.store.journal import Journal
from nym.store.shares import Holder, Losses, Shares, Standing, holder_of
from nym.timing import Fixed
from nym.wire.answers import Received
from nym.wire.pieces import Message, prefix, split
from nym.wire.requests import MOST_OFFERED
from nym.wire.sizes import ADDRESS_LENGTH, TAG_LENGTH

# Seconds between reviews, which let in senders that were refused. Acknowledgements can show in
# which of these intervals an application made room, but not when in it.
REVIEW = 3600.0

_KIND = "received"
_HEAD = struct.Struct(">dB")  # time of arrival; length of the sender's address, plus _SEALED
_SEALED = 0x80
# The message came to or from a reply address. After the sender, there are the account, the tag for
# an answer, or zeros, the length of `reply_from`, and `reply_from`.
_REPLY = 0x40
_MARKS = _SEALED | _REPLY

log = logging.getLogger(__name__)


class Inbox:
    """Received messages, oldest first.

    A message for which its sender's share (nym/store/shares.py) has no room is refused.

    A sender that proves who it is gets an acknowledgement when its message is kept. If room counted
    at once, it could send the same message again and again, and learn when an application makes
    room. So after a refusal, more messages are refused until the next review: all of the same
    sender if its own share was full, all of the same standing if the standing's room was full.
    Reviews happen at fixed times that do not depend on what applications do. A reply address has
    its own, a fixed time after a refusal: two addresses that are let in at the same moments, again
    and again, would belong to the same client.

    Applications can get a message once it is on disk. It leaves the inbox when an application has
    taken it, or has acknowledged it after it was offered. While a message is on offer to one
    subscriber, nobody else gets it. When that subscriber leaves, the message is free again.
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
        # By message id. A sender may become a contact later, but its messages must free the room
        # that they took.
        self._holders: dict[str, Holder] = {}
        self._closed: set[Holder | Standing] = set()  # refused until the next review
        self._closed_until: dict[Holder | Standing, float] = {}  # reply addresses
        self._review = Fixed(REVIEW, clock())
        self.refusals = Losses(
            log, logging.ERROR, "the inbox is full: new messages from {} are refused", clock
        )
        self._messages: dict[str, Received] = {}
        self._arrived: dict[str, Received] = {}  # perhaps not on disk yet, so not for applications
        # Those of `_messages` that aren't on offer. Unlike a dict, this gives its first ones fast.
        self._free: OrderedDict[str, Received] = OrderedDict()
        self._offered: dict[str, Subscriber] = {}
        self._leaving: dict[str, None] = {}  # acknowledged, but perhaps still on disk
        self._subscribers: list[Subscriber] = []
        self._watchers: list[Callable[[], None]] = []
        self._viewers: list[Viewer] = []
        for entry_id, body in journal.take(_KIND):
            self._keep(_decode(entry_id, body))

    def __len__(self) -> int:
        return len(self._messages) + len(self._arrived)

    def deliver(
        self,
        message: Message,
        sender: bytes | None = None,
        *,
        is_sealed: bool,
        reply_to: bytes | None = None,
        reply_from: bytes | None = None,
        account: bytes = b"",
    ) -> bool:
        """Keep a message, and return True. Return False if there is no room, so it is refused.

        The caller has to call `settle` after that. `is_sealed` tells whether the message came in an
        envelope; only then can there be a `sender`, its authenticated address, or the rest (see
        Received). If this call raises, the message isn't kept.
        """
        received = Received(
            os.urandom(8).hex(),
            message,
            time.time(),
            sender,
            is_sealed,
            reply_to,
            reply_from,
            account,
        )
        if not self.has_room(self._holder(received), len(message)):
            return False
        self._arrived[received.id] = received
        try:
            self._journal.put(_KIND, received.id, _encode(received))
        except BaseException:
            del self._arrived[received.id]
            raise
        self._charge(received)
        return True

    def has_room(self, holder: Holder, length: int) -> bool:
        """Whether a message of `length` bytes would be kept. If not, it is counted as refused."""
        has_room = self._has_room(holder, length)
        if not has_room:
            self.refusals.note(holder.standing)
        return has_room

    def settle(self) -> None:
        """Wait until all delivered messages, and all else in the journal, are on disk.

        Raises StoreError if that fails. Then the caller has to call it again.
        """
        # More messages may arrive during the flush, and they may not be part of it.
        arrived = list(self._arrived)
        self._journal.flush()
        for message_id in arrived:
            if received := self._arrived.pop(message_id, None):
                self._add(received)
        if arrived:
            self._notify()

    def take(
        self,
        most_bytes: int | None = None,
        size: Callable[[Message], int] = len,
        longest: int | None = None,
    ) -> list[Received]:
        """Take all messages, or the oldest ones that fit into `most_bytes`, but at least one.

        `size` returns how many bytes a message needs. Messages longer than `longest` bytes are
        skipped. The caller has to call `handed_over` or `give_back` for what it took.
        """
        taken: list[Received] = []
        room = most_bytes
        for received in self._free.values():
            if longest is not None and len(received.message) > longest:
                continue
            if room is not None:
                room -= size(received.message)
                # One message always goes: if it waited for more room, it would wait for ever.
                if room < 0 and taken:
                    break
            taken.append(received)
        # They stay on disk until `handed_over`. If the process dies before that, they come again.
        for received in taken:
            self._remove(received.id)
        return taken

    def handed_over(self, messages: Iterable[Received]) -> None:
        """Delete messages that the application has received."""
        for received in messages:
            self._journal.drop(_KIND, received.id)

    def give_back(self, messages: list[Received]) -> None:
        """Put messages that did not reach the application back, in front of all others."""
        later, self._messages = self._messages, {}
        free, self._free = self._free, OrderedDict()
        for received in messages:
            self._keep(received)
        self._messages |= later
        self._free |= free
        self._notify()

    def find(self, message_id: str) -> Received | None:
        """The message with this id, which stays here; None if there is none."""
        return self._messages.get(message_id)

    def view(self, viewer: "Viewer") -> None:
        """Tell `viewer` of all messages, also those on offer to others, and of each change."""
        for received in self._messages.values():
            viewer.came(received)
        self._viewers.append(viewer)

    def unview(self, viewer: "Viewer") -> None:
        """Tell `viewer` nothing more."""
        self._viewers.remove(viewer)

    def has_free(self) -> bool:
        """Whether there is a message that is not on offer to a subscriber."""
        return bool(self._free)

    def watch(self, notify: Callable[[], None]) -> None:
        """Call `notify` when there may be more messages to take."""
        self._watchers.append(notify)

    def unwatch(self, notify: Callable[[], None]) -> None:
        """Stop calling `notify`."""
        self._watchers.remove(notify)

    def subscribe(self, notify: Callable[[], None], window: int = MOST_OFFERED) -> "Subscriber":
        """Return a new subscriber, which is offered messages, oldest first.

        At most `window` of them are on offer, and not acknowledged, at a time. `notify` is called
        when there may be messages to offer.
        """
        subscriber = Subscriber(notify, window)
        self._subscribers.append(subscriber)
        return subscriber

    def unsubscribe(self, subscriber: "Subscriber") -> None:
        """Remove a subscriber. Messages that it did not acknowledge are free for all again."""
        self._subscribers.remove(subscriber)
        self._offered = {id_: s for id_, s in self._offered.items() if s is not subscriber}
        self._free = OrderedDict(
            (id_, received) for id_, received in self._messages.items() if id_ not in self._offered
        )
        self._notify()

    def offer(self, subscriber: "Subscriber") -> list[Received]:
        """Offer messages to this subscriber, as many as its window has room for."""
        offered = []
        while self._free and subscriber.offered < subscriber.window:
            message_id, received = self._free.popitem(last=False)
            self._offered[message_id] = subscriber
            subscriber.offered += 1
            offered.append(received)
        return offered

    def is_drained(self, subscriber: "Subscriber") -> bool:
        """Whether there is nothing to offer to this subscriber, and nothing on offer to it."""
        return not subscriber.offered and not self._free

    def acknowledge(self, message_ids: Iterable[str]) -> list[bool]:
        """Delete messages, also from the disk. Returns for each id whether there was one with it.

        Waits once for all of them. Raises StoreError if they are not deleted from the disk yet.
        Then the application can acknowledge them again.
        """
        found = [self._let_go(message_id) for message_id in message_ids]
        if not any(found):
            return found
        self._notify()  # there is room for other offers
        # More may be acknowledged during the flush, and they may not be part of it.
        leaving = list(self._leaving)
        self._journal.flush()
        for gone in leaving:
            self._leaving.pop(gone, None)
        return found

    def _let_go(self, message_id: str) -> bool:
        """Delete an acknowledged message soon. Returns False if there is none with this id."""
        if message_id in self._messages:
            self._remove(message_id)
            self._leaving[message_id] = None
            self._journal.drop(_KIND, message_id)
        return message_id in self._leaving

    def _has_room(self, holder: Holder, length: int) -> bool:
        now = self._clock()
        if now >= self._review.deadline:
            self._review.advance(now)
            self._closed.clear()
        for closed in [closed for closed, until in self._closed_until.items() if until <= now]:
            del self._closed_until[closed]
        if holder in self._closed_until or not self._closed.isdisjoint((holder, holder.standing)):
            return False
        full = self._shares.overfull(holder, more=length)
        # Anonymous senders get no acknowledgement, so room for them can count at once.
        if full is not None and holder.standing is Standing.CORRESPONDENT:
            self._closed_until[full] = now + REVIEW
        elif full is not None and holder.standing is not Standing.ANONYMOUS:
            self._closed.add(full)
        return full is None

    def _keep(self, received: Received) -> None:
        self._add(received)
        self._charge(received)

    def _add(self, received: Received) -> None:
        self._messages[received.id] = self._free[received.id] = received
        for viewer in self._viewers:
            viewer.came(received)

    def _charge(self, received: Received) -> None:
        holder = self._holder(received)
        self._holders[received.id] = holder
        self._shares.take(holder, len(received.message))

    def _holder(self, received: Received) -> Holder:
        if received.reply_from:
            return holder_of(None, self._contacts, received.account)
        return holder_of(received.account or received.sender, self._contacts)

    def _remove(self, message_id: str) -> None:
        received = self._messages.pop(message_id)
        self._shares.free(self._holders.pop(message_id), len(received.message))
        if subscriber := self._offered.pop(message_id, None):
            subscriber.offered -= 1
        else:
            del self._free[message_id]
        for viewer in self._viewers:
            viewer.gone(message_id)

    def _notify(self) -> None:
        for subscriber in self._subscribers:
            subscriber.notify()
        for notify in self._watchers:
            notify()


class Viewer(Protocol):
    """Is told which messages are in the inbox, and takes none."""

    def came(self, received: Received) -> None:
        """A message is there, or is there again."""

    def gone(self, message_id: str) -> None:
        """The message with this id has left."""


class Subscriber:
    """A receiver of offers, told from others by identity, with a function that wakes it."""

    def __init__(self, notify: Callable[[], None], window: int) -> None:
        self.notify = notify
        self.window = window
        self.offered = 0  # messages that are on offer to it


def _encode(received: Received) -> Message:
    sender, reply = received.sender or b"", b""
    marks = _SEALED if received.sealed else 0
    if received.account:
        marks |= _REPLY
        given = received.reply_from or b""
        tag = received.reply_to or bytes(TAG_LENGTH)
        reply = received.account + tag + bytes([len(given)]) + given
    head = _HEAD.pack(received.at, len(sender) | marks)
    return prefix(head + sender + reply, received.message)


def _decode(entry_id: str, body: Message) -> Received:
    head, rest = split(body, _HEAD.size)
    at, marked = _HEAD.unpack(head)
    sender, rest = split(rest, marked & ~_MARKS)
    # Earlier versions did not note seals. Only a sealed message can have a sender, so one with a
    # sender was sealed. Of others nothing is known, and they do not count as sealed.
    is_sealed = bool(sender) or bool(marked & _SEALED)
    received = Received(entry_id, rest, at, sender or None, is_sealed)
    if not marked & _REPLY:
        return received
    ends, rest = split(rest, ADDRESS_LENGTH + TAG_LENGTH + 1)
    given, rest = split(rest, ends[-1])
    tag = ends[ADDRESS_LENGTH:-1]
    return received._replace(
        message=rest,
        account=ends[:ADDRESS_LENGTH],
        reply_to=tag if any(tag) else None,
        reply_from=given or None,
    )
