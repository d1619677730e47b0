"""The usable network: mixnodes by layer, and providers.

`nym.judge` makes it out of a directory's records. No two nodes of it have a key or a place in
common. Routes rely on that: so a node stands in a route at most once.
"""

import base64
import hashlib
import ipaddress
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from nym.wire.addresses import NodeAddress
from nym.wire.keys import encode_base58

PROTOCOL_VERSION = "0.4.0"

_DIGEST = 20  # bytes: two networks with one digest would take 2^80 attempts
_GROUP = 4  # characters of a digest that stand together
_SITE = 64  # bits


def machine(address: NodeAddress) -> str:
    """What a node there runs on, as far as that can be told.

    It is an IPv4 address, or the first 64 bits of an IPv6 address, which one site usually has.
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
    """A usable provider: `address` takes packets, `client_address` takes clients' requests."""

    address: NodeAddress
    client_address: NodeAddress
    public_key: bytes
    clients: frozenset[bytes]


class Topology(NamedTuple):
    """Layers 1..L, each with one mixnode or more, and one provider or more."""

    layers: tuple[tuple[Mix, ...], ...]
    providers: tuple[ProviderNode, ...]

    def provider(self, public_key: bytes) -> ProviderNode | None:
        """The provider with this key."""
        return next((node for node in self.providers if node.public_key == public_key), None)

    def layers_to(self, provider: ProviderNode) -> tuple[tuple[Mix, ...], ...]:
        """The layers of routes to a provider: it stands in none of them.

        One that has left the network may still be waited for, and its key, or its place, may be
        another node's since.
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
        """Where all nodes are, and their keys: what routes are made of."""
        mixnodes = {(number, *node) for number, layer in enumerate(self.layers) for node in layer}
        return frozenset(mixnodes | {node[:3] for node in self.providers})

    def public_keys(self) -> frozenset[bytes]:
        """The keys of all nodes."""
        mixnodes = {node.public_key for layer in self.layers for node in layer}
        return frozenset(mixnodes | {node.public_key for node in self.providers})

    def shares_nodes_with(self, other: "Topology") -> bool:
        """Whether it is one network, at two times: a node of it is left."""
        return not self.public_keys().isdisjoint(other.public_keys())

    def digest(self) -> str:
        """The same text wherever the same nodes are known, for people to compare.

        The clients of providers, and the order of a directory's records, don't count.
        """
        lines = sorted(self._lines())
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
