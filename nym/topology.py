"""The network that the client can use: mixnodes by layer, and providers.

`nym.judge` makes it from a directory's records. No two nodes have the same key, or the same place
(host and port). Routes rely on this: it means that no node is in a route twice.
"""

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator, Set
from itertools import chain
from random import Random
from typing import NamedTuple, Self, TypeVar

from nym.wire.addresses import NodeAddress, machine_at
from nym.wire.keys import encode_base58

_DIGEST = 20  # bytes: finding two networks with the same digest would take 2^80 attempts
_REMEMBERED = 8  # choices of nodes: one is the usual number, or two for a last layer
_GROUP = 4  # letters and digits per group, so that people can compare digests


def machine(address: NodeAddress) -> str:
    """The machine that a node at this address seems to run on, or its site."""
    return machine_at(address.ip)


class Mix(NamedTuple):
    """A usable mixnode."""

    address: NodeAddress
    public_key: bytes


class ProviderNode(NamedTuple):
    """A usable provider. `address` takes packets, `client_address` takes clients' requests.

    `identity` is what its record claims, and `offers_line` whether it is said to offer a sealed
    line (nym.wire.versions).
    """

    address: NodeAddress
    client_address: NodeAddress
    public_key: bytes
    clients: Set[bytes]
    identity: bytes | None = None
    offers_line: bool = False

    @property
    def place(self) -> tuple[NodeAddress, NodeAddress]:
        """Where it takes packets, and where it takes clients."""
        return self.address, self.client_address


Node = TypeVar("Node", bound=Mix | ProviderNode)


class Nodes(tuple[Node, ...]):
    """Nodes to draw from, each with another key and another place.

    A packet needs several draws, and there may be thousands of nodes. So what takes the longer the
    more there are is done once for each network, and not for each packet.
    """

    _by_key: dict[bytes, Node]
    _by_address: dict[NodeAddress, Node]
    _machines: tuple[tuple[Node, ...], ...]
    _without: "dict[frozenset[Node], Nodes[Node]]"

    def __new__(cls, nodes: Iterable[Node] = ()) -> Self:
        """Sort them by machine."""
        self = super().__new__(cls, nodes)
        self._by_key = {node.public_key: node for node in self}
        self._by_address = {node.address: node for node in self}
        machines: dict[str, list[Node]] = {}
        for node in self:
            machines.setdefault(machine(node.address), []).append(node)
        self._machines = tuple(map(tuple, machines.values()))
        self._without = {}
        return self

    def __contains__(self, node: object) -> bool:
        return isinstance(node, Mix | ProviderNode) and self._by_key.get(node.public_key) == node

    def with_key(self, public_key: bytes) -> Node | None:
        """The node with this key; None if there is none."""
        return self._by_key.get(public_key)

    def resembling(self, other: Mix | ProviderNode) -> frozenset[Node]:
        """The nodes that have its key, or its place."""
        found = (self._by_key.get(other.public_key), self._by_address.get(other.address))
        return frozenset(node for node in found if node is not None)

    def draw(self, random: Random) -> Node:
        """A random node of a random machine.

        Ports and keys cost nothing, so otherwise anyone could attract packets by running many nodes
        on one machine.
        """
        return random.choice(random.choice(self._machines))

    def without(self, left_out: frozenset[Node]) -> "Nodes[Node]":
        """The others. Those of the last few calls are remembered."""
        if not left_out:
            return self
        if (others := self._without.get(left_out)) is None:
            if len(self._without) == _REMEMBERED:
                self._without.clear()
            others = self._without[left_out] = Nodes(node for node in self if node not in left_out)
        return others


class Topology(NamedTuple):
    """The layers 1..L, each with at least one mixnode, and at least one provider."""

    layers: tuple[Nodes[Mix], ...]
    providers: Nodes[ProviderNode]

    @classmethod
    def of(cls, layers: Iterable[Iterable[Mix]], providers: Iterable[ProviderNode]) -> Self:
        """The network of these nodes."""
        return cls(tuple(map(Nodes, layers)), Nodes(providers))

    def provider(self, public_key: bytes) -> ProviderNode | None:
        """The provider with this key; None if there is none."""
        return self.providers.with_key(public_key)

    def claiming(self, identity: bytes) -> list[ProviderNode]:
        """The providers whose records claim this identity."""
        return [node for node in self.providers if node.identity == identity]

    def record_of(
        self, node: ProviderNode, before: "Topology | None" = None
    ) -> ProviderNode | None:
        """What is listed now for the provider that had the record `node`, or None.

        See `finder`.
        """
        return self.finder(before)(node)

    def finder(
        self, before: "Topology | None" = None
    ) -> Callable[[ProviderNode], ProviderNode | None]:
        """A function that finds what is listed now for a provider, by its earlier record.

        A provider takes another key at its place, or moves with its key. If one record has its
        place and another one its key, the place counts: keys that providers don't use any more are
        public, and anybody can list them elsewhere. But if the provider at the place was elsewhere
        `before`, under the key that it has now, it has only taken over an address.
        """
        by_place = {node.place: node for node in self.providers}
        known = {node.public_key for node in before.providers} if before else set()

        def find(node: ProviderNode) -> ProviderNode | None:
            with_key, there = self.provider(node.public_key), by_place.get(node.place)
            if there is None or with_key is None:
                return there or with_key
            return with_key if there.public_key in known else there

        return find

    def layers_to(self, provider: ProviderNode) -> tuple[Nodes[Mix], ...]:
        """The layers of routes to `provider`, without any mixnode that has its key or its place.

        The client may still wait for a provider that has left the network. Since then, a mixnode
        may have taken its key or its place, and would be in a route twice.
        """
        if provider in self.providers:
            return self.layers
        return tuple(layer.without(layer.resembling(provider)) for layer in self.layers)

    def places(self) -> frozenset[object]:
        """All that routes depend on: each node's key, address and layer. For comparing networks."""
        mixnodes = {(number, *node) for number, layer in enumerate(self.layers) for node in layer}
        return frozenset(mixnodes | {node[:3] for node in self.providers})

    def public_keys(self) -> frozenset[bytes]:
        """The keys of all nodes."""
        mixnodes = {node.public_key for layer in self.layers for node in layer}
        return frozenset(mixnodes | {node.public_key for node in self.providers})

    def addresses(self) -> frozenset[NodeAddress]:
        """Where all nodes take packets."""
        mixnodes = {node.address for layer in self.layers for node in layer}
        return frozenset(mixnodes | {node.address for node in self.providers})

    def missing_in(self, other: "Topology") -> int:
        """How many nodes aren't in the other network, neither by their key nor by their place.

        A node that has moved is still the same node, and so is one with another key: after a day,
        all nodes have other keys.
        """
        keys, addresses = other.public_keys(), other.addresses()
        nodes: list[Mix | ProviderNode] = [*chain.from_iterable(self.layers), *self.providers]
        return sum(node.public_key not in keys and node.address not in addresses for node in nodes)

    def shares_nodes_with(self, other: "Topology") -> bool:
        """Whether both have a node in common: then they are one network at two times."""
        return self.missing_in(other) < sum(map(len, self.layers)) + len(self.providers)

    def digest(self) -> str:
        """A short text for people to compare: it is the same for all who use the same nodes.

        The lists of providers' clients, and the order of a directory's records, don't change it.
        """
        lines = sorted(self._lines())  # so the order of nodes doesn't matter
        digest = hashlib.sha256("".join(lines).encode()).digest()[:_DIGEST]
        text = base64.b32encode(digest).decode().lower()
        return "-".join(text[i : i + _GROUP] for i in range(0, len(text), _GROUP))

    def _lines(self) -> Iterator[str]:
        for number, layer in enumerate(self.layers, 1):
            for node in layer:
                yield f"{number} {encode_base58(node.public_key)} {node.address}\n"
        for provider in self.providers:
            key = encode_base58(provider.public_key)
            yield f"provider {key} {provider.address} {provider.client_address}\n"
