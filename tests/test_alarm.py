"""Alarms ring at their moment, and not a millisecond later."""

import os
import time
from random import Random

import gevent
import pytest

from nym.net.alarm import Alarm
from tests.harness import without_descriptors


def test_it_rings_within_the_same_millisecond() -> None:
    late = []
    with Alarm() as alarm:
        for _ in range(50):
            # gevent's own timers would need 2 ms for this, always.
            deadline = time.monotonic() + 0.0011
            alarm.wait_until(deadline)
            late.append(time.monotonic() - deadline)
    assert min(late) > -1e-6
    # A machine that is busy is late, too, but not each time.
    assert min(late) < 0.0005


@pytest.mark.parametrize("deadline", [-1.0, 0.0, 1.0])
def test_others_have_their_turn_before_a_deadline_that_has_passed(deadline: float) -> None:
    turns: list[None] = []
    with Alarm() as alarm:
        other = gevent.spawn(turns.append, None)
        alarm.wait_until(deadline)
        alarm.wait_until(deadline)
        assert turns == [None]
    other.join()


def test_others_run_meanwhile_and_whoever_waits_can_be_killed() -> None:
    began = time.monotonic()
    files = os.listdir("/proc/self/fd")

    def wait() -> None:
        with Alarm() as alarm:
            alarm.wait_until(began + 3600)

    waiting = gevent.spawn(wait)
    gevent.sleep(0)
    waiting.kill()
    assert waiting.dead
    assert os.listdir("/proc/self/fd") == files
    assert time.monotonic() < began + 3600


def test_each_of_many_is_woken_after_its_own_deadline_whoever_is_killed() -> None:
    random = Random(1)

    def wait(deadline: float) -> None:
        alarm.wait_until(deadline)
        assert time.monotonic() >= deadline

    with Alarm() as alarm:
        deadlines = [time.monotonic() + random.uniform(-0.01, 0.05) for _ in range(200)]
        waiting = [gevent.spawn(wait, deadline) for deadline in deadlines]
        gevent.sleep(0.01)
        gevent.killall(waiting[::7])  # those that still wait
        gevent.joinall(waiting, raise_error=True)


def test_a_ring_that_was_taken_back_wakes_nobody_early() -> None:
    deadline = time.monotonic() + 0.05
    with Alarm() as alarm:
        waiting = gevent.spawn(alarm.wait_until, deadline)
        gevent.sleep(0)
        # As if the timer was set again after the event loop had seen that it had expired.
        alarm._rings()
        waiting.join()
    assert time.monotonic() >= deadline


def test_who_has_a_leeway_comes_along_with_others_but_not_too_early() -> None:
    began = time.monotonic()
    woken: list[str] = []

    def wait(name: str, deadline: float, leeway: float = 0.0) -> None:
        alarm.wait_until(began + deadline, leeway)
        woken.append(name)

    with Alarm() as alarm:
        waiting = [
            gevent.spawn(wait, "early enough", 30.0, 29.99),
            gevent.spawn(wait, "too early", 0.1, 0.03),
            gevent.spawn(wait, "without a leeway", 0.15),
            gevent.spawn(wait, "killed", 30.0, 29.99),
            gevent.spawn(wait, "punctual", 0.05),
        ]
        gevent.sleep(0)
        waiting[3].kill()
        gevent.joinall([waiting[0], waiting[4]])
        assert woken == ["punctual", "early enough"]
        gevent.joinall(waiting)
        assert woken[2:] == ["too early", "without a leeway"]
        assert not alarm._early
        assert not [one for one in alarm._waiting if one[0] < began + 20]


def test_without_descriptors_it_is_an_error() -> None:
    with without_descriptors(), pytest.raises(OSError, match="timerfd_create: Too many open files"):
        Alarm()
