"""Spells: long work in pieces; in between, other greenlets, sockets and timers have their turn."""

import socket
import time

import gevent
import pytest

from nym.net import spell as spell_module
from nym.net.spell import Spell


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


def test_short_work_needs_no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spell_module, "LONGEST", 3600.0)
    other = gevent.spawn(lambda: None)
    spell = Spell()
    for _ in range(10):
        spell.rest()
    assert not other.ready()
    other.join()
