"""Measures how long functions take, and compares them.

Machines become faster and slower while they run. So all functions of a comparison are measured in
each round, one after the other, and the ratio is the median of the ratios of all rounds.
"""

from collections.abc import Callable, Mapping
from statistics import median
from time import perf_counter, thread_time
from typing import NamedTuple

ROUNDS = 60
ROUND_TIME = 0.01  # seconds for which each function runs in a round


class Row(NamedTuple):
    """One line of a result: microseconds per call, beside those of the yardstick."""

    what: str
    us: float
    yardstick_us: float
    ratio: float


def measure(
    functions: Mapping[str, Callable[[], object]], clock: Callable[[], float] = perf_counter
) -> dict[str, list[float]]:
    """{name: seconds per call in each round} for each function."""
    calls = {
        name: max(1, int(ROUND_TIME / _time(function, 10, clock)))
        for name, function in functions.items()
    }
    rounds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(ROUNDS):
        for name, function in functions.items():
            rounds[name].append(_time(function, calls[name], clock))
    return rounds


def least(functions: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """{name: the least seconds of processor time per call of all rounds}.

    Other programs on the same machine hardly change it.
    """
    return {name: min(times) for name, times in measure(functions, thread_time).items()}


def compare(what: str, own: list[float], yardstick: list[float]) -> Row:
    """The line for `own` beside `yardstick`; both are seconds per call, one for each round."""
    ratios = [mine / theirs for mine, theirs in zip(own, yardstick, strict=True)]
    return Row(what, median(own) * 1e6, median(yardstick) * 1e6, median(ratios))


def _time(function: Callable[[], object], calls: int, clock: Callable[[], float]) -> float:
    began = clock()
    for _ in range(calls):
        function()
    return (clock() - began) / calls
