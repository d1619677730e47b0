"""Which routes the loops of a check take: each node gets its share, and neighbours change."""

from collections.abc import Iterator, Sequence
from random import Random
from typing import TypeVar

Node = TypeVar("Node")


def balanced_routes(
    stages: Sequence[Sequence[Node]], least: int, random: Random
) -> Iterator[tuple[Node, ...]]:
    """Yield routes, each through one node of every stage, until each node is in `least` of them.

    Nodes of one stage are in equally many routes, as far as that goes. Who is beside whom is left
    to chance, so that a node which loses packets isn't always beside the same others.
    """
    rounds = [_rounds(stage, random) for stage in stages]
    for _ in range(least * max(map(len, stages))):
        yield tuple(next(nodes) for nodes in rounds)


def _rounds(nodes: Sequence[Node], random: Random) -> Iterator[Node]:
    """Yield each node once in each round, in an order that is another one each time."""
    while True:
        yield from random.sample(nodes, len(nodes))
