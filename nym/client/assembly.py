"""Assembles messages from their fragments, which may arrive in any order, and more than once.

Strangers decide what arrives here, so the number and the size of incomplete messages are limited
for each sender and each standing (nym/store/shares.py). If a limit is exceeded, one of the messages
under that limit is given up: the one that has waited longest for a new fragment. So to push out a
message, a flood has to begin or continue all others of its standing, which are thousands, between
two fragments of that message. A flood can't aim better than that. Neither the part of a message
that has arrived counts, nor the part that is missing, because a flood can choose both.

A message for which nothing new arrives for PATIENCE seconds is given up, too.
"""

import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Container
from itertools import islice
from struct import Struct

from nym.client.partial import Partial
from nym.client.unpacked import Unpacked, as_it_came
from nym.envelope import Fragment, Reply, Run
from nym.store.inbox import Inbox
from nym.store.journal import Journal
from nym.store.seen import Key, Seen
from nym.store.shares import Holder, Losses, Shares, Standing, holder_of
from nym.wire.pieces import Message
from nym.wire.sizes import ADDRESS_LENGTH

PATIENCE = 86_400.0
MOST_EXPIRED = 100  # at a time: all messages from before a start expire together

_KIND = "fragment"
_HEAD = Struct(">HHBB")  # index, count, length of the message id plus marks, length of the sender
# Marks of a fragment to or from a reply address. If the client's end is one, it follows the sender,
# and counts as a part of it.
_REPLY, _IS_ACKNOWLEDGED, _IS_ANSWERABLE = 0x80, 0x40, 0x20
_LENGTH = 0x1F  # the bits that are left for the length

log = logging.getLogger(__name__)


class Assembly:
    """Puts fragments together, and delivers complete messages to the inbox.

    Incomplete messages are also kept on disk, fragment by fragment. `unpack` is called with the
    last fragment that came of a message, the client's end of it, and the message. It returns what
    applications get, or None for nothing.
    """

    def __init__(
        self,
        journal: Journal,
        inbox: Inbox,
        now: float,
        contacts: Container[bytes] = (),
        unpack: Callable[[Fragment, bytes, Message], Unpacked | None] = as_it_came,
    ) -> None:
        self._journal = journal
        self._inbox = inbox
        self._contacts = contacts
        self._unpack = unpack
        self._seen = Seen(journal, contacts)
        self._shares = Shares()
        self._partial: dict[Key, Partial] = {}
        # Incomplete messages in the order in which they are given up. A new fragment moves its
        # message to the end.
        # Each reply address has an order of its own: otherwise, expired messages at one would delay
        # when those at another expire, which acknowledgements show.
        self._turns: dict[Standing | Holder, OrderedDict[Key, None]] = {}
        self._pushed_out = Losses(
            log,
            logging.WARNING,
            "incomplete messages from {} are given up, because there is no room for more",
        )
        self._expired = Losses(
            log,
            logging.WARNING,
            "incomplete messages from {} are given up, because nothing more of them arrived",
        )
        for _, body in journal.take_short(_KIND):
            fragment, own = _decode(body)
            self._keep(_key(fragment, own), fragment, now)

    def __len__(self) -> int:
        return len(self._partial)

    @property
    def given_up(self) -> Counter[Standing]:
        """How many messages were given up, by standing."""
        return self._pushed_out.counts + self._expired.counts

    def add(self, fragment: Fragment, now: float, own: bytes = b"") -> Run | None:
        """Keep a fragment. If it completes its message, deliver that to the inbox.

        `own` is the reply address to which it came, or empty: the main one.

        Returns the run of fragments around this one that have arrived. They are on disk after the
        journal's next flush, and may be acknowledged then. Returns None if the fragment was not
        kept, because there is no room or it contradicts an earlier one.
        """
        key, index, count = _key(fragment, own), fragment.index, fragment.count
        everything = Run(fragment.message_id, 0, count - 1)
        # The message was delivered already. If it is reliable, it is acknowledged again: its sender
        # may not have received the first acknowledgement.
        if key in self._seen:
            return everything
        partial = self._partial.get(key)
        if partial and partial.count != count:
            log.debug("a fragment that contradicts those before it was dropped")
            return None
        if partial and index in partial:
            return Run(fragment.message_id, *partial.run(index))
        # The last missing fragment is not written to disk itself: the whole message is, or nothing.
        if count == (partial.kept + 1 if partial else 1):
            return everything if self._complete(key, fragment) else None
        # On its way to disk before it is kept in memory. In the other order, an error in between
        # would leave a fragment that is acknowledged, but is not on disk after a crash.
        self._journal.put(_KIND, f"{key.name} {index}", _encode(fragment, own))
        first, last = self._keep(key, fragment, now)
        self._make_room(key)
        return Run(fragment.message_id, first, last)

    def expire(self, now: float) -> None:
        """Give up messages for which nothing has arrived for too long, some of them at a time."""
        for turns in list(self._turns.values()):
            for key in list(islice(turns, MOST_EXPIRED)):
                if now - self._partial[key].touched <= PATIENCE:
                    break
                self._give_up(key, self._expired)

    def forsake(self, own: bytes) -> None:
        """Forget what came to a reply address, because it has ended."""
        for key in list(self._turns.get(Holder(Standing.CORRESPONDENT, own), ())):
            self._forget(key)
        self._seen.forget(own)

    def _complete(self, key: Key, last: Fragment) -> bool:
        partial = self._partial.get(key)
        message = partial.completed_by(last) if partial else last.data
        # If it is refused, the fragments stay. The sender of a reliable message sends the last one
        # again, and an anonymous message may have more copies on their way.
        holder = holder_of(key.sender, self._contacts, key.own)
        if not self._inbox.has_room(holder, len(message)):
            return False
        unpacked = self._unpack(last, key.own, message)
        if unpacked is None:
            log.debug("a message without the head that it should have was dropped")
        elif not self._deliver(key, unpacked):
            return False
        self._forget(key)
        return True

    def _deliver(self, key: Key, unpacked: Unpacked) -> bool:
        """Deliver a message and remember it as seen: both or neither, whatever is raised.

        The message is remembered first, so that an error in between can't have it delivered twice.
        Both changes reach the disk in the same round of the journal, since nothing waits between.
        """
        is_delivered = False
        try:
            self._seen.add(key)
            is_delivered = self._inbox.deliver(**unpacked._asdict(), is_sealed=True)
        finally:
            if not is_delivered:
                self._seen.take_back(key)
        return is_delivered

    def _keep(self, key: Key, fragment: Fragment, now: float) -> tuple[int, int]:
        partial = self._partial.get(key)
        is_new = partial is None
        if partial is None:
            holder = holder_of(key.sender, self._contacts, key.own)
            self._partial[key] = partial = Partial(fragment.count, holder)
        turns = self._turns.setdefault(_order(partial.holder), OrderedDict())
        turns[key] = None
        turns.move_to_end(key)
        self._shares.take(partial.holder, len(fragment.data), messages=int(is_new))
        return partial.keep(fragment.index, fragment.data, now)

    def _make_room(self, key: Key) -> None:
        """Give up other messages until this one exceeds no limit."""
        holder = self._partial[key].holder
        while overfull := self._shares.overfull(holder):
            in_turn = (other for other in self._turns[_order(holder)] if other != key)
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
        order = _order(partial.holder)
        del self._turns[order][key]
        if not self._turns[order]:
            del self._turns[order]
        self._shares.free(partial.holder, partial.size)
        self._journal.drop_parts(_KIND, key.name)


def _order(holder: Holder) -> Standing | Holder:
    """With whom a holder shares the order in which messages are given up."""
    return holder if holder.standing is Standing.CORRESPONDENT else holder.standing


def _key(fragment: Fragment, own: bytes) -> Key:
    return Key(fragment.sender, fragment.message_id, own)


def _encode(fragment: Fragment, own: bytes) -> bytes:
    message_id, ends, reply = fragment.message_id, (fragment.sender or b"") + own, fragment.reply
    marked = len(message_id)
    if reply:
        marked |= _REPLY
        marked |= _IS_ACKNOWLEDGED * reply.is_acknowledged | _IS_ANSWERABLE * reply.is_answerable
    head = _HEAD.pack(fragment.index, fragment.count, marked, len(ends))
    return head + message_id + ends + fragment.data


def _decode(body: bytes) -> tuple[Fragment, bytes]:
    """(the fragment, the client's end of it)."""
    index, count, marked, ends_length = _HEAD.unpack_from(body)
    ends_at = _HEAD.size + (marked & _LENGTH)
    data_at = ends_at + ends_length
    message_id, ends = body[_HEAD.size : ends_at], body[ends_at:data_at]
    sender, own = ends[:ADDRESS_LENGTH], ends[ADDRESS_LENGTH:]
    reply = None
    if marked & _REPLY:
        reply = Reply(bool(marked & _IS_ACKNOWLEDGED), bool(marked & _IS_ANSWERABLE))
    return Fragment(message_id, index, count, body[data_at:], sender or None, reply), own
