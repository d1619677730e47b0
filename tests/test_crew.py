"""Greenlets that are used again."""

import weakref
from typing import Any

import gevent
import pytest
from gevent.event import Event

from nym.net import crew as crew_module
from nym.net.crew import Crew
from tests.harness import wait_until


class Work:
    """Notes which greenlets did it."""

    def __init__(self) -> None:
        self.greenlets: list[Any] = []
        self.goes_on = Event()

    def do(self) -> None:
        self.greenlets.append(gevent.getcurrent())

    def do_until_told(self) -> None:
        self.do()
        self.goes_on.wait()


def test_a_greenlet_does_one_piece_of_work_after_the_other() -> None:
    crew, work = Crew(), Work()
    for number in range(10):
        crew.spawn(work.do)
        wait_until(lambda number=number: len(work.greenlets) == number + 1)  # type: ignore[misc]
    assert len(set(work.greenlets)) == 1


def test_nothing_begins_before_its_turn() -> None:
    crew, work = Crew(), Work()
    for _ in range(2):  # a new greenlet, and one that is used again
        crew.spawn(work.do)
        assert not work.greenlets
        gevent.sleep(0)
        assert work.greenlets
        work.greenlets.clear()


def test_work_goes_on_side_by_side_and_few_greenlets_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew_module, "MOST_IDLE", 3)
    crew, work = Crew(), Work()
    for _ in range(20):
        crew.spawn(work.do_until_told)
    wait_until(lambda: len(set(work.greenlets)) == 20)
    work.goes_on.set()
    wait_until(lambda: sum(greenlet.dead for greenlet in work.greenlets) == 17)
    for _ in range(20):
        crew.spawn(work.do)
    wait_until(lambda: len(work.greenlets) == 40)
    wait_until(lambda: sum(not greenlet.dead for greenlet in set(work.greenlets)) == 3)


def test_what_is_done_does_not_stay_in_memory() -> None:
    crew = Crew()
    for _ in range(2):  # a new greenlet, and one that is used again
        work = Work()
        gone = weakref.ref(work)
        crew.spawn(work.do)
        del work
        wait_until(lambda gone=gone: gone() is None)  # type: ignore[misc]
        wait_until(lambda: len(crew._idle) == 1)


def test_a_mistake_ends_one_greenlet(capsys: pytest.CaptureFixture[str]) -> None:
    crew, work = Crew(), Work()
    crew.spawn(work.do)
    wait_until(lambda: len(crew._idle) == 1)
    crew.spawn(divmod, 1, 0)
    wait_until(lambda: work.greenlets[0].dead)
    assert "ZeroDivisionError" in capsys.readouterr().err
    crew.spawn(work.do)
    wait_until(lambda: len(work.greenlets) == 2)


def test_those_without_work_can_go_while_others_finish() -> None:
    crew, work = Crew(), Work()
    for act in (work.do_until_told, work.do):
        crew.spawn(act)
    wait_until(lambda: len(crew._idle) == 1)
    crew.dismiss()
    crew.spawn(work.do)  # late, but not lost
    wait_until(lambda: [greenlet.dead for greenlet in work.greenlets] == [False, True, True])
    work.goes_on.set()
    wait_until(lambda: work.greenlets[0].dead)
