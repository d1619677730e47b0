"""The usable network: mixnodes by layer, and providers, out of a directory's records.

docs/protocol/directory.md, "What is used". A node is usable when its version agrees with ours, its
host is known as an IP address, and its key is a group element to share secrets with.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from nym.errors import UnusableNetworkError
from nym.sphinx import can_share_secret
from nym.wire.addresses import NodeAddress
from nym.wire.directory import MixNode, Provider, Records
from nym.wire.text import visible

PROTOCOL_VERSION = "0.4.0"
_OURS = PROTOCOL_VERSION.rpartition(".")[0]
_LONGEST_VERSION = 20  # characters that are shown
_MOST_REASONS = 5

MOST_MISSED = 1 << 17

# Semantic Versioning 2.0.0, section 2 and on: three numbers, pre-release, build.
_IDENTIFIERS = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_NUMBER = r"(0|[1-9][0-9]*)"
_SEMVER = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-{_IDENTIFIERS})?(?:\+{_IDENTIFIERS})?", re.ASCII
)


class Mix(NamedTuple):
    """A usable mixnode."""

    address: NodeAddress
    public_key: bytes


class ProviderNode(NamedTuple):
    """A usable provider: `address` takes packets, `client_address` takes clients' requests."""

    address: NodeAddress
    client_address: NodeAddress
    public_key: bytes
    clients: frozenset[bytes]


class Topology(NamedTuple):
    """Layers 1..L, each with one mixnode or more, and one provider or more.

    `missed` are clients of providers that were there before, who are nowhere now.
    """

    layers: tuple[tuple[Mix, ...], ...]
    providers: tuple[ProviderNode, ...]
    missed: frozenset[bytes] = frozenset()

    def provider(self, public_key: bytes) -> ProviderNode | None:
        """The provider with this key."""
        return next((node for node in self.providers if node.public_key == public_key), None)

    def after(self, before: "Topology | None") -> "Topology":
        """With the clients that are missed here, of those that `before` had or missed."""
        if before is None:
            return self
        here = {node.public_key for node in self.providers}
        gone = (node.clients for node in before.providers if node.public_key not in here)
        listed = frozenset().union(*(node.clients for node in self.providers))
        missed = before.missed.union(*gone) - listed
        return self._replace(missed=frozenset(islice(missed, MOST_MISSED)))

    def places(self) -> frozenset[object]:
        """Where all nodes are, and their keys: what routes are made of."""
        mixnodes = {(number, *node) for number, layer in enumerate(self.layers) for node in layer}
        return frozenset(mixnodes | {node[:3] for node in self.providers})

    def public_keys(self) -> frozenset[bytes]:
        """The keys of all nodes."""
        mixnodes = {node.public_key for layer in self.layers for node in layer}
        return frozenset(mixnodes | {node.public_key for node in self.providers})


def is_compatible(version: str | None) -> bool:
    """Whether a node of this version is used: major and minor as ours; 2019's have none."""
    if version is None:
        return True
    theirs, ours = _SEMVER.fullmatch(version), _SEMVER.fullmatch(PROTOCOL_VERSION)
    return bool(theirs and ours and theirs.group(1, 2) == ours.group(1, 2))


def build_topology(records: Records, addresses: Mapping[str, NodeAddress]) -> Topology:
    """The topology of what is usable in `records`.

    `addresses` holds the IP address of each `host:port` that could be resolved. Raises
    UnusableNetworkError where a layer or every provider is missing.
    """
    layers: dict[int, list[Mix]] = {}
    for node in records.mixnodes:
        if not _obstacle(node, addresses):
            layers.setdefault(node.layer, []).append(Mix(addresses[node.host], node.public_key))
    providers = [
        ProviderNode(
            addresses[node.mixnet_listener],
            addresses[node.client_listener],
            node.public_key,
            frozenset(node.clients),
        )
        for node in records.providers
        if not _obstacle(node, addresses)
    ]
    if not layers or not providers or sorted(layers) != list(range(1, max(layers) + 1)):
        there = ", ".join(map(str, sorted(layers))) or "none"
        why = left_out(records, addresses)
        raise UnusableNetworkError(
            "every layer from 1 on needs a mixnode that can be used, and a provider is needed: "
            f"there are mixnodes in layers {there}, and {len(providers)} providers"
            + (f". Left out are {why}" if why else "")
        )
    return Topology(tuple(tuple(layers[layer]) for layer in sorted(layers)), tuple(providers))


def is_usable(records: Records, addresses: Mapping[str, NodeAddress]) -> bool:
    """Whether `build_topology` makes one of them."""
    try:
        build_topology(records, addresses)
    except UnusableNetworkError:
        return False
    return True


def left_out(records: Records, addresses: Mapping[str, NodeAddress]) -> str:
    """How many nodes can't be used, for each reason; empty where all can."""
    obstacles = [_obstacle(node, addresses) for node in _nodes(records)]
    reasons = Counter(reason for reason in obstacles if reason)
    if records.skipped:
        reasons["whose record can't be read"] = records.skipped
    told = reasons.most_common(_MOST_REASONS)
    texts = [f"{count} node{'s' * (count > 1)} {reason}" for reason, count in told]
    if others := reasons.total() - sum(count for _, count in told):
        texts.append(f"{others} for other reasons")
    return ", ".join(texts)


def hosts(records: Records) -> set[str]:
    """Every `host:port` that `build_topology` would like to know the address of."""
    return {
        host for node in _nodes(records) if is_compatible(node.version) for host in _hosts(node)
    }


def _obstacle(node: MixNode | Provider, addresses: Mapping[str, NodeAddress]) -> str:
    """Why a node can't be used, as it goes on behind "a node"; empty where it can."""
    if not is_compatible(node.version):
        return f"of version {visible(node.version or '', _LONGEST_VERSION)}, not {_OURS}"
    for host in _hosts(node):
        if host not in addresses:
            return "without an address"
        if not addresses[host].port:
            return "at port 0"
    return "" if can_share_secret(node.public_key) else "with a key of low order"


def _nodes(records: Records) -> Iterator[MixNode | Provider]:
    yield from records.mixnodes
    yield from records.providers


def _hosts(node: MixNode | Provider) -> tuple[str, ...]:
    if isinstance(node, MixNode):
        return (node.host,)
    return node.mixnet_listener, node.client_listener
