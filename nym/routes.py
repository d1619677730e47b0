"""Routes: one random mixnode of each layer, then the recipient's provider.

To draw a node, a machine (nym.topology) is drawn first, then one of its nodes. Ports and keys cost
nothing, so otherwise anyone could attract packets by running many nodes on one machine.
"""

from collections.abc import Iterable, Sequence
from random import Random
from typing import TypeVar

from nym.sphinx import Hop
from nym.timing import exponential
from nym.topology import Mix, ProviderNode, machine
from nym.wire.addresses import encode_address

NANOSECONDS = 10**9

Node = TypeVar("Node", Mix, ProviderNode)


def random_route(
    layers: Sequence[Sequence[Mix]], provider: ProviderNode, average_delay: float, random: Random
) -> tuple[tuple[Mix, ...], list[Hop]]:
    """(the mixnodes, all hops). Each hop has an exponential delay, of `average_delay` s on average.

    Randomness is an argument, so tests can repeat a route.
    """
    mixnodes = tuple(random_node(layer, random) for layer in layers)
    return mixnodes, hops_through((*mixnodes, provider), average_delay, random)


def hops_through(
    nodes: Iterable[Mix | ProviderNode], average_delay: float, random: Random
) -> list[Hop]:
    """The hops of a route through these nodes, with delays as above."""
    return [
        Hop(
            encode_address(node.address),
            node.public_key,
            int(exponential(average_delay, random) * NANOSECONDS),
        )
        for node in nodes
    ]


def random_node(nodes: Sequence[Node], random: Random) -> Node:
    """A random node of a random machine."""
    # There is no list per machine: this runs for each packet, and thousands of lists would make
    # work for the garbage collector.
    where = [machine(node.address) for node in nodes]
    chosen = random.choice(list(dict.fromkeys(where)))
    return random.choice([node for node, at in zip(nodes, where, strict=True) if at == chosen])
