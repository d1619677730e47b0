"""Decides which nodes a directory lists, and which posts of nodes it refuses.

No two listed nodes have the same key, or the same place, which is a `host:port`. Of two that
contradict each other, the one that had this key or place first wins; clients use the same rule
(nym.judge). So a post never removes a node that is there. A node that was away gets its place back,
even if another one took it meanwhile.

A node that signs is known by its identity, whatever its key, its place and its layer are. So it
changes them in one step: it is never missing from the list, and never there twice. No post that
isn't signed by it takes its key or its place while it is listed.
"""

from collections.abc import Container, Iterator
from itertools import islice
from math import inf
from typing import NamedTuple

from nym.errors import RemoteFormatError
from nym.view import CLAIM
from nym.wire.addresses import usual_form
from nym.wire.directory import MixNode, Provider

MOST_NODES = 10_000  # that are there
MOST_KNOWN = 4 * MOST_NODES  # together with those that are away

Node = MixNode | Provider
Mark = bytes | str  # a key or a place, which only one node can have at the same time


class _Standing(NamedTuple):
    """What identifies a record: one with another one of these is another node, or a changed one."""

    identity: bytes | None  # that signed it
    layer: int | None  # None for a provider
    public_key: bytes
    places: tuple[str, ...]

    def marks(self) -> frozenset[Mark]:
        """The key and the places."""
        return frozenset((self.public_key, *self.places))


class _Presence(NamedTuple):
    node: Node
    since: dict[Mark, float]  # the monotonic time since which the node has each of its marks
    seen: float  # the monotonic time of its last post
    seen_at: int  # the same in nanoseconds since 1970, for clients
    is_gone: bool = False  # it has left, or a node that was known before took its place back

    def is_there(self, now: float, lifetime: float) -> bool:
        """Whether it posted lately, and isn't gone."""
        return self.seen > now - lifetime and not self.is_gone


class Presences:
    """Mixnodes and providers, in the order of their last posts."""

    def __init__(self) -> None:
        self.changes = 0  # posts that said more than that a node is still there
        self._known: dict[_Standing, _Presence] = {}
        # By key and place, so that a post isn't compared with every node.
        self._by_mark: dict[Mark, set[_Standing]] = {}
        self._by_identity: dict[bytes, _Standing] = {}

    def note(
        self, node: Node, now: float, seen_at: int, lifetime: float, identity: bytes | None = None
    ) -> None:
        """Take a node's post: it is there for `lifetime` seconds. Raises RemoteFormatError.

        `identity` is who signed the post, if somebody did.
        """
        standing = _standing(node, identity)
        before = self._before(standing)
        last = self._known[before] if before else None
        since = {mark: last.since.get(mark, now) if last else now for mark in standing.marks()}
        rivals = self._rivals(standing, now, lifetime)
        for rival in rivals:
            self._check(standing, since, rival, lifetime)
        is_new = last is None or not last.is_there(now, lifetime)
        if last is None and self._count(now, lifetime) >= MOST_NODES:
            raise RemoteFormatError("too many nodes")
        # All rivals have their marks for a shorter time than this node, which was away: it gets its
        # place back from them.
        for rival in rivals:
            self._known[rival] = self._known[rival]._replace(is_gone=True)
        node = node._replace(last_seen=0)  # what the node says of that doesn't count
        if rivals or is_new or last is None or last.node != node:
            self.changes += 1
        if before:
            self._remove(before)  # so that the new one comes to the end
        self._known[standing] = _Presence(node, since, now, seen_at)
        for mark in standing.marks():
            self._by_mark.setdefault(mark, set()).add(standing)
        if identity is not None:
            self._by_identity[identity] = standing
        self._forget(now)

    def last(self, node: Node, identity: bytes | None) -> Node | None:
        """The record that a post of this node renews or replaces; None if there is none."""
        before = self._before(_standing(node, identity))
        return self._known[before].node if before else None

    def leave(self, identity: bytes) -> None:
        """The node with this identity has stopped. It has a claim to its place, as if it was away.

        Nothing happens if it isn't known.
        """
        if standing := self._by_identity.get(identity):
            self._known[standing] = self._known[standing]._replace(is_gone=True)
            self.changes += 1

    def keep_only(self, identities: Container[bytes]) -> None:
        """Forget all nodes but those with these identities."""
        for standing in list(self._known):
            if standing.identity is None or standing.identity not in identities:
                self._remove(standing)
                self.changes += 1

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

    def _before(self, standing: _Standing) -> _Standing | None:
        """The record that a post with this standing renews or replaces; None if it is a new one."""
        if standing.identity is not None:
            return self._by_identity.get(standing.identity)
        return standing if standing in self._known else None

    def _rivals(self, standing: _Standing, now: float, lifetime: float) -> set[_Standing]:
        """The other nodes that are there and have this node's key or one of its places."""
        holders: set[_Standing] = set()
        for mark in standing.marks():
            holders |= self._by_mark.get(mark, set())
        others = holders - {standing, self._before(standing)}
        return {other for other in others if self._known[other].is_there(now, lifetime)}

    def _check(
        self, standing: _Standing, since: dict[Mark, float], rival: _Standing, lifetime: float
    ) -> None:
        """Raises RemoteFormatError unless this node had before its rival what both have."""
        if rival.identity is not None and standing.identity is None:
            raise RemoteFormatError(
                "another node has this key or this place, and signs what it posts. If it is this "
                f"one, it has to sign, too, or to wait {lifetime:.0f} s after its last signed post"
            )
        theirs = self._known[rival].since
        if any(theirs[mark] <= since[mark] for mark in standing.marks() & rival.marks()):
            raise RemoteFormatError(
                "another node has this key or this place. A node that has moved or has a new key "
                f"is accepted {lifetime:.0f} s after its last post with the old place or key"
            )

    def _forget(self, now: float) -> None:
        """Forget the nodes at the beginning whose last post is too old, or that are too many."""
        surplus = len(self._known) - MOST_KNOWN
        # Each post adds one node at most, so looking at ten is enough, and takes no time.
        for standing, presence in list(islice(self._known.items(), max(surplus, 10))):
            if surplus > 0 or presence.seen < now - CLAIM:
                surplus -= 1
                self._remove(standing)

    def _remove(self, standing: _Standing) -> None:
        del self._known[standing]
        for mark in standing.marks():
            self._by_mark[mark].discard(standing)
            if not self._by_mark[mark]:
                del self._by_mark[mark]
        if standing.identity is not None:
            del self._by_identity[standing.identity]


def _standing(node: Node, identity: bytes | None) -> _Standing:
    if isinstance(node, MixNode):
        return _Standing(identity, node.layer, node.public_key, (usual_form(node.host),))
    places = (usual_form(node.mixnet_listener), usual_form(node.client_listener))
    return _Standing(identity, None, node.public_key, places)
