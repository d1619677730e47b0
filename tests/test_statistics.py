"""The tests of statistics, against tables of textbooks and against samples that are known."""

from math import log, sqrt
from random import Random

import pytest

from nym.statistics import (
    chi_square_tail,
    fit_exponential,
    fit_shares,
    kolmogorov_tail,
    same_distribution,
    same_shares,
)

# F. J. Massey, "The Kolmogorov-Smirnov Test for Goodness of Fit", JASA 46 (1951), table 1: which
# distance is exceeded by accident with this probability.
MASSEY = [
    (10, {0.10: 0.368, 0.05: 0.410, 0.01: 0.490}),
    (20, {0.10: 0.264, 0.05: 0.294, 0.01: 0.356}),
    (30, {0.10: 0.22, 0.05: 0.24, 0.01: 0.29}),
    *((count, {0.10: 1.22 / sqrt(count), 0.01: 1.63 / sqrt(count)}) for count in (1000, 100_000)),
]
# The percentage points of chi-square in every textbook, such as Abramowitz and Stegun, table 26.8.
CHI_SQUARE = [
    (1, {0.95: 0.00393, 0.05: 3.84146, 0.001: 10.828}),
    (2, {0.95: 0.102587, 0.05: 5.99147, 0.001: 13.816}),
    (5, {0.95: 1.145476, 0.05: 11.0705, 0.001: 20.515}),
    (10, {0.95: 3.94030, 0.05: 18.3070, 0.001: 29.588}),
    (30, {0.95: 18.4926, 0.05: 43.7729, 0.001: 59.703}),
    (100, {0.95: 77.9295, 0.05: 124.342, 0.001: 149.449}),
]


@pytest.mark.parametrize(("count", "points"), MASSEY)
def test_kolmogorovs_distribution_is_that_of_the_table(
    count: int, points: dict[float, float]
) -> None:
    for p, distance in points.items():
        assert kolmogorov_tail(distance, count) == pytest.approx(p, rel=0.15)


@pytest.mark.parametrize(
    ("x", "p"), [(0.5, 0.9639), (0.8276, 0.5), (1.0, 0.27), (1.3581, 0.05), (1.9495, 0.001)]
)
def test_both_forms_of_kolmogorovs_sum_agree_with_smirnovs_table(x: float, p: float) -> None:
    assert kolmogorov_tail(x / 1e4, 1e8) == pytest.approx(p, rel=2e-3)


def test_kolmogorovs_distribution_has_both_ends() -> None:
    assert kolmogorov_tail(0.0, 100) == 1.0
    assert kolmogorov_tail(1.0, 10_000) == pytest.approx(0.0, abs=1e-99)


@pytest.mark.parametrize(("freedom", "points"), CHI_SQUARE)
def test_chi_square_is_that_of_the_table(freedom: int, points: dict[float, float]) -> None:
    for p, distance in points.items():
        assert chi_square_tail(distance, freedom) == pytest.approx(p, rel=1e-3)
    assert chi_square_tail(0.0, freedom) == 1.0


def test_the_middle_of_each_part_fits_best() -> None:
    count, mean = 50, 0.25
    samples = [-mean * log(1 - (i + 0.5) / count) for i in range(count)]
    fit = fit_exponential(samples, mean)
    assert fit.distance == pytest.approx(0.5 / count)
    assert fit.p == pytest.approx(1.0)
    # All of them twice as long: the largest difference of 1 - exp(-x) and 1 - exp(-x / 2) is 1/4.
    assert fit_exponential([2 * sample for sample in samples], mean).distance == pytest.approx(
        0.25, abs=1 / count
    )


def test_two_samples_are_compared_with_each_other() -> None:
    assert same_distribution([1, 2, 3, 4], [1, 2, 3, 4]).distance == 0
    assert same_distribution([1, 2, 3], [4, 5, 6, 7]).distance == 1
    assert same_distribution([4, 5, 6, 7], [1, 2, 3]).distance == 1
    # Equal ones are one step: 0, 1/2, 1 beside 0, 3/4, 1.
    assert same_distribution([1, 1, 2, 2], [1, 1, 1, 2]).distance == pytest.approx(0.25)


def test_shares_are_compared_as_mendel_could_have() -> None:
    # His peas: 9:3:3:1 expected, chi-square 0.470 and p 0.925 (Fisher, 1936).
    fit = fit_shares([315, 101, 108, 32], [9 / 16, 3 / 16, 3 / 16, 1 / 16])
    assert fit.distance == pytest.approx(0.470, abs=1e-3)
    assert fit.p == pytest.approx(0.925, abs=1e-3)


def test_rows_are_compared_with_each_other() -> None:
    assert same_shares([10, 20, 30], [20, 40, 60]).distance == pytest.approx(0)
    # A table of two by two: n (ad - bc)^2 / ((a+b) (c+d) (a+c) (b+d)).
    fit = same_shares([20, 30], [40, 10])
    assert fit.distance == pytest.approx(100 * 1000**2 / (50 * 50 * 60 * 40))
    assert fit.p == pytest.approx(chi_square_tail(fit.distance, 1))


def test_what_comes_from_the_distribution_fails_as_often_as_p_says() -> None:
    random, trials, count = Random(1), 400, 150
    below = [0, 0, 0, 0]
    for _ in range(trials):
        gaps, others = (
            [random.expovariate(4.0) for _ in range(size)] for size in (count, 2 * count)
        )
        draws = [[random.randrange(5) for _ in range(size)] for size in (count, 2 * count)]
        one, other = ([row.count(place) for place in range(5)] for row in draws)
        fits = (
            fit_exponential(gaps, 0.25),
            same_distribution(gaps, others),
            fit_shares(one, [0.2] * 5),
            same_shares(one, other),
        )
        below = [n + (fit.p < 0.1) for n, fit in zip(below, fits, strict=True)]
    # A tenth of them, and four standard deviations.
    assert all(40 - 24 <= n <= 40 + 24 for n in below), below
