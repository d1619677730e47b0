"""The network that the client can use: mixnodes by layer, and providers.

`nym.judge` makes it from a directory's records. No two nodes have the same key, or the same place
(host and port). Routes rely on this: it means that no node is in a route twice.
"""

import base64
import hashlib
import ipaddress
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from nym.wire.addresses import NodeAddress
from nym.wire.keys import encode_base58

_DIGEST = 20  # bytes: finding two networks with the same digest would take 2^80 attempts
_GROUP = 4  # letters and digits per group, so that people can compare digests
_SITE = 64  # bits of an IPv6 address; one site usually has all addresses that share them


def machine(address: NodeAddress) -> str:
    """The machine that a node at this address seems to run on.

    It is an IPv4 address, or the first 64 bits of an IPv6 address, as text.
    """
    return _machine_at(address.ip)


@lru_cache(maxsize=1 << 14)
def _machine_at(ip: str) -> str:
    return str(ipaddress.IPv6Network((ip, _SITE), strict=False)) if ":" in ip else ip


class Mix(NamedTuple):
    """A usable mixnode."""

    address: NodeAddress
    public_key: bytes


class ProviderNode(NamedTuple):
    """A usable provider. `address` takes packets, `client_address` takes clients' requests."""

    address: NodeAddress
    client_address: NodeAddress
    public_key: bytes
    clients: frozenset[bytes]


class Topology(NamedTuple):
    """The layers 1..L, each with at least one mixnode, and at least one provider."""

    layers: tuple[tuple[Mix, ...], ...]
    providers: tuple[ProviderNode, ...]

    def provider(self, public_key: bytes) -> ProviderNode | None:
        """The provider with this key; None if there is none."""
        return next((node for node in self.providers if node.public_key == public_key), None)

    def layers_to(self, provider: ProviderNode) -> tuple[tuple[Mix, ...], ...]:
        """The layers of routes to `provider`, without any mixnode that has its key or its place.

        The client may still wait for a provider that has left the network. Since then, a mixnode
        may have taken its key or its place, and would be in a route twice.
        """
        if provider in self.providers:
            return self.layers
        return tuple(
            tuple(
                node
                for node in layer
                if node.public_key != provider.public_key and node.address != provider.address
            )
            for layer in self.layers
        )

    def places(self) -> frozenset[object]:
        """All that routes depend on: each node's key, address and layer. For comparing networks."""
        mixnodes = {(number, *node) for number, layer in enumerate(self.layers) for node in layer}
        return frozenset(mixnodes | {node[:3] for node in self.providers})

    def public_keys(self) -> frozenset[bytes]:
        """The keys of all nodes."""
        mixnodes = {node.public_key for layer in self.layers for node in layer}
        return frozenset(mixnodes | {node.public_key for node in self.providers})

    def shares_nodes_with(self, other: "Topology") -> bool:
        """Whether both have a node in common: then they are one network at two times."""
        return not self.public_keys().isdisjoint(other.public_keys())

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
