"""Routes: one random mixnode of each layer, then the recipient's provider."""

from collections.abc import Iterable, Sequence
from random import Random

from nym.sphinx import Hop
from nym.timing import exponential
from nym.topology import Mix, Nodes, ProviderNode
from nym.wire.addresses import encode_address

NANOSECONDS = 10**9


def random_route(
    layers: Sequence[Nodes[Mix]], provider: ProviderNode, average_delay: float, random: Random
) -> tuple[tuple[Mix, ...], list[Hop]]:
    """(the mixnodes, all hops). Each hop has an exponential delay, of `average_delay` s on average.

    Randomness is an argument, so tests can repeat a route.
    """
    mixnodes = tuple(layer.draw(random) for layer in layers)
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
