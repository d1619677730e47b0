"""Blames a node, or the link between two, for lost loops: those through it against all others.

Unlike a client (nym.health), a check looks once, and can ask again. So there are two steps:

- *Comparing.* The loops on a stretch, which is a node or two that follow each other, are compared
  with those that avoid it. The stretch that looks worst is blamed, if it looks bad enough. Then the
  rest is judged without the loops on it, because those that it lost were also lost to the other
  nodes of their routes.
- *Asking again.* That can't tell the nodes of a layer apart if all of them lose packets, or if
  there is only one. So where losses are left that nobody is blamed for, loops go to each provider
  alone, then through one node to a provider, and through two. If they are lost on a stretch, and
  not on a shorter one within it, that stretch is blamed.

A node that wants to deceive the check can let short loops pass. Then the link behind it is blamed,
of which it is one end.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from nym.evidence import log_likelihood_ratio
from nym.network.check.loops import Loop

# The log-likelihood ratio from which a stretch is blamed: the losses are e^5, or 150 times, as
# likely if it drops packets.
ENOUGH = 5.0
MUCH_LOSS = 0.03  # share of lost loops that is worth a line
MOST_LOST = 0.5  # share of the loops on a stretch whose loss convicts it when it is asked again
MOST_STRETCHES = 100  # that are asked again

Stretch = tuple[bytes, ...]  # the keys of one node, or of two that follow each other


class Figures(NamedTuple):
    """How many loops were sent and lost, and the median of their lateness in milliseconds."""

    sent: int = 0
    lost: int = 0
    latency_ms: float | None = None

    @property
    def loss(self) -> float:
        """The share of lost loops; 0 if none was sent."""
        return self.lost / self.sent if self.sent else 0.0


def figures(loops: Collection[Loop]) -> Figures:
    """The figures of these loops."""
    late = sorted(loop.lateness for loop in loops if loop.lateness is not None)
    latency = round(1000 * late[len(late) // 2], 1) if late else None
    return Figures(len(loops), len(loops) - len(late), latency)


def by_node(loops: Iterable[Loop]) -> dict[bytes, Figures]:
    """The figures of the loops through each node.

    A loop that its first node refused says nothing about those behind it.
    """
    through: dict[bytes, list[Loop]] = {}
    for loop in loops:
        for node in loop.route[: 1 if loop.is_refused else None]:
            through.setdefault(node, []).append(loop)
    return {node: figures(some) for node, some in through.items()}


def compare(loops: Iterable[Loop]) -> tuple[list[Stretch], list[Loop]]:
    """The stretches to blame, the worst first, and the loops that avoid all of them."""
    rest = [loop for loop in loops if not loop.is_refused]
    blamed: list[Stretch] = []
    while (worst := _worst(rest)) is not None:
        blamed.append(worst)
        rest = avoiding([worst], rest)
    return blamed, rest


def is_much(lost: Figures) -> bool:
    """Whether so many lost loops are more than what happens now and then."""
    return lost.lost > 1 and lost.loss >= MUCH_LOSS


def doubtful(loops: Iterable[Loop]) -> list[Stretch]:
    """The stretches of mixnodes on which loops were lost, most losses first, to be asked again."""
    lost = Counter(
        stretch
        for loop in loops
        if loop.took is None
        for stretch in _stretches(loop)
        if loop.route[-1] not in stretch
    )
    return [stretch for stretch, _ in lost.most_common(MOST_STRETCHES)]


def convicted(asked: Iterable[tuple[Stretch, Loop]]) -> list[Stretch]:
    """The stretches to blame, of those that were asked again with these loops."""
    by_stretch: dict[Stretch, list[Loop]] = {}
    for stretch, loop in asked:
        if not loop.is_refused:  # whether a port is open is seen elsewhere
            by_stretch.setdefault(stretch, []).append(loop)
    lossy = {stretch for stretch, some in by_stretch.items() if figures(some).loss >= MOST_LOST}
    return [
        stretch
        for stretch in by_stretch
        if stretch in lossy and (len(stretch) == 1 or not any((node,) in lossy for node in stretch))
    ]


def avoiding(stretches: Collection[Stretch], loops: Iterable[Loop]) -> list[Loop]:
    """The loops that avoid all of these stretches."""
    return [loop for loop in loops if not any(s in stretches for s in _stretches(loop))]


def _worst(loops: Sequence[Loop]) -> Stretch | None:
    """The stretch against which there is most evidence, if that is enough."""
    uses = Counter(stretch for loop in loops for stretch in _stretches(loop))
    losses = Counter(stretch for loop in loops if loop.took is None for stretch in _stretches(loop))
    lost = sum(loop.took is None for loop in loops)

    def evidence(stretch: Stretch) -> float:
        used, lost_here = uses[stretch], losses[stretch]
        return log_likelihood_ratio(used, lost_here, len(loops) - used, lost - lost_here)

    worst = max(losses, key=evidence, default=None)
    return worst if worst is not None and evidence(worst) >= ENOUGH else None


def _stretches(loop: Loop) -> Iterator[Stretch]:
    for length in (1, 2):
        for start in range(len(loop.route) - length + 1):
            yield loop.route[start : start + length]
