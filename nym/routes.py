"""A packet's way: one random mixnode of each layer, then the recipient's provider.

A machine counts once in a layer, however many nodes it has there: ports and keys cost nothing, so
many of them would otherwise draw routes to one machine. Here a machine is an IPv4 address, or the
first 64 bits of an IPv6 address, which is what one site usually has.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from functools import lru_cache
from random import Random

from nym.sphinx import Hop
from nym.timing import exponential
from nym.topology import Mix, ProviderNode
from nym.wire.addresses import encode_address

NANOSECONDS = 10**9
_SITE = 64  # bits


def random_route(
    layers: Sequence[Sequence[Mix]], provider: ProviderNode, average_delay: float, random: Random
) -> tuple[tuple[Mix, ...], list[Hop]]:
    """(the mixnodes, the hops), with a delay for each hop around `average_delay` seconds."""
    mixnodes = tuple(random.choice(random.choice(_by_machine(layer))) for layer in layers)
    nodes: list[Mix | ProviderNode] = [*mixnodes, provider]
    hops = [
        Hop(
            encode_address(node.address),
            node.public_key,
            int(exponential(average_delay, random) * NANOSECONDS),
        )
        for node in nodes
    ]
    return mixnodes, hops


def machine(node: Mix | ProviderNode) -> str:
    """What it runs on, as far as its address tells."""
    return _machine_at(node.address.ip)


def _by_machine(layer: Iterable[Mix]) -> list[list[Mix]]:
    machines: dict[str, list[Mix]] = {}
    for node in layer:
        machines.setdefault(machine(node), []).append(node)
    return list(machines.values())


@lru_cache(maxsize=1 << 14)
def _machine_at(ip: str) -> str:
    return str(ipaddress.IPv6Network((ip, _SITE), strict=False)) if ":" in ip else ip
