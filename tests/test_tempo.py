"""A client on a machine that is too slow for its settings: it sends more slowly, and says so."""

import logging
import time
from random import Random

import gevent
import pytest

from nym.client import tempo as tempo_module
from nym.client.tempo import BUSY, LASTING, LONGEST_STRETCH, PERIOD, Tempo, describe
from nym.net.alarm import Alarm
from nym.net.load import Load
from nym.net.watch import run_stream
from tests.harness import wait_until


class Machine:
    """One that could send so many packets a second, and has other work, for which it has less time.

    Packets go first.
    """

    def __init__(self, asked: float, possible: float, other: float = 0.0) -> None:
        self.tempo = Tempo(asked)
        self.asked = asked
        self.possible = possible
        self.other = other

    @property
    def due(self) -> float:
        """Packets a second."""
        return self.asked / self.tempo.stretch

    @property
    def busy(self) -> float:
        return min(1.0, self.due / self.possible + self.other)

    def run(self, looks: int = 100) -> list[float]:
        """How many packets a second there were in each look's time."""
        sent = []
        for _ in range(looks):
            sent.append(min(self.due, self.possible))
            self.tempo.missed(PERIOD * (self.due - sent[-1]))
            self.tempo.adapt(PERIOD, self.busy)
        return sent


@pytest.mark.parametrize("asked", [4.0, 1000.0])
@pytest.mark.parametrize("other", [0.0, 0.5, 1.0])
def test_a_machine_that_is_fast_enough_does_what_is_asked_for(asked: float, other: float) -> None:
    # However busy it is with something else, or an observer could see when it is.
    machine = Machine(asked, asked, other)
    machine.run()
    assert machine.tempo.stretch == 1.0
    assert machine.tempo.report() is None


@pytest.mark.parametrize("possible", [900.0, 500.0, 150.0])
def test_a_slow_machine_gets_time_to_spare(possible: float) -> None:
    machine = Machine(1000.0, possible)
    machine.run()
    assert machine.busy == pytest.approx(BUSY, abs=0.02)
    # It is steady: it doesn't try again and again how much is too much.
    assert max(machine.run()) - min(machine.run()) < 0.02 * possible
    report = machine.tempo.report()
    assert report is not None
    assert report["asked"] == 1000.0
    assert report["possible"] == pytest.approx(BUSY * possible, rel=0.03)
    # And it does what is asked for as soon as it can.
    machine.possible = 10_000.0
    machine.run(10)
    assert machine.tempo.stretch == 1.0
    assert machine.tempo.report() is None


@pytest.mark.parametrize("other", [0.3, 1.0])
def test_a_slow_machine_with_other_work_sends_nearly_what_it_can(other: float) -> None:
    machine = Machine(1000.0, 300.0, other)
    machine.run()
    sent = machine.run(500)
    assert min(sent) >= 0.75 * 300.0
    # It is too much for a short time only, when more is tried.
    assert sum(one == 300.0 for one in sent) < 0.2 * len(sent)


def test_a_client_that_something_else_holds_up_never_falls_silent() -> None:
    machine = Machine(4.0, 0.01)
    machine.run()
    assert machine.tempo.stretch == LONGEST_STRETCH


def test_a_standstill_says_nothing_about_the_machine() -> None:
    tempo = Tempo(4.0)
    for _ in range(10):
        tempo.missed(14_000)
        tempo.adapt(3600.0, 1.0)
        tempo.adapt(PERIOD, 0.1)
    assert tempo.stretch == 1.0


def test_it_is_said_once_that_it_lasts_and_once_that_it_is_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    machine = Machine(1000.0, 500.0)
    tempo = machine.tempo
    machine.run(LASTING - 1)
    assert tempo.report() is None
    assert not caplog.records
    machine.run(50)
    (record,) = caplog.records
    report = tempo.report()
    assert report is not None
    assert record.levelno == logging.WARNING
    assert describe(report) == (
        f"this machine sends {report['possible']:g} packets a second, and the settings ask for "
        "1000: longer delays under [traffic] ask for less"
    )
    assert record.getMessage().partition(" packets")[2] == describe(report).partition(" packets")[2]
    tempo.adapt(PERIOD, 0.1)
    tempo.adapt(PERIOD, 0.1)
    assert [record.getMessage() for record in caplog.records[1:]] == [
        "this machine keeps up with the settings again"
    ]


# The event loop.


def spin(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


def test_what_the_loop_does_and_what_it_waits_for_are_told_apart() -> None:
    with Load() as load:
        gevent.sleep(0.01)  # the loop may be on its way into this wait already, so it isn't seen
        load.look()
        gevent.sleep(0.2)
        seconds, busy = load.look()
        assert seconds >= 0.2
        assert busy < 0.5
        until = time.monotonic() + 0.2
        while time.monotonic() < until:
            gevent.sleep(0)
        seconds, busy = load.look()
        assert seconds >= 0.2
        assert busy > 0.9
        spin(0.2)
        assert load.look()[1] > 0.9


def test_a_stream_that_cannot_be_kept_becomes_slower_and_fast_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tempo_module, "PERIOD", 0.25)
    tempo = Tempo(1000.0)
    cost = 0.004

    def tick(moment: float) -> None:
        spin(cost)

    running = gevent.spawn(tempo.run)
    with Alarm() as alarm:
        stream = gevent.spawn(run_stream, alarm, 0.001, Random(1), tick, tempo)
        wait_until(lambda: tempo.stretch > 4.0)
        cost = 0.0
        wait_until(lambda: tempo.stretch == 1.0)
        stream.kill()
    running.kill()


def test_the_loop_is_looked_at_only_while_the_tempo_is_slower_than_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = []

    class Noted(Load):
        def __init__(self) -> None:
            looks.append(tempo.stretch)
            super().__init__()

    monkeypatch.setattr(tempo_module, "PERIOD", 0.01)
    monkeypatch.setattr(tempo_module, "Load", Noted)
    tempo = Tempo(1000.0)
    running = gevent.spawn(tempo.run)
    gevent.sleep(0.1)
    assert not looks
    tempo.missed(1000.0)
    wait_until(lambda: tempo.stretch == 1.0 and bool(looks))
    count = len(looks)
    gevent.sleep(0.1)
    running.kill()
    assert len(looks) == count
    assert min(looks) > 1.0
