"""Messages from fragments: in any order, each fragment once, each message once.

Strangers decide what comes here, so all of it has limits: shares (nym/store/shares.py) of the
messages that are begun, and of their bytes. Where there is no room, the message of the same share
is given up of which nothing came for longest. So to push out a message, somebody has to begin or
continue all others of its standing, thousands, between two of its fragments. That can't be aimed
better: neither how much of a message is there counts, nor how much is missing, which a flood can
have as it likes. A message of which nothing new comes for PATIENCE seconds is given up, too.
"""

import logging
from collections import Counter, OrderedDict
from collections.abc import Container
from itertools import islice
from struct import Struct

from nym.client.partial import Partial
from nym.envelope import Fragment, Run
from nym.store.inbox import Inbox
from nym.store.journal import Journal
from nym.store.seen import Key, Seen
from nym.store.shares import Holder, Losses, Shares, Standing, holder_of
from nym.wire.pieces import Message

PATIENCE = 86_400.0
MOST_EXPIRED = 100  # at a time: after a start, all of them have waited equally long

_KIND = "fragment"
_HEAD = Struct(">HHBB")  # index, count, length of message id, of sender

log = logging.getLogger(__name__)


class Assembly:
    """Puts fragments together, and delivers complete messages to the inbox."""

    def __init__(
        self, journal: Journal, inbox: Inbox, now: float, contacts: Container[bytes] = ()
    ) -> None:
        self._journal = journal
        self._inbox = inbox
        self._contacts = contacts
        self._seen = Seen(journal, contacts)
        self._shares = Shares()
        self._partial: dict[Key, Partial] = {}
        # The last touched at the end.
        self._turns: dict[Standing, OrderedDict[Key, None]] = {s: OrderedDict() for s in Standing}
        self._pushed_out = Losses(
            log, logging.WARNING, "parts of messages from {} are given up: too many are begun"
        )
        self._expired = Losses(
            log, logging.WARNING, "parts of messages from {} are given up: nothing more came"
        )
        for _, body in journal.take_short(_KIND):
            fragment = _decode(body)
            self._keep(_key(fragment), fragment, now)

    def __len__(self) -> int:
        return len(self._partial)

    @property
    def given_up(self) -> Counter[Standing]:
        """How many messages were given up."""
        return self._pushed_out.counts + self._expired.counts

    def add(self, fragment: Fragment, now: float) -> Run | None:
        """Keep a fragment, and deliver the message that it completes.

        Returns the run of fragments around it that is there, on disk with the journal's next
        flush; None where there is no room for it.
        """
        key, index, count = _key(fragment), fragment.index, fragment.count
        everything = Run(fragment.message_id, 0, count - 1)
        if key in self._seen:
            return everything
        partial = self._partial.get(key)
        if partial and partial.count != count:
            log.debug("a fragment that contradicts those before it was dropped")
            return None
        if partial and index in partial:
            return Run(fragment.message_id, *partial.run(index))
        if count == (partial.kept + 1 if partial else 1):
            return everything if self._complete(key, fragment) else None
        # Asked for first: whatever is raised, nothing is acknowledged that the disk won't have.
        self._journal.put(_KIND, f"{key.name} {index}", _encode(fragment))
        first, last = self._keep(key, fragment, now)
        self._make_room(key)
        return Run(fragment.message_id, first, last)

    def expire(self, now: float) -> None:
        """Give up messages of which nothing has come for too long, some of them at a time."""
        for turns in self._turns.values():
            for key in list(islice(turns, MOST_EXPIRED)):
                if now - self._partial[key].touched <= PATIENCE:
                    break
                self._give_up(key, self._expired)

    def _complete(self, key: Key, last: Fragment) -> bool:
        partial = self._partial.get(key)
        message = partial.completed_by(last) if partial else last.data
        # Whoever is known to have sent it sends it again; others may have sent copies.
        if not self._inbox.has_room(key.sender, len(message)):
            return False
        if not self._deliver(key, message):
            return False
        self._forget(key)
        return True

    def _deliver(self, key: Key, message: Message) -> bool:
        """Deliver a message, and remember it as seen: both, or neither, whatever is raised.

        It counts as seen first, so that it can't come out twice. Both are on disk together.
        """
        is_delivered = False
        try:
            self._seen.add(key)
            is_delivered = self._inbox.deliver(message, key.sender, is_sealed=True)
        finally:
            if not is_delivered:
                self._seen.take_back(key)
        return is_delivered

    def _keep(self, key: Key, fragment: Fragment, now: float) -> tuple[int, int]:
        partial = self._partial.get(key)
        is_new = partial is None
        if partial is None:
            holder = holder_of(key.sender, self._contacts)
            self._partial[key] = partial = Partial(fragment.count, holder)
        turns = self._turns[partial.holder.standing]
        turns[key] = None
        turns.move_to_end(key)
        self._shares.take(partial.holder, len(fragment.data), messages=int(is_new))
        return partial.keep(fragment.index, fragment.data, now)

    def _make_room(self, key: Key) -> None:
        """Give up others until no share is too large because of this message."""
        holder = self._partial[key].holder
        while overfull := self._shares.overfull(holder):
            in_turn = (other for other in self._turns[holder.standing] if other != key)
            if isinstance(overfull, Holder):
                in_turn = (other for other in in_turn if self._partial[other].holder == overfull)
            untouched_for_longest = next(in_turn, None)
            if untouched_for_longest is None:
                return
            self._give_up(untouched_for_longest, self._pushed_out)

    def _give_up(self, key: Key, losses: Losses) -> None:
        losses.note(self._partial[key].holder.standing)
        self._forget(key)

    def _forget(self, key: Key) -> None:
        partial = self._partial.pop(key, None)
        if partial is None:
            return
        del self._turns[partial.holder.standing][key]
        self._shares.free(partial.holder, partial.size)
        self._journal.drop_parts(_KIND, key.name)


def _key(fragment: Fragment) -> Key:
    return Key(fragment.sender, fragment.message_id)


def _encode(fragment: Fragment) -> bytes:
    sender = fragment.sender or b""
    head = _HEAD.pack(fragment.index, fragment.count, len(fragment.message_id), len(sender))
    return head + fragment.message_id + sender + fragment.data


def _decode(body: bytes) -> Fragment:
    index, count, id_length, sender_length = _HEAD.unpack_from(body)
    sender_at = _HEAD.size + id_length
    data_at = sender_at + sender_length
    message_id, sender = body[_HEAD.size : sender_at], body[sender_at:data_at]
    return Fragment(message_id, index, count, body[data_at:], sender or None)
