"""Decides which nodes a directory lists, and which posts of nodes it refuses.

No two listed nodes have the same key, or the same place, which is a `host:port`. Of two that
contradict each other, the one that was known first wins; clients use the same rule (nym.judge). So
a post never removes a node that is there. A node that was away gets its place back, even if another
one took it meanwhile.
"""

from collections.abc import Iterator
from itertools import islice
from math import inf
from typing import NamedTuple

from nym.errors import RemoteFormatError
from nym.view import CLAIM
from nym.wire.addresses import parse_numeric
from nym.wire.directory import MixNode, Provider

MOST_NODES = 10_000  # that are there
MOST_KNOWN = 4 * MOST_NODES  # together with those that are away

Node = MixNode | Provider


class _Standing(NamedTuple):
    """What identifies a node: a record with another one of these is another node."""

    layer: int | None  # None for a provider
    public_key: bytes
    places: tuple[str, ...]

    def marks(self) -> tuple[bytes | str, ...]:
        """The key and the places, which no other node may have at the same time."""
        return (self.public_key, *self.places)


class _Presence(NamedTuple):
    node: Node
    since: float  # the monotonic time of its first post
    seen: float  # the monotonic time of its last post
    seen_at: int  # the same in nanoseconds since 1970, for clients
    is_displaced: bool = False  # whether a node that was known before it took its place back

    def is_there(self, now: float, lifetime: float) -> bool:
        """Whether it posted lately, and wasn't displaced."""
        return self.seen > now - lifetime and not self.is_displaced


class Presences:
    """Mixnodes and providers, in the order of their last posts."""

    def __init__(self) -> None:
        self.changes = 0  # posts that said more than that a node is still there
        self._known: dict[_Standing, _Presence] = {}
        # By key and place, so that a post isn't compared with every node.
        self._by_mark: dict[bytes | str, set[_Standing]] = {}

    def note(self, node: Node, now: float, seen_at: int, lifetime: float) -> None:
        """Take a node's post: it is there for `lifetime` seconds. Raises RemoteFormatError."""
        standing = _standing(node)
        before = self._known.get(standing)
        since = before.since if before else now
        rivals = self._rivals(standing, now, lifetime)
        if any(self._known[rival].since <= since for rival in rivals):
            raise RemoteFormatError(
                "another node has this key or this place. A node that has moved or has a new key "
                f"is accepted {lifetime:.0f} s after its last post with the old place or key"
            )
        if before is None and self._count(now, lifetime) >= MOST_NODES:
            raise RemoteFormatError("too many nodes")
        # All rivals are known for a shorter time than this node, which was away: it gets its place
        # back from them.
        for rival in rivals:
            self._known[rival] = self._known[rival]._replace(is_displaced=True)
        node = node._replace(last_seen=0)  # what the node says of that doesn't count
        if rivals or before is None or not before.is_there(now, lifetime) or before.node != node:
            self.changes += 1
        self._known.pop(standing, None)  # so that it comes to the end
        self._known[standing] = _Presence(node, since, now, seen_at)
        for mark in standing.marks():
            self._by_mark.setdefault(mark, set()).add(standing)
        self._forget(now)

    def present(self, now: float, lifetime: float) -> Iterator[Node]:
        """Yield the records of the nodes that are there."""
        for presence in self._known.values():
            if presence.is_there(now, lifetime):
                yield presence.node._replace(last_seen=presence.seen_at)

    def next_end(self, now: float, lifetime: float) -> float:
        """When the next node is no longer there, unless it posts before; infinite without nodes."""
        there = (presence for presence in self._known.values() if presence.is_there(now, lifetime))
        # The order is that of the last posts.
        return next((presence.seen + lifetime for presence in there), inf)

    def _count(self, now: float, lifetime: float) -> int:
        return sum(presence.is_there(now, lifetime) for presence in self._known.values())

    def _rivals(self, standing: _Standing, now: float, lifetime: float) -> set[_Standing]:
        """The other nodes that are there and have this node's key or one of its places."""
        holders: set[_Standing] = set()
        for mark in standing.marks():
            holders |= self._by_mark.get(mark, set())
        others = holders - {standing}
        return {other for other in others if self._known[other].is_there(now, lifetime)}

    def _forget(self, now: float) -> None:
        """Forget the nodes at the beginning whose last post is too old, or that are too many."""
        surplus = len(self._known) - MOST_KNOWN
        # Each post adds one node at most, so looking at ten is enough, and takes no time.
        for standing, presence in list(islice(self._known.items(), max(surplus, 10))):
            if surplus > 0 or presence.seen < now - CLAIM:
                surplus -= 1
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
    """A text that is the same for each way to write a place, without asking a name server."""
    return str(parse_numeric(host) or host.lower())
