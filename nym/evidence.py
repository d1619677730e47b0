"""What loops that came back, and loops that didn't, say about one mixnode.

A packet shows each node the node before it and the node after it. So an attacker who wants a good
node to be left out, so that packets go elsewhere, can run its neighbours and drop what it sends or
should get. Therefore a suspect counts as bad only if it still looks bad without the worst third of
each layer beside it: the neighbours with the most losses. A node that drops packets does so whoever
is beside it. If a third of its neighbours conspire against a good node, the evidence goes away with
them. If a layer beside it has only one node, nobody can ever know.
"""

from collections import Counter
from collections.abc import Iterable
from math import log

from nym.loops import Loop
from nym.topology import Mix

# The share of its packets that a bad node is assumed to drop. Nodes that drop about half as much
# are noticed, too.
DROPPED = 0.3

# The score from which a node is suspect. At the default rates, good nodes reach it less than once
# in a thousand hours, bad ones in minutes.
THRESHOLD = 16.0

# The least evidence against a suspect that has to be left without its worst neighbours.
PROOF = 3.0

# How often, at most, the worst neighbours in both layers are chosen again; see `_without_worst`.
ROUNDS = 4


def log_likelihood_ratio(uses: int, losses: int, other_uses: int, other_losses: int) -> float:
    """The evidence from loops through a node, against all other loops. Above 0: the node looks bad.

    If p0 is the usual loss, loops through a node that drops the share s of its packets have the
    loss p1 = p0 + (1 - p0) s. Each lost loop adds ln(p1 / p0), and each loop that comes back adds
    ln((1 - p1) / (1 - p0)), which is negative.
    """
    # As if one more had been lost: an estimate that is too low would convict good nodes, and if it
    # was zero, a single loss would be infinitely strong evidence.
    usual = (other_losses + 1) / (other_uses + 1)
    per_loss = log(1 + DROPPED * (1 / usual - 1))
    per_return = log(1 - DROPPED)
    # The usual loss is only estimated, from other loops. For two normal means, one of them
    # estimated from the other loops, this weight makes the expected likelihood ratio of a good node
    # 1, as if the usual loss were known.
    weight = other_uses / (uses + other_uses)
    return weight * (losses * per_loss + (uses - losses) * per_return)


def is_proven(node: Mix, layer: int, loops: list[Loop], widths: dict[int, int]) -> bool:
    """Whether a node of this layer looks bad even without its worst neighbours.

    The fewer nodes its own layer has, the more packets the others get when it is left out, and the
    more an attacker gains. So small layers need more evidence.
    """
    through = [loop for loop in loops if loop.route[layer] == node]
    beside = sorted({layer - 1, layer + 1} & widths.keys())
    # Which neighbours are the worst can depend on the layer that is looked at first. The order that
    # leaves less evidence counts, in favour of the node.
    evidence = min(
        log_likelihood_ratio(
            len(rest), _lost(rest), len(loops) - len(through), _lost(loops) - _lost(through)
        )
        for rest in (_without_worst(through, order, widths) for order in (beside, beside[::-1]))
    )
    return evidence >= max(PROOF, THRESHOLD / max(1, widths[layer] - 1))


def _without_worst(through: list[Loop], beside: list[int], widths: dict[int, int]) -> list[Loop]:
    """The loops that avoid the worst third of each layer in `beside`.

    The worst are the nodes with the most lost loops, not counting loops that the choice in the
    other layer has removed already. So each choice depends on the other one, and both are made
    again until they no longer change, or ROUNDS times.
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
    """How many different nodes the loops went through, by layer, counted from the end (-1)."""
    depth = min((len(loop.route) for loop in loops), default=0)
    # Counting keys instead of nodes is faster: bytes remember their hash, tuples don't.
    return {
        layer: len({loop.route[layer].public_key for loop in loops}) for layer in range(-depth, 0)
    }


def layer_of(node: Mix, loops: Iterable[Loop]) -> int | None:
    """The layer of a node, counted from the end (-1); None if no loop went through it."""
    layers = (loop.route.index(node) - len(loop.route) for loop in loops if node in loop.route)
    return next(layers, None)


def _lost(loops: list[Loop]) -> int:
    return sum(not loop.is_back for loop in loops)
