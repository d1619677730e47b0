"""A packet's way: one random mixnode of each layer, then the recipient's provider."""

from collections.abc import Sequence
from random import Random

from nym.sphinx import Hop
from nym.timing import exponential
from nym.topology import Mix, ProviderNode, Topology
from nym.wire.addresses import encode_address

NANOSECONDS = 10**9


def recipient_provider(topology: Topology, recipient: bytes) -> ProviderNode | None:
    """Where `recipient` fetches its messages; None while the directory doesn't say.

    A lone provider needs no saying, but for clients of another one that is away.
    """
    if len(topology.providers) == 1 and recipient not in topology.missed:
        return topology.providers[0]
    return next((node for node in topology.providers if recipient in node.clients), None)


def random_route(
    layers: Sequence[Sequence[Mix]], provider: ProviderNode, average_delay: float, random: Random
) -> tuple[tuple[Mix, ...], list[Hop]]:
    """(the mixnodes, the hops), with a delay for each hop around `average_delay` seconds."""
    mixnodes = tuple(random.choice(layer) for layer in layers)
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
