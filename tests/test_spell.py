"""Spells: long work in pieces; in between, other greenlets, sockets and timers have their turn."""

import socket
import time

import gevent
import pytest

from nym.net import spell as spell_module
from nym.net.alarm import Alarm
from nym.net.spell import Spell
from tests.harness import PATIENCE


def work(seconds: float) -> None:
    """Keep the processor busy for this long."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def test_who_waits_for_a_socket_or_a_timer_has_its_turn_between_pieces_of_work() -> None:
    near, far = socket.socketpair()
    heard: list[str] = []
    with near, far:
        by_socket = gevent.spawn(lambda: heard.append(far.recv(1).decode()))
        by_timer = gevent.spawn_later(0.0, heard.append, "timer")
        gevent.sleep(0)  # now both of them wait
        near.send(b"s")
        spell, pieces = Spell(), 0
        while len(heard) < 2:
            work(spell_module.LONGEST)
            spell.rest()
            pieces += 1
        assert pieces <= 2
        by_socket.join()
        by_timer.join()


def test_a_rest_takes_no_time_of_its_own() -> None:
    spell, took = Spell(), []
    for _ in range(50):
        work(1.1 * spell_module.LONGEST)
        began = time.perf_counter()
        spell.rest()
        took.append(time.perf_counter() - began)
    # A timer of gevent would take a millisecond, always. A machine that is busy is late sometimes.
    assert min(took) < 0.0005


def test_whoever_is_always_ready_keeps_nobody_waiting() -> None:
    near, far = socket.socketpair()
    turns: list[None] = []

    def go_on() -> None:
        while True:
            gevent.socket.wait_read(far.fileno())
            turns.append(None)

    with near, far:
        near.send(b"never read")
        always = gevent.spawn(go_on)
        spell = Spell()
        with gevent.Timeout(PATIENCE):
            while len(turns) < 10:
                work(1.1 * spell_module.LONGEST)
                spell.rest()
        always.kill()


def test_an_alarm_that_is_due_goes_before_long_work() -> None:
    worked: list[None] = []

    def go_on() -> None:
        spell = Spell()
        while True:
            work(1.1 * spell_module.LONGEST)
            worked.append(None)
            spell.rest()

    workers = [gevent.spawn(go_on) for _ in range(10)]
    with Alarm() as alarm:
        alarm.wait_until(time.monotonic())  # they begin, and rest for the first time
        assert worked
        for _ in range(20):
            before = len(worked)
            alarm.wait_until(time.monotonic())
            assert len(worked) == before
    gevent.killall(workers)


def test_short_work_needs_no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spell_module, "LONGEST", 3600.0)
    other = gevent.spawn(lambda: None)
    spell = Spell()
    for _ in range(10):
        spell.rest()
    assert not other.ready()
    other.join()
