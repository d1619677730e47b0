"""Work that is too long for the hub, in threads; the hub goes on meanwhile.

What a peer says can be megabytes, and a second of work on it would show in the stream. In a thread
it takes turns with the hub, a few milliseconds each.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import gevent
from gevent.threadpool import ThreadPool

from nym.errors import OwnFaultError

Result = TypeVar("Result")


class Threads(ThreadPool):
    """Raises where it is asked what a thread raised: gevent would print that, too."""

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
        """What is given, or raised, in the place of an outcome."""
        return outcome


def beside_the_hub(function: Callable[..., Result], *arguments: Any) -> Result:
    """What `function` returns, or raises. Nobody else may change what it works on meanwhile.

    Raises OwnFaultError where no thread can be started.
    """
    task = _Task(function, arguments)
    try:
        outcome = gevent.get_hub().threadpool.apply(task)
    except Exception as error:
        task.is_wanted = False  # gevent has it in its queue still
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
    except Exception as error:  # noqa: BLE001 - raised again where it is asked for
        return error


def _result(outcome: Any) -> Any:
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
