"""Greenlets that are used again, for work that is short and frequent.

For the frames of each new greenlet, CPython takes memory from the system, and gives it back at the
greenlet's end. Together with what gevent does at both, that is a tenth of what a mixnode does for a
packet, which needs two greenlets, and a twentieth of what an idle client does.
"""

from collections.abc import Callable
from typing import Any

import gevent
from gevent import Greenlet
from gevent.pool import Pool

MOST_IDLE = 64  # greenlets that wait for work; each takes some 20 kB

_Task = tuple[Callable[..., object], tuple[Any, ...]]


class _Member(Greenlet):  # type: ignore[type-arg]  # generic in its stub alone
    """Does one task after the other, as long as `is_to_stay` returns True for it."""

    def __init__(self, task: _Task, is_to_stay: Callable[["_Member"], bool]) -> None:
        super().__init__()
        self.task: _Task | None = task  # that it hasn't begun yet
        self._is_to_stay = is_to_stay

    def _run(self) -> None:
        hub = gevent.get_hub()
        while self.task:
            (work, arguments), self.task = self.task, None
            work(*arguments)
            del work, arguments  # which would be kept in memory
            if self._is_to_stay(self):
                hub.switch()


class Crew:
    """Does each piece of work in a greenlet, which then waits for more.

    There are at most `most` greenlets, if that is given, and at most `most_idle` of them wait for
    work. Any may be killed. If that happens before it has begun its work, `lost` is called with the
    arguments.
    """

    def __init__(
        self,
        most_idle: int = MOST_IDLE,
        most: int | None = None,
        lost: Callable[..., object] = lambda *_: None,
    ) -> None:
        self._members = Pool(most)
        self._idle: list[_Member] = []  # those of them that have no work
        self._most_idle = most_idle
        self._lost = lost

    def spawn(self, work: Callable[..., object], *arguments: Any) -> None:
        """Like gevent.spawn: call `work` with the arguments once it is its turn.

        Waits while all greenlets that there may be are at work.
        """
        while self._idle and self._idle[-1].dead:  # its links are still to be called
            self._idle.pop()
        if self._idle:
            # First what can fail: then it stays idle.
            gevent.get_hub().loop.run_callback(self._idle[-1].switch)
            self._idle.pop().task = work, arguments
            return
        member = _Member((work, arguments), self._is_to_stay)
        # A greenlet that is killed before it runs executes none of its code, no `finally` either.
        # But its links are called.
        member.rawlink(self._left)
        self._members.start(member)

    def dismiss(self) -> None:
        """Keep no greenlet that has nothing to do, from now on."""
        self._most_idle = 0
        while self._idle:  # without a task, it ends
            gevent.get_hub().loop.run_callback(self._idle.pop().switch)

    def end(self, seconds: float) -> None:
        """Let those that are at work finish, for so many seconds; then kill the others."""
        self.dismiss()
        self._members.join(seconds)
        self._members.kill()

    def _is_to_stay(self, member: _Member) -> bool:
        # In a full crew, somebody may be waiting for a greenlet to end.
        is_wanted = len(self._idle) < self._most_idle and not self._members.full()
        if is_wanted:
            self._idle.append(member)
        return is_wanted

    def _left(self, member: _Member) -> None:
        if member in self._idle:
            self._idle.remove(member)
        if member.task:
            self._lost(*member.task[1])
