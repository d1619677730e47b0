"""Messages from fragments: in any order, each fragment once, each message once.

Strangers decide what comes here, so all of it has limits. Where there are too many messages
begun, the one of which least has come makes room, the longest untouched among those; one of which
nothing new comes for PATIENCE seconds is given up.
"""

import logging
from bisect import bisect_right
from collections import OrderedDict
from hashlib import blake2b
from struct import Struct
from typing import NamedTuple

from nym.envelope import Fragment, Run
from nym.store.inbox import Inbox
from nym.store.journal import Journal
from nym.wire.pieces import Message, gather

MOST_PARTIAL = 1000  # messages
MOST_BYTES = 64 << 20
MOST_SEEN = 50_000  # ids of complete messages that are remembered
PATIENCE = 86_400.0
_BLOCK = 64  # fragments

_FRAGMENT, _SEEN = "fragment", "seen"
_HEAD = Struct(">HHBB")  # index, count, length of message id, of sender

log = logging.getLogger(__name__)


class _Key(NamedTuple):
    """What makes a message one: no sender can use another's ids."""

    sender: bytes
    message_id: bytes

    @property
    def name(self) -> str:
        # Names are not sealed on disk. The message's id, which is random, hides the sender's.
        return blake2b(self.message_id + self.sender, digest_size=16).hexdigest()


class _Partial:
    """Pieces of a message, and the runs that they make up.

    Blocks of pieces are joined when they are complete, so that a long message is whole without any
    work on all of it.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.kept = 0  # pieces
        self.size = 0
        self.touched = 0.0
        self._begun: dict[int, dict[int, bytes]] = {}  # by number of the block
        self._blocks: dict[int, bytes] = {}
        self._runs: list[tuple[int, int]] = []  # (first, last), in order

    def __contains__(self, index: int) -> bool:
        block = index // _BLOCK
        return block in self._blocks or index in self._begun.get(block, ())

    def keep(self, index: int, data: bytes, now: float) -> tuple[int, int]:
        """Add a piece; returns (first, last) of the run that it is in now."""
        self.kept += 1
        self.size += len(data)
        self.touched = now
        number = index // _BLOCK
        block = self._begun.setdefault(number, {})
        block[index] = data
        if len(block) == min(_BLOCK, self.count - number * _BLOCK):
            self._blocks[number] = _joined(self._begun.pop(number))
        return self._join_run(index)

    def run(self, index: int) -> tuple[int, int]:
        """(first, last) of the run that this piece is in."""
        return self._runs[bisect_right(self._runs, (index, self.count)) - 1]

    def completed_by(self, last: Fragment) -> Message:
        """The message, of which this piece alone isn't here."""
        number = last.index // _BLOCK
        block = _joined({**self._begun.get(number, {}), last.index: last.data})
        blocks = {**self._blocks, number: block}
        return gather(blocks[number] for number in range(len(blocks)))

    def _join_run(self, index: int) -> tuple[int, int]:
        at = bisect_right(self._runs, (index, self.count))
        begin = end = at
        first = last = index
        if at > 0 and self._runs[at - 1][1] == index - 1:
            begin, first = at - 1, self._runs[at - 1][0]
        if at < len(self._runs) and self._runs[at][0] == index + 1:
            end, last = at + 1, self._runs[at][1]
        self._runs[begin:end] = [(first, last)]
        return first, last


def _joined(pieces: dict[int, bytes]) -> bytes:
    return b"".join(pieces[index] for index in sorted(pieces))


class Assembly:
    """Puts fragments together, and delivers complete messages to the inbox."""

    def __init__(self, journal: Journal, inbox: Inbox, now: float) -> None:
        self._journal = journal
        self._inbox = inbox
        self._partial: OrderedDict[_Key, _Partial] = OrderedDict()  # the last touched at the end
        self._bytes = 0
        self._seen = dict.fromkeys(name for name, _ in journal.take(_SEEN))
        self.given_up = 0
        for _, body in journal.take_short(_FRAGMENT):
            fragment = _decode(body)
            self._keep(_key(fragment), fragment, now)

    def __len__(self) -> int:
        return len(self._partial)

    def add(self, fragment: Fragment, now: float) -> Run | None:
        """Keep a fragment, and deliver the message that it completes.

        Returns the run of fragments around it that is there, on disk with the journal's next
        flush; None where there is no room for it.
        """
        key, index, count = _key(fragment), fragment.index, fragment.count
        everything = Run(fragment.message_id, 0, count - 1)
        if key.name in self._seen:
            return everything
        partial = self._partial.get(key)
        if partial and partial.count != count:
            log.debug("a fragment that contradicts those before it was dropped")
            return None
        if partial and index in partial:
            return Run(fragment.message_id, *partial.run(index))
        if count == (partial.kept + 1 if partial else 1):
            return everything if self._complete(key, fragment) else None
        self._make_room(key, len(fragment.data))
        first, last = self._keep(key, fragment, now)
        self._journal.put(_FRAGMENT, f"{key.name} {index}", _encode(fragment))
        return Run(fragment.message_id, first, last)

    def expire(self, now: float) -> None:
        """Give up messages of which nothing has come for too long."""
        while self._partial:
            key, partial = next(iter(self._partial.items()))
            if now - partial.touched <= PATIENCE:
                return
            self._give_up(key, "nothing more of it came")

    def _complete(self, key: _Key, last: Fragment) -> bool:
        partial = self._partial.get(key, _Partial(last.count))
        message = partial.completed_by(last)
        # A reliable one comes again when there is room; of others, the loss is counted.
        if last.sender is not None and not self._inbox.has_room(len(message)):
            return False
        if not self._deliver(key, message):
            return False
        self._forget(key)
        if len(self._seen) > MOST_SEEN:
            oldest = next(iter(self._seen))
            del self._seen[oldest]
            self._journal.drop(_SEEN, oldest)
        return True

    def _deliver(self, key: _Key, message: Message) -> bool:
        """Deliver a message, and remember it as seen: both, or neither, whatever is raised.

        It counts as seen first, so that it can't come out twice. Both are on disk together.
        """
        is_delivered = False
        try:
            self._journal.put(_SEEN, key.name, b"")
            self._seen[key.name] = None
            is_delivered = self._inbox.deliver(message, key.sender or None, is_sealed=True)
        finally:
            if not is_delivered:
                self._seen.pop(key.name, None)
                self._journal.drop(_SEEN, key.name)
        return is_delivered

    def _keep(self, key: _Key, fragment: Fragment, now: float) -> tuple[int, int]:
        partial = self._partial.setdefault(key, _Partial(fragment.count))
        self._partial.move_to_end(key)
        self._bytes += len(fragment.data)
        return partial.keep(fragment.index, fragment.data, now)

    def _make_room(self, key: _Key, size: int) -> None:
        while self._bytes + size > MOST_BYTES or (
            key not in self._partial and len(self._partial) >= MOST_PARTIAL
        ):
            others = (other for other in self._partial if other != key)
            least = min(others, key=lambda other: self._partial[other].size)
            self._give_up(least, "too many others were begun")

    def _give_up(self, key: _Key, why: str) -> None:
        partial = self._partial[key]
        log.warning(
            "a message of %d fragments is given up with %d of them: %s",
            partial.count,
            partial.kept,
            why,
        )
        self.given_up += 1
        self._forget(key)

    def _forget(self, key: _Key) -> None:
        partial = self._partial.pop(key, None)
        if partial is None:
            return
        self._bytes -= partial.size
        self._journal.drop_parts(_FRAGMENT, key.name)


def _key(fragment: Fragment) -> _Key:
    return _Key(fragment.sender or b"", fragment.message_id)


def _encode(fragment: Fragment) -> bytes:
    key = _key(fragment)
    head = _HEAD.pack(fragment.index, fragment.count, len(key.message_id), len(key.sender))
    return head + key.message_id + key.sender + fragment.data


def _decode(body: bytes) -> Fragment:
    index, count, id_length, sender_length = _HEAD.unpack_from(body)
    sender_at = _HEAD.size + id_length
    data_at = sender_at + sender_length
    message_id, sender = body[_HEAD.size : sender_at], body[sender_at:data_at]
    return Fragment(message_id, index, count, body[data_at:], sender or None)
