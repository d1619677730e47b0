"""Watched greenlets, which are started again when they die; schedules; log lines about outages."""

import logging
import time
from itertools import pairwise
from random import Random
from statistics import median
from types import SimpleNamespace

import gevent
import pytest
from gevent import GreenletExit
from gevent.event import Event

from nym.errors import UnreachableError
from nym.net import watch
from nym.net.alarm import Alarm
from nym.net.watch import (
    LEAST_AHEAD,
    MOST_AHEAD,
    Outage,
    Watch,
    run_along,
    run_schedule,
    run_stream,
)
from nym.statistics import fit_exponential
from nym.timing import Fixed
from tests.harness import PATIENCE, wait_until

log = logging.getLogger("test")


def test_a_dead_greenlet_is_said_and_started_again_and_takes_none_along(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watch, "FIRST_RESTART", 0.01)
    starts, ticks = [], []

    def die() -> None:
        starts.append(1)
        if len(starts) == 2:
            return
        raise ZeroDivisionError("a bug")

    def live() -> None:
        while True:
            ticks.append(1)
            gevent.sleep(0.01)

    watched = Watch(Random(1))
    watched.start("the mortal", die)
    watched.start("the other", live)
    wait_until(lambda: len(starts) >= 4)
    before = len(ticks)
    wait_until(lambda: len(ticks) > before)
    watched.stop()
    after = (len(starts), len(ticks))
    gevent.sleep(0.05)  # time for another start or tick, which would be the error
    assert (len(starts), len(ticks)) == after
    assert "the mortal died; it is started again" in caplog.text
    assert "the mortal ended by itself" in caplog.text
    assert "a bug" in caplog.text
    assert "the other" not in caplog.text


def test_a_schedule_is_kept_whatever_a_tick_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 64.0
    ticks: list[float] = []

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    def tick() -> None:
        ticks.append(now)
        if len(ticks) == 20:
            raise GreenletExit
        sleep(0.0625 * (len(ticks) % 4))

    monkeypatch.setattr(watch, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(watch, "gevent", SimpleNamespace(sleep=sleep))
    with pytest.raises(GreenletExit):
        run_schedule(Fixed(0.25, now), tick)
    assert ticks == [64.0 + 0.25 * index for index in range(20)]


def test_a_stream_tells_the_moments_of_its_packets_ahead_of_them() -> None:
    moments: list[float] = []
    early: list[float] = []

    def tick(moment: float) -> None:
        moments.append(moment)
        early.append(moment - time.monotonic())
        if len(moments) == 200:
            raise GreenletExit
        gevent.sleep(0.002)  # longer than many of the gaps

    with Alarm() as alarm, pytest.raises(GreenletExit):
        run_stream(alarm, 0.004, Random(1), tick)
    gaps = [after - before for before, after in pairwise(moments)]
    assert fit_exponential(gaps, 0.004).p > 0.01
    assert max(early) <= MOST_AHEAD
    # A machine that is busy is later, but not each time.
    assert max(early) > LEAST_AHEAD


def test_a_stream_goes_along_with_another_one_and_keeps_its_moments() -> None:
    moments, early = [], []

    def follow(moment: float) -> None:
        moments.append(moment)
        early.append(moment - time.monotonic())

    with Alarm() as alarm:
        leading = gevent.spawn(run_stream, alarm, 0.02, Random(1), lambda _: None)
        following = gevent.spawn(run_stream, alarm, 0.02, Random(2), follow, None, 0.3)
        wait_until(lambda: len(moments) > 100)
        gevent.killall([leading, following])
    gaps = [after - before for before, after in pairwise(moments)]
    assert fit_exponential(gaps, 0.02).p > 0.01
    assert max(early) <= 0.3
    # Most come with the other stream, long before they have to.
    assert median(early) > 2 * MOST_AHEAD


@pytest.mark.parametrize("is_alone", [False, True])
def test_what_goes_along_is_called_once_in_each_period(is_alone: bool) -> None:
    rings, ticks, apart = [0.0], [], []

    def tick() -> None:
        ticks.append(time.monotonic())
        apart.append(ticks[-1] - rings[-1])

    with Alarm() as alarm:
        mean = 3600 if is_alone else 0.02
        leading = gevent.spawn(
            run_stream, alarm, mean, Random(1), lambda _: rings.append(time.monotonic())
        )
        along = gevent.spawn(run_along, alarm, 0.05, tick)
        wait_until(lambda: len(ticks) > 60)
        gevent.killall([leading, along])
    assert (ticks[-1] - ticks[0]) / (len(ticks) - 1) > 0.048
    # On a busy machine, a few of them are late.
    assert median(after - before for before, after in pairwise(ticks)) < 0.075
    # It needs no turn of its own if the alarm rings for another.
    assert is_alone or median(apart) < 0.002


def test_what_goes_along_is_called_at_once() -> None:
    called = Event()
    with Alarm() as alarm:
        along = gevent.spawn(run_along, alarm, 3600, called.set)
        assert called.wait(PATIENCE)
        along.kill()


def test_an_outage_is_said_once_and_its_end_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    outage = Outage(log, "the directory")
    outage.ends()
    assert not caplog.records
    for _ in range(5):
        outage.begins(UnreachableError("it is away"))
    assert len(caplog.records) == 1
    assert "the directory: it is away" in caplog.text
    outage.ends()
    outage.ends()
    assert len(caplog.records) == 2
    outage.begins(UnreachableError("again"))
    assert len(caplog.records) == 3


def test_what_is_killed_from_within_is_started_again_and_what_is_stopped_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nym.net.watch.FIRST_RESTART", 0.01)
    runs: list[None] = []

    def run() -> None:
        runs.append(None)
        if len(runs) < 3:
            raise gevent.GreenletExit
        gevent.sleep(3600)

    watched = Watch(Random(1))
    watched.start("a part", run)
    wait_until(lambda: len(runs) == 3)
    watched.stop()
    gevent.sleep(0.05)  # time for another start, which would be the error
    assert len(runs) == 3
