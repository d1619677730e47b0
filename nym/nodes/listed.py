"""The nodes that a directory lists, each with its list of clients.

`presence` decides which mixnodes and providers are there, and `lists` has the clients.
"""

import time
from collections.abc import Container

from nym.errors import RemoteFormatError
from nym.nodes.lists import ClientLists
from nym.nodes.presence import MOST_NODES, Presences
from nym.wire.clients import EMPTY, AddressList
from nym.wire.directory import CocoNode, MixNode, Provider, Records
from nym.wire.versions import identity_in

LIFETIME = 10.0  # seconds after its last post for which a node is listed; nodes post every 5


class Listed:
    """What nodes have posted. `identity` is who signed a post, if somebody did.

    Whatever takes a post raises RemoteFormatError where the node isn't listed.
    """

    def __init__(self, lists: ClientLists) -> None:
        self._present = Presences()
        self._lists = lists
        self._coconodes: dict[str, tuple[CocoNode, float]] = {}

    def records(self) -> Records:
        """The records of all nodes that posted within LIFETIME.

        A provider is left out until its first list of clients is here: a provider that seemed to
        have none would lose them to any other one that lists them.
        """
        now = time.monotonic()
        nodes = list(self._present.present(now, LIFETIME))
        self._coconodes = {
            key: (node, seen)
            for key, (node, seen) in self._coconodes.items()
            if seen > now - LIFETIME
        }
        return Records(
            tuple(node for node in nodes if isinstance(node, MixNode)),
            tuple(
                node._replace(clients=clients, digest=None)
                for node in nodes
                if isinstance(node, Provider)
                and (clients := self._lists.find(node.digest or EMPTY.digest)) is not None
            ),
            tuple(node for node, _ in self._coconodes.values()),
        )

    def by_role(self) -> dict[str, int]:
        """How many nodes of each role are listed."""
        records = self.records()
        return {
            "mixnode": len(records.mixnodes),
            "provider": len(records.providers),
            "coconode": len(records.coconodes),
        }

    def changes(self) -> tuple[int, int]:
        """What differs after a post that says more than that a node is still there."""
        return self._present.changes, len(self._coconodes)

    def next_end(self, now: float) -> float:
        """When the next node is no longer listed, unless it posts before; infinite without any."""
        ends = [seen + LIFETIME for _, seen in self._coconodes.values()]
        return min([self._present.next_end(now, LIFETIME), *ends])

    def note(self, node: MixNode | Provider, identity: bytes | None) -> None:
        """Take the post of a mixnode, or of a provider whose list of clients is held."""
        # Clients find providers by the identity in their versions (ADDRESS@PROVIDER).
        if identity_in(node.version) not in (None, identity):
            raise RemoteFormatError("the version names an identity that hasn't signed this post")
        self._present.note(node, time.monotonic(), time.time_ns(), LIFETIME, identity)

    def note_provider(self, node: Provider, identity: bytes | None) -> AddressList | None:
        """Take the post of a provider. None, or the list on which the wanted one has to be based.

        Until its list of clients comes, the provider keeps the one that it had before.
        """
        wanted = node.digest or EMPTY.digest
        clients = listed = node.clients or self._lists.find(wanted)
        if listed is None:
            last = self._present.last(node, identity)
            if isinstance(last, Provider) and last.digest:
                listed = self._lists.find(last.digest)
        if listed is not None:
            self._lists.hold(listed, time.monotonic())
        digest = wanted if listed is None else listed.digest
        self.note(node._replace(clients=EMPTY, digest=digest), identity)
        if clients is not None:
            return None
        since = EMPTY if listed is None else listed
        self._lists.want(wanted, since)
        return since

    def note_coconode(self, node: CocoNode) -> None:
        """Take the post of a coconode.

        No packet goes to it, so it can't take another node's place, and is only counted.
        """
        if node.public_key not in self._coconodes and len(self._coconodes) >= MOST_NODES:
            raise RemoteFormatError("too many nodes")
        seen = node._replace(last_seen=time.time_ns())
        self._coconodes[node.public_key] = seen, time.monotonic()

    def leave(self, identity: bytes) -> None:
        """The node with this identity says that it stops."""
        self._present.leave(identity)

    def keep_only(self, identities: Container[bytes]) -> None:
        """Drop all nodes but these."""
        self._present.keep_only(identities)
        self._coconodes.clear()  # nobody notes whose they are, and they soon post again
