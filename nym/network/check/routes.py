"""Which routes the loops of a check take: each node gets its share, and neighbours change."""

from collections.abc import Collection, Iterator, Sequence
from random import Random
from typing import TypeVar

LOOPS = 20  # through each node that can be reached
# Through each node that can't be reached from here: enough to see whether its neighbours reach it.
# Such a node is kept out of all other routes, since most likely it would lose these loops.
LOOPS_UNREACHED = 6

Node = TypeVar("Node")
Stages = Sequence[Sequence[Node]]


def covering(
    stages: Stages[Node], unreached: Collection[Node], random: Random
) -> Iterator[tuple[Node, ...]]:
    """Yield routes, each through one node of every stage, that pass all nodes as often as above."""
    usual = [[node for node in stage if node not in unreached] or stage for stage in stages]
    yield from balanced(usual, LOOPS * max(map(len, usual)), random)
    for number, stage in enumerate(stages):
        if rest := [node for node in stage if node not in usual[number]]:
            others = [*usual[:number], rest, *usual[number + 1 :]]
            yield from balanced(others, LOOPS_UNREACHED * len(rest), random)


def balanced(stages: Stages[Node], count: int, random: Random) -> Iterator[tuple[Node, ...]]:
    """Yield `count` routes, in which nodes of one stage are equally often, as far as that goes.

    Who is beside whom is left to chance, so that a node which loses packets isn't always beside the
    same others.
    """
    rounds = [_rounds(stage, random) for stage in stages]
    for _ in range(count):
        yield tuple(next(nodes) for nodes in rounds)


def _rounds(nodes: Sequence[Node], random: Random) -> Iterator[Node]:
    """Yield each node once in each round, in an order that is another one each time."""
    while True:
        yield from random.sample(nodes, len(nodes))
