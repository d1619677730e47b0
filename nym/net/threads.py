"""Runs work in threads that would keep the hub for too long.

A peer's answer can have megabytes, and reading it in the hub would stop the stream of packets for
up to a second, which an observer could see. Python lets a thread and the hub take turns of a few
milliseconds.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import gevent
from gevent.threadpool import ThreadPool

from nym.errors import OwnFaultError

Result = TypeVar("Result")


class Threads(ThreadPool):
    """A thread pool that raises in the caller what a function raised in its thread.

    gevent's own pool does so, too, but also prints a traceback. So an exception leaves the thread
    as a value.
    """

    def apply(
        self,
        func: Callable[..., Any],
        args: Iterable[Any] | None = None,
        kwds: Mapping[str, Any] | None = None,
    ) -> Any:
        """See gevent."""
        outcome = super().apply(_outcome, (func, tuple(args or ()), dict(kwds or {})))
        return _result(self._as_meant(outcome))

    def _as_meant(self, outcome: Any) -> Any:
        """What to return, or to raise, in place of `outcome`; for subclasses to change."""
        return outcome


def beside_the_hub(function: Callable[..., Result], *arguments: Any) -> Result:
    """Call `function` in a thread; return what it returns, or raise what it raises.

    Other greenlets run meanwhile, so they must not change what `function` works on. `function` must
    not use gevent, which would make a second hub in the thread. Raises OwnFaultError where no
    thread can be started.
    """
    task = _Task(function, arguments)
    try:
        outcome = gevent.get_hub().threadpool.apply(task)
    except Exception as error:
        # The task is still in gevent's queue. A thread that starts later would run it, at a time
        # when the caller has gone on.
        task.is_wanted = False
        raise OwnFaultError(f"a thread can't be started: {error}") from error
    result: Result = _result(outcome)
    return result


class _Task:
    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self._function = function
        self._arguments = arguments
        self.is_wanted = True

    def __call__(self) -> Any:
        return _outcome(self._function, self._arguments, {}) if self.is_wanted else None


def _outcome(function: Callable[..., Any], arguments: tuple[Any, ...], named: Any) -> Any:
    try:
        return function(*arguments, **named)
    except Exception as error:  # noqa: BLE001 - raised again in the caller's greenlet
        return error


def _result(outcome: Any) -> Any:
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
