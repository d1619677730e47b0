"""Greenlets that are used again."""

import weakref
from typing import Any

import gevent
import pytest
from gevent.event import Event

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


def test_work_goes_on_side_by_side_and_few_greenlets_stay() -> None:
    crew, work = Crew(most_idle=3), Work()
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


def test_what_is_killed_before_its_turn_is_told_once() -> None:
    lost: list[object] = []
    crew, work = Crew(lost=lost.append), Work()
    crew.spawn(work.greenlets.append, "killed")
    (member,) = crew._members
    member.kill()
    wait_until(lambda: lost)
    crew.spawn(work.do)
    wait_until(lambda: len(crew._idle) == 1)
    assert lost == ["killed"]
    assert "killed" not in work.greenlets


def test_one_that_is_killed_as_it_gets_work_does_it() -> None:
    lost: list[object] = []
    done: list[object] = []
    crew = Crew(lost=lost.append)
    crew.spawn(done.append, "first")
    wait_until(lambda: len(crew._idle) == 1)
    crew.spawn(done.append, "second")
    (member,) = crew._members
    member.kill()
    assert (done, lost) == (["first", "second"], [])


def test_one_that_is_killed_without_work_is_replaced() -> None:
    lost: list[object] = []
    crew, work = Crew(lost=lost.append), Work()
    crew.spawn(work.do)
    wait_until(lambda: len(crew._idle) == 1)
    crew._idle[0].kill()
    wait_until(lambda: not crew._idle)
    crew.spawn(work.do)
    wait_until(lambda: len(work.greenlets) == 2)
    assert not lost


def test_one_that_will_be_killed_may_get_work_which_is_told() -> None:
    lost: list[object] = []
    crew, work = Crew(lost=lost.append), Work()
    crew.spawn(work.do)
    wait_until(lambda: len(crew._idle) == 1)
    crew._idle[0].kill(block=False)
    crew.spawn(work.greenlets.append, "killed")
    wait_until(lambda: lost)
    assert lost == ["killed"]
    assert "killed" not in work.greenlets


def test_there_are_no_more_greenlets_than_there_may_be() -> None:
    crew, work = Crew(most=1), Work()
    crew.spawn(work.do_until_told)
    second = gevent.spawn(crew.spawn, work.do)
    wait_until(lambda: work.greenlets)
    gevent.sleep(0)
    assert not second.ready()
    work.goes_on.set()
    wait_until(lambda: len(work.greenlets) == 2)
    second.get()


def test_at_the_end_some_finish_and_others_are_killed() -> None:
    crew, work, ended = Crew(), Work(), []

    def finish() -> None:
        work.goes_on.wait()
        ended.append("finished")

    def hang() -> None:
        try:
            Event().wait()
        finally:
            ended.append("killed")

    for act in (finish, hang, work.do):
        crew.spawn(act)
    wait_until(lambda: len(crew._idle) == 1)
    gevent.spawn_later(0.1, work.goes_on.set)
    crew.end(2.0)
    assert ended == ["finished", "killed"]
    assert len(crew._members) == 0
