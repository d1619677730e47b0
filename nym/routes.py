"""A packet's way: one random mixnode of each layer, then the recipient's provider.

A machine (nym.topology) counts once in a layer, however many nodes it has there: ports and keys
cost nothing, so many of them would otherwise draw routes to one machine.
"""

from collections.abc import Sequence
from random import Random

from nym.sphinx import Hop
from nym.timing import exponential
from nym.topology import Mix, ProviderNode, machine
from nym.wire.addresses import encode_address

NANOSECONDS = 10**9


def random_route(
    layers: Sequence[Sequence[Mix]], provider: ProviderNode, average_delay: float, random: Random
) -> tuple[tuple[Mix, ...], list[Hop]]:
    """(the mixnodes, the hops), with a delay for each hop around `average_delay` seconds."""
    mixnodes = tuple(_random_node(layer, random) for layer in layers)
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


def _random_node(layer: Sequence[Mix], random: Random) -> Mix:
    """One of a random machine, without a list for each: the collector would visit thousands."""
    where = [machine(node.address) for node in layer]
    chosen = random.choice(list(dict.fromkeys(where)))
    return random.choice([node for node, at in zip(layer, where, strict=True) if at == chosen])
