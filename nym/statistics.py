"""Could samples come from a distribution? The tests of Kolmogorov and Smirnov, and chi-square.

Each gives a `Fit`. They hold for samples that are large enough: the callers ask for 100 gaps or
more, and for chi-square for five expected ones in each place. So the limits of the distributions
can be used, and no tables are needed.
"""

from collections.abc import Sequence
from math import erfc, exp, inf, lgamma, log, pi, sqrt
from typing import NamedTuple


class Fit(NamedTuple):
    """The outcome of a test.

    `distance` is the largest difference of two distribution functions, or chi-square. `p` is how
    often so much or more is seen by accident where the samples do come from that distribution.
    """

    distance: float
    p: float


def fit_exponential(samples: Sequence[float], mean: float) -> Fit:
    """Compare with the exponential distribution of a known mean (Kolmogorov-Smirnov)."""
    count, distance = len(samples), 0.0
    for number, sample in enumerate(sorted(samples)):
        expected = 1 - exp(-sample / mean)
        distance = max(distance, (number + 1) / count - expected, expected - number / count)
    return Fit(distance, kolmogorov_tail(distance, count))


def same_distribution(one: Sequence[float], other: Sequence[float]) -> Fit:
    """Compare two samples with each other (Kolmogorov-Smirnov)."""
    lower, upper = sorted(one), sorted(other)
    i = j = 0
    distance = 0.0
    while i < len(lower) and j < len(upper):
        least = min(lower[i], upper[j])
        # Equal ones together: between them, there is nothing to compare.
        while i < len(lower) and lower[i] == least:
            i += 1
        while j < len(upper) and upper[j] == least:
            j += 1
        distance = max(distance, abs(i / len(lower) - j / len(upper)))
    return Fit(distance, kolmogorov_tail(distance, len(one) * len(other) / (len(one) + len(other))))


def fit_shares(counts: Sequence[int], shares: Sequence[float]) -> Fit:
    """Compare how often each of several things was drawn with their shares (chi-square).

    There are at least two shares, and together they are 1.
    """
    total = sum(counts)
    distance = sum(
        (count - total * share) ** 2 / (total * share)
        for count, share in zip(counts, shares, strict=True)
    )
    return Fit(distance, chi_square_tail(distance, len(counts) - 1))


def same_shares(one: Sequence[int], other: Sequence[int]) -> Fit:
    """Compare two rows of counts with each other (chi-square). No place is empty in both."""
    total = sum(one) + sum(other)
    places = [a + b for a, b in zip(one, other, strict=True)]
    distance = sum(
        (count - sum(row) * place / total) ** 2 / (sum(row) * place / total)
        for row in (one, other)
        for count, place in zip(row, places, strict=True)
    )
    return Fit(distance, chi_square_tail(distance, len(places) - 1))


def kolmogorov_tail(distance: float, count: float) -> float:
    """How often a distance is as large or larger by accident, with `count` samples.

    For two samples of n and m, `count` is nm / (n + m). Stephens' correction (1970) makes the limit
    good enough from ten samples on.
    """
    x = (sqrt(count) + 0.12 + 0.11 / sqrt(count)) * distance
    # Two forms of one sum. Each needs few terms where the other one needs many.
    if x < 1:
        if x < 0.2:  # it is 1 to the last digit, and the powers below would become 0
            return 1.0
        return 1 - sqrt(2 * pi) / x * sum(
            exp(-((2 * j - 1) ** 2) * pi**2 / (8 * x**2)) for j in range(1, 5)
        )
    return -2 * sum((-1.0) ** j * exp(-2 * (j * x) ** 2) for j in range(1, 9))


def chi_square_tail(distance: float, freedom: int) -> float:
    """How often chi-square is as large or larger by accident, with so many degrees of freedom.

    It is a finite sum: of Poisson's distribution if `freedom` is even (Abramowitz and Stegun,
    26.4.4 and 26.4.5).
    """
    half = distance / 2
    is_odd = freedom % 2
    logarithm = log(half) if half else -inf
    powers = [i + is_odd / 2 for i in range(freedom // 2)]
    terms = [exp((s * logarithm if s else 0.0) - half - lgamma(s + 1)) for s in powers]
    return sum(terms, erfc(sqrt(half)) if is_odd else 0.0)
