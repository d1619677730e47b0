"""When mixnodes are away: each is there and away in turn, for exponential times."""

from random import Random
from typing import NamedTuple


class Change(NamedTuple):
    """From `at` on, in seconds, this node is there or away."""

    at: float
    node: int
    is_there: bool


def changes(nodes: int, up: float, down: float, until: float, random: Random) -> list[Change]:
    """What happens to `nodes` nodes until then, in order; nothing, if `up` is 0.

    Times of being there are `up` seconds on average, and those of being away `down`. At the
    beginning, as many are away as at any other time.
    """
    if not up:
        return []
    found = []
    for node in range(nodes):
        is_there = random.random() < up / (up + down)
        at = 0.0
        if not is_there:
            found.append(Change(at, node, is_there))
        while (at := at + random.expovariate(1 / (up if is_there else down))) < until:
            is_there = not is_there
            found.append(Change(at, node, is_there))
    return sorted(found)
