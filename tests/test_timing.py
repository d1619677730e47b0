"""Schedules and back-off; the time is an argument, so nothing waits."""

from random import Random
from statistics import fmean

import pytest

from nym.timing import LONGEST_LAG, Backoff, Fixed, Poisson, exponential


class Counting:
    """A tempo that counts what is missed."""

    def __init__(self, stretch: float) -> None:
        self.stretch = stretch
        self.count = 0.0

    def missed(self, count: float) -> None:
        self.count += count


def test_poisson_gaps_are_exponential() -> None:
    schedule, gaps = Poisson(0.5, 100.0, Random(1)), []
    for _ in range(20_000):
        before = schedule.deadline
        schedule.advance(before)
        gaps.append(schedule.deadline - before)
    # Both bounds are about four standard deviations, and the seed is fixed. The share of
    # exponential gaps that are longer than their mean is 1/e.
    assert abs(fmean(gaps) - 0.5) < 0.015
    assert abs(sum(gap > 0.5 for gap in gaps) / len(gaps) - 0.3679) < 0.015
    assert min(gaps) > 0


def test_load_does_not_bend_the_process() -> None:
    idle, loaded = Poisson(0.5, 0.0, Random(2)), Poisson(0.5, 0.0, Random(2))
    for _ in range(1000):
        idle.advance(idle.deadline)
        loaded.advance(loaded.deadline + 0.3)  # each tick is late by the time that its work takes
        assert loaded.deadline == idle.deadline


@pytest.mark.parametrize(("mean", "most"), [(0.5, 1.0), (0.02, 0.1 / 0.02), (0.001, 100)])
def test_after_a_standstill_there_is_no_burst(mean: float, most: float) -> None:
    assert LONGEST_LAG == 0.1
    now, at_once, random = 0.0, [], Random(3)
    for _ in range(200):
        schedule = Poisson(mean, now, random)
        now += 3600.0
        schedule.advance(now)
        count = 0
        while schedule.deadline < now:
            schedule.advance(now)
            count += 1
        at_once.append(count)
    # Five standard deviations of a mean of 200 such numbers.
    assert fmean(at_once) < most + 5 * (most / 200) ** 0.5


def test_a_stretched_process_has_the_same_distribution() -> None:
    tempo = Counting(3.0)
    plain, stretched = Poisson(0.5, 0.0, Random(6)), Poisson(0.5, 0.0, Random(6), tempo)
    for _ in range(1000):
        plain.advance(plain.deadline)
        stretched.advance(stretched.deadline)
        assert stretched.deadline == pytest.approx(3 * plain.deadline)
    assert tempo.count == 0


@pytest.mark.parametrize(("mean", "kept"), [(0.5, 0.5), (0.02, 0.1), (0.001, 0.1)])
def test_what_is_not_made_up_for_is_told(mean: float, kept: float) -> None:
    tempo = Counting(1.0)
    schedule = Poisson(mean, 0.0, Random(7), tempo)
    late = schedule.deadline + kept + 10 * mean
    schedule.advance(late)
    assert tempo.count == pytest.approx(10)
    assert schedule.deadline > late - kept


@pytest.mark.parametrize(
    ("now", "deadline"), [(10.0, 10.4), (10.39, 10.4), (10.5, 10.8), (13.0, 13.2)]
)
def test_a_fixed_rhythm_stays_on_its_grid(now: float, deadline: float) -> None:
    schedule = Fixed(0.4, 10.0)
    assert schedule.deadline == 10.0
    schedule.advance(now)
    assert schedule.deadline == pytest.approx(deadline)


def test_backoff_doubles_to_a_cap_with_jitter() -> None:
    backoff = Backoff(1.0, 10.0, Random(4))
    for longest in (1, 2, 4, 8, 10, 10, 10):
        assert longest / 2 <= backoff.wait() <= longest
    backoff.reset()
    assert backoff.wait() <= 1
    waits = {Backoff(1.0, 10.0, Random(seed)).wait() for seed in range(20)}
    assert len(waits) == 20


def test_a_mean_of_zero_is_no_wait() -> None:
    assert exponential(0.0, Random(5)) == 0.0
