"""Welch's t-test of two kinds of times."""

from collections.abc import Sequence
from math import sqrt
from statistics import quantiles

# An interrupt takes longer than any difference. So the test is made with all times, and with the
# shortest ones only, in several ways; the same limit holds for both kinds.
PERCENTILES = (100, 99, 95, 90, 75, 50)


class Moments:
    """Mean and variance of numbers that come one after the other (Welford's way)."""

    def __init__(self) -> None:
        self.count, self.mean, self._squares = 0, 0.0, 0.0

    def add(self, value: float) -> None:
        self.count += 1
        off = value - self.mean
        self.mean += off / self.count
        self._squares += off * (value - self.mean)

    @property
    def variance(self) -> float:
        return self._squares / (self.count - 1)


class Comparison:
    """Compares two kinds of times. More can be added; the limits are those of the first ones."""

    def __init__(self, first: Sequence[int]) -> None:
        cuts = quantiles(first, n=100)
        self._limits = [cuts[p - 1] if p < 100 else float("inf") for p in PERCENTILES]
        self._kinds = [(Moments(), Moments()) for _ in PERCENTILES]

    def add(self, kinds: Sequence[int], times: Sequence[int]) -> None:
        """Times, and of which kind each is: 0 or 1."""
        for kind, time in zip(kinds, times, strict=True):
            for limit, moments in zip(self._limits, self._kinds, strict=True):
                if time <= limit:
                    moments[kind].add(time)

    def t(self) -> float:
        """The largest t of all percentiles: how many standard errors the means differ by."""
        return max(_t(*moments) for moments in self._kinds)


def _t(one: Moments, other: Moments) -> float:
    if min(one.count, other.count) < 2:
        return 0.0
    error = sqrt(one.variance / one.count + other.variance / other.count)
    return abs(one.mean - other.mean) / error if error else 0.0
