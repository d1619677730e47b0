"""Which nodes a directory lists, and which posts of nodes it refuses.

No key, and no place, a `host:port`, belongs to two nodes at a time. Of those that contradict each
other, the one that was known first goes first, as clients have it, too (nym.judge): a post costs no
node that is there its place, and one that was away gets it back, even if another took it meanwhile.
"""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from nym.errors import RemoteFormatError
from nym.view import CLAIM
from nym.wire.addresses import parse_numeric
from nym.wire.directory import MixNode, Provider

MOST_NODES = 10_000
MOST_KNOWN = 4 * MOST_NODES  # with those that are away

Node = MixNode | Provider


class _Standing(NamedTuple):
    """What makes a node this one; providers have no layer."""

    layer: int | None
    public_key: bytes
    places: tuple[str, ...]

    def marks(self) -> tuple[bytes | str, ...]:
        """What no other node may have."""
        return (self.public_key, *self.places)


class _Presence(NamedTuple):
    node: Node
    since: float  # when it was heard of first; monotonic
    seen: float
    seen_at: int  # nanoseconds since 1970
    is_displaced: bool = False

    def is_there(self, now: float, lifetime: float) -> bool:
        """Whether it was heard of lately, and no other node has its place."""
        return self.seen > now - lifetime and not self.is_displaced


class Presences:
    """Mixnodes and providers, those that were heard of last at the end."""

    def __init__(self) -> None:
        self._known: dict[_Standing, _Presence] = {}
        self._by_mark: dict[bytes | str, set[_Standing]] = {}

    def note(self, node: Node, now: float, seen_at: int, lifetime: float) -> None:
        """It posted, and is there for `lifetime` seconds. Raises RemoteFormatError."""
        standing = _standing(node)
        before = self._known.get(standing)
        since = before.since if before else now
        rivals = self._rivals(standing, now, lifetime)
        if any(self._known[rival].since <= since for rival in rivals):
            raise RemoteFormatError(
                "another node has this key or this place. If it is the same one, which has moved "
                f"or has a new key, it is taken {lifetime:.0f} s after its last post from before"
            )
        if before is None and self._count(now, lifetime) >= MOST_NODES:
            raise RemoteFormatError("too many nodes")
        for rival in rivals:
            self._known[rival] = self._known[rival]._replace(is_displaced=True)
        self._known.pop(standing, None)
        self._known[standing] = _Presence(node, since, now, seen_at)
        for mark in standing.marks():
            self._by_mark.setdefault(mark, set()).add(standing)
        self._forget(now)

    def present(self, now: float, lifetime: float) -> Iterator[Node]:
        """Those that are there."""
        for presence in self._known.values():
            if presence.is_there(now, lifetime):
                yield presence.node._replace(last_seen=presence.seen_at)

    def _count(self, now: float, lifetime: float) -> int:
        return sum(presence.is_there(now, lifetime) for presence in self._known.values())

    def _rivals(self, standing: _Standing, now: float, lifetime: float) -> set[_Standing]:
        """Others that are there, and have the key of this one, or a place."""
        holders: set[_Standing] = set()
        for mark in standing.marks():
            holders |= self._by_mark.get(mark, set())
        others = holders - {standing}
        return {other for other in others if self._known[other].is_there(now, lifetime)}

    def _forget(self, now: float) -> None:
        """Those that were heard of too long ago, which are at the beginning, and too many."""
        room = len(self._known) - MOST_KNOWN
        for standing, presence in list(islice(self._known.items(), max(room, 10))):
            if room > 0 or presence.seen < now - CLAIM:
                room -= 1
                del self._known[standing]
                for mark in standing.marks():
                    self._by_mark[mark].discard(standing)
                    if not self._by_mark[mark]:
                        del self._by_mark[mark]


def _standing(node: Node) -> _Standing:
    if isinstance(node, MixNode):
        return _Standing(node.layer, node.public_key, (_place(node.host),))
    places = (_place(node.mixnet_listener), _place(node.client_listener))
    return _Standing(None, node.public_key, places)


def _place(host: str) -> str:
    """One text for each place, as far as that can be told without a name server."""
    return str(parse_numeric(host) or host.lower())
