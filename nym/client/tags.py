"""Tags: the names of other clients' reply addresses (docs/protocol/replies.md, "Tags").

An application that answers names a tag, and never sees the address. A tag stands for one address of
somebody else, as one address of this client got to know it. So if somebody writes from the same
address to two addresses of this client, there are two tags, and each answer leaves from the address
that was written to.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from struct import Struct
from typing import NamedTuple

from nym.envelope import SECRET_LENGTH, ReplyHead
from nym.store.journal import Journal
from nym.wire.sizes import ADDRESS_LENGTH, KEY_LENGTH, TAG_LENGTH

# Tags that one own address can have; those go first that were never answered. Strangers can make up
# addresses that write to the main one, but only a correspondent can write to a reply address. If
# all had one limit, strangers could have the tags of a reply address forgotten.
MOST, MOST_OF_REPLY_ADDRESS = 10_000, 100
# Seconds; whatever a sender claims, its address is forgotten after that.
LONGEST = 90 * 86_400.0
KEPT = 600.0  # seconds after its end, so that whoever answers learns why that is impossible

_KIND = "tag"
_ENTRY = Struct(f">dB{ADDRESS_LENGTH}s{ADDRESS_LENGTH}s{KEY_LENGTH}s{SECRET_LENGTH}s")


class Tag(NamedTuple):
    """Somebody else's reply address `peer`, which `own` got to know, or the main one if it's empty.

    `expires` is in seconds since 1970.
    """

    name: bytes
    own: bytes
    peer: bytes
    provider: bytes
    secret: bytes
    expires: float
    is_answered: bool = False


class Tags:
    """All tags. They outlast the process. `now` reads the wall clock."""

    def __init__(self, journal: Journal, now: Callable[[], float]) -> None:
        self._journal = journal
        self._now = now
        self._by_name: dict[bytes, Tag] = {}
        self._by_ends: dict[tuple[bytes, bytes], Tag] = {}
        self._names: dict[bytes, dict[bytes, None]] = {}  # of the tags of each own address
        for entry_id, body in journal.take_short(_KIND):
            self._add(_decode(bytes.fromhex(entry_id), body))

    def learn(self, own: bytes, peer: bytes, head: ReplyHead) -> Tag:
        """The tag of an address with which a message to `own` can be answered."""
        known = self._by_ends.get((own, peer))
        expires = min(head.expires / 1000, self._now() + LONGEST)
        name = known.name if known else os.urandom(TAG_LENGTH)
        is_answered = known is not None and known.is_answered
        tag = Tag(name, own, peer, head.provider, head.secret, expires, is_answered)
        if tag != known:  # most messages of a conversation say the same as the one before
            self._keep(tag)
        return tag

    def find(self, name: bytes) -> Tag | None:
        """The tag with this name, which may have expired a short time ago."""
        return self._by_name.get(name)

    def answered(self, tag: Tag) -> None:
        """Note that an application answers it, so that it isn't one of the first to go."""
        if not tag.is_answered:
            self._keep(tag._replace(is_answered=True))

    def in_use(self) -> list[bytes]:
        """Tags that came to the main address, were answered, and can be answered again."""
        return [
            name
            for name, tag in self._by_name.items()
            if tag.is_answered and not tag.own and self.is_valid(name)
        ]

    def is_valid(self, name: bytes) -> bool:
        """Whether the address behind a tag can still be reached."""
        tag = self._by_name.get(name)
        return tag is not None and self._now() < tag.expires

    def of(self, own: bytes, peer: bytes) -> Tag | None:
        """The tag of `peer`, as `own` got to know it."""
        return self._by_ends.get((own, peer))

    def expire(self) -> None:
        """Forget tags that expired some time ago."""
        now = self._now()
        for tag in [tag for tag in self._by_name.values() if tag.expires + KEPT <= now]:
            self._drop(tag)

    def _keep(self, tag: Tag) -> None:
        names = self._names.get(tag.own, {})
        if tag.name not in names:
            while len(names) >= (MOST_OF_REPLY_ADDRESS if tag.own else MOST):
                self._drop(next(self._least(names)))
        self._journal.put(_KIND, tag.name.hex(), _encode(tag))
        self._add(tag)

    def _add(self, tag: Tag) -> None:
        self._by_name[tag.name] = self._by_ends[tag.own, tag.peer] = tag
        self._names.setdefault(tag.own, {})[tag.name] = None

    def _drop(self, tag: Tag) -> None:
        self._journal.drop(_KIND, tag.name.hex())
        del self._by_name[tag.name], self._by_ends[tag.own, tag.peer]
        del self._names[tag.own][tag.name]
        if not self._names[tag.own]:
            del self._names[tag.own]

    def _least(self, names: Iterable[bytes]) -> Iterator[Tag]:
        tags = [self._by_name[name] for name in names]
        yield from (tag for tag in tags if not tag.is_answered)
        yield from tags


def _encode(tag: Tag) -> bytes:
    return _ENTRY.pack(tag.expires, tag.is_answered, tag.own, tag.peer, tag.provider, tag.secret)


def _decode(name: bytes, body: bytes) -> Tag:
    expires, is_answered, own, peer, provider, secret = _ENTRY.unpack(body)
    return Tag(name, own if any(own) else b"", peer, provider, secret, expires, bool(is_answered))
