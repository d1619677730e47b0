"""Alarms ring at their moment, and not a millisecond later."""

import os
import time

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


def test_without_descriptors_it_is_an_error() -> None:
    with without_descriptors(), pytest.raises(OSError, match="timerfd_create: Too many open files"):
        Alarm()
