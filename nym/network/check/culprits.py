"""Finds the stretches that lose loops, and asks again where that isn't clear (see `blame`)."""

from collections.abc import Callable, Iterable
from itertools import cycle
from typing import NamedTuple

from nym.network.check.blame import (
    Figures,
    Stretch,
    avoiding,
    compare,
    convicted,
    doubtful,
    figures,
    is_much,
)
from nym.network.check.loops import Loop

LOOPS_AGAIN = 6  # on each stretch that is asked again

# Sends a loop on each of these routes, of keys, and returns them when they are back or lost.
Send = Callable[[Iterable[tuple[bytes, ...]]], list[Loop]]


class Verdict(NamedTuple):
    """The stretches that lose loops, and the figures of loops for which nobody is blamed."""

    blamed: list[Stretch]
    others: Figures


def find_culprits(loops: Iterable[Loop], send: Send) -> Verdict:
    """The stretches that lose these loops. `send` is called if the loops don't tell."""
    blamed, rest = compare(loops)
    if is_much(figures(rest)):
        blamed += _ask_again(rest, send)
        rest = avoiding(blamed, rest)
    return Verdict(blamed, figures(rest))


def _ask_again(loops: list[Loop], send: Send) -> list[Stretch]:
    ends = {loop.route[-1] for loop in loops}
    alone = send([(end,) for end in ends for _ in range(LOOPS_AGAIN)])
    blamed = convicted((loop.route, loop) for loop in alone)
    # Loops to these show what the mixnodes do. Without any, nothing more can be found out.
    good = {loop.route[-1] for loop in alone if loop.took is not None}
    if not good:
        return blamed
    asked = [stretch for stretch in doubtful(loops) for _ in range(LOOPS_AGAIN)]
    routes = [(*stretch, end) for stretch, end in zip(asked, cycle(good), strict=False)]
    return blamed + convicted(zip(asked, send(routes), strict=True))
