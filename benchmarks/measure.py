"""How long things take, measured in turns.

Machines speed up and slow down while they run, so everything of one comparison is measured round
by round, and the ratio is the median of the rounds' ratios.
"""

from collections.abc import Callable, Mapping
from statistics import median
from time import perf_counter
from typing import NamedTuple

ROUNDS = 60
ROUND_TIME = 0.01  # seconds a function runs in each round


class Row(NamedTuple):
    """One line of a result: microseconds a call, beside what it can't do without."""

    what: str
    us: float
    yardstick_us: float
    ratio: float


def measure(functions: Mapping[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Seconds a call of each function, in each round."""
    calls = {
        name: max(1, int(ROUND_TIME / _time(function, 10))) for name, function in functions.items()
    }
    rounds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(ROUNDS):
        for name, function in functions.items():
            rounds[name].append(_time(function, calls[name]))
    return rounds


def compare(what: str, own: list[float], yardstick: list[float]) -> Row:
    """The line for `own` beside `yardstick`, both in seconds a round."""
    ratios = [mine / theirs for mine, theirs in zip(own, yardstick, strict=True)]
    return Row(what, median(own) * 1e6, median(yardstick) * 1e6, median(ratios))


def _time(function: Callable[[], object], calls: int) -> float:
    began = perf_counter()
    for _ in range(calls):
        function()
    return (perf_counter() - began) / calls
