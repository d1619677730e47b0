"""Wakes a greenlet at a moment of the monotonic clock, exact to a fraction of a millisecond.

gevent's own timers are rounded up to whole milliseconds, because epoll_wait takes no others. So
gaps of less than a millisecond would become none at all, and longer ones would be off by up to one.
At 50 packets per second, whoever watches the line would see from 5,000 gaps that they aren't those
of a Poisson process. The kernel's timers are files, and gevent waits for files without rounding.
"""

import ctypes
import os
import time
from typing import Self

import gevent

# From sys/timerfd.h. Python itself has these functions from version 3.13 on.
_NONBLOCK, _CLOEXEC, _RELATIVE = os.O_NONBLOCK, os.O_CLOEXEC, 0
_READ = 1  # the event of libev
_HIGHEST = 2  # its priority: of all that is ready, this goes first
_COUNT = 8  # bytes: how often the timer has expired, which a read takes away
_SECOND = 10**9  # nanoseconds


class _Time(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Setting(ctypes.Structure):
    _fields_ = (("interval", _Time), ("value", _Time))


_libc = ctypes.CDLL(None, use_errno=True)


class Alarm:
    """One timer of the kernel, inside the block. Raises OSError if there can't be one more."""

    def __init__(self) -> None:
        self._file = _checked(
            _libc.timerfd_create(time.CLOCK_MONOTONIC, _NONBLOCK | _CLOEXEC), "timerfd_create"
        )
        self._ring = gevent.get_hub().loop.io(self._file, _READ, priority=_HIGHEST)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ring.close()
        os.close(self._file)

    def wait_until(self, deadline: float) -> None:
        """Let others run until `deadline`. One that has passed is over after their next turn."""
        # Not the moment itself, but how far it is off: whoever looks at a clock decides which one.
        # At 0, the timer would never ring.
        wait = max(1, int((deadline - time.monotonic()) * _SECOND))
        value = _Time(*divmod(wait, _SECOND))
        setting = _Setting(_Time(0, 0), value)
        _checked(
            _libc.timerfd_settime(self._file, _RELATIVE, ctypes.byref(setting), None),
            "timerfd_settime",
        )
        gevent.get_hub().wait(self._ring)
        os.read(self._file, _COUNT)


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result
