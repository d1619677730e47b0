"""The time of C code tells no secret: a short form of tests/timing.

Both kinds of inputs take turns at random, so a busy machine makes differences harder to find, but
makes none.
"""

import random

import pytest

from tests.timings.leaks import FUNCTIONS, measure
from tests.timings.welch import Comparison

MEASUREMENTS = 100_000
FOUND = 5.0  # t of a twin that tells its secret
CLEAR = 10.0  # t that is no chance, whatever the machine does


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_time_depends_on_a_secret(name: str) -> None:
    assert measure(name, False, MEASUREMENTS) < CLEAR
    assert measure(name, True, MEASUREMENTS) > FOUND


def test_welchs_test_finds_a_difference_that_is_there() -> None:
    chance = random.Random(1)
    kinds = [chance.getrandbits(1) for _ in range(20_000)]
    noise = [int(chance.gauss(10_000, 100)) for _ in kinds]
    shifted = [time + 10 * kind for time, kind in zip(noise, kinds, strict=True)]
    rare = [time + 10**9 * (i % 1000 == 0) for i, time in enumerate(shifted)]  # interrupts
    assert t_of(kinds, noise) < FOUND
    assert t_of(kinds, shifted) > FOUND
    assert t_of(kinds, rare) > FOUND


def t_of(kinds: list[int], times: list[int]) -> float:
    found = Comparison(times)
    found.add(kinds, times)
    return found.t()
