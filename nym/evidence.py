"""What loops that came back, and loops that didn't, say about one mixnode.

A packet shows a node the one before and the one behind. Anyone who would like a good node to be
left out, so that packets go elsewhere, can drop what it brings or gets. So a suspect counts as bad
only if it looks bad without those of its neighbours that speak most against it, a third of each
layer beside it, too. If it drops packets, it does so whoever is beside it; if a third of its
neighbours conspire, nothing is left without them. Where a layer beside it is a single node, that is
never known.
"""

from collections import Counter
from collections.abc import Iterable
from math import log

from nym.loops import Loop
from nym.topology import Mix

# The share of its packets that a bad node is supposed to drop; about half of that is noticed.
DROPPED = 0.3

# Good nodes at the default rates get there less than once in a thousand hours, bad ones in minutes.
THRESHOLD = 16.0

# What has to be left of a suspect's evidence without its worst neighbours, at least.
PROOF = 3.0

# How often the worst neighbours on both sides are chosen, each time knowing the others, at most.
ROUNDS = 4


def log_likelihood_ratio(uses: int, losses: int, other_uses: int, other_losses: int) -> float:
    """How much more is lost through a node than elsewhere: above 0 speaks against the node.

    Where p0 is the usual loss, a node that drops the share s of its packets has a loss of
    p1 = p0 + (1 - p0) s. Then ln(p1 / p0) and ln((1 - p1) / (1 - p0)) are what is added below for
    each loop that is lost and for each that comes back.
    """
    usual = (other_losses + 1) / (other_uses + 1)
    per_loss = log(1 + DROPPED * (1 / usual - 1))
    per_return = log(1 - DROPPED)
    # For two normal means, one of them estimated from the others, this weight makes the expected
    # likelihood ratio of a good node 1, as if the usual loss were known.
    weight = other_uses / (uses + other_uses)
    return weight * (losses * per_loss + (uses - losses) * per_return)


def is_proven(node: Mix, layer: int, loops: list[Loop], widths: dict[int, int]) -> bool:
    """Whether a node of this layer looks bad without its worst neighbours, too.

    The fewer nodes its own layer has, the more is gained by those that stay, and the more has to be
    left.
    """
    through = [loop for loop in loops if loop.route[layer] == node]
    beside = sorted({layer - 1, layer + 1} & widths.keys())
    evidence = min(
        log_likelihood_ratio(
            len(rest), _lost(rest), len(loops) - len(through), _lost(loops) - _lost(through)
        )
        for rest in (_without_worst(through, order, widths) for order in (beside, beside[::-1]))
    )
    return evidence >= max(PROOF, THRESHOLD / max(1, widths[layer] - 1))


def _without_worst(through: list[Loop], beside: list[int], widths: dict[int, int]) -> list[Loop]:
    """The loops that are left without a third of each layer `beside`.

    Those go with which most losses are, of loops that aren't gone with the others: the choice in
    one layer depends on that in the other one, so it is made again until it stays.
    """
    worst = dict.fromkeys(beside, frozenset[Mix]())
    for _ in range(ROUNDS):
        before = worst.copy()
        for layer in beside:
            rest = _without(through, (worst[other] for other in beside if other != layer))
            lost = Counter(loop.route[layer] for loop in rest if not loop.is_back)
            most = lost.most_common(max(1, widths[layer] // 3))
            worst[layer] = frozenset(neighbour for neighbour, _ in most)
        if worst == before:
            break
    return _without(through, worst.values())


def _without(loops: list[Loop], nodes: Iterable[frozenset[Mix]]) -> list[Loop]:
    gone = frozenset[Mix]().union(*nodes)
    return [loop for loop in loops if gone.isdisjoint(loop.route)]


def widths_of(loops: list[Loop]) -> dict[int, int]:
    """How many nodes of each layer, counted from the end, the loops went through."""
    depth = min((len(loop.route) for loop in loops), default=0)
    # The keys are enough for a count, and remember their hashes.
    return {
        layer: len({loop.route[layer].public_key for loop in loops}) for layer in range(-depth, 0)
    }


def layer_of(node: Mix, loops: Iterable[Loop]) -> int | None:
    """Which layer a node is in, counted from the end; None if no loop went through it."""
    layers = (loop.route.index(node) - len(loop.route) for loop in loops if node in loop.route)
    return next(layers, None)


def _lost(loops: list[Loop]) -> int:
    return sum(not loop.is_back for loop in loops)
