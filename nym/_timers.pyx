# cython: boundscheck=False, wraparound=False, initializedcheck=False
"""Timers of the kernel that are files: timerfd_create(2), timerfd_settime(2).

Python itself has these functions from version 3.13 on. ctypes would take longer to call them than
they take, twice for each packet.
"""

import os

from libc.errno cimport errno
from posix.time cimport CLOCK_MONOTONIC, itimerspec

cdef extern from "<sys/timerfd.h>" nogil:
    enum:
        TFD_NONBLOCK
        TFD_CLOEXEC

    int timerfd_create(int clockid, int flags)
    int timerfd_settime(int fd, int flags, const itimerspec *new_value, itimerspec *old_value)

cdef enum:
    SECOND = 1000000000  # nanoseconds


def open_timer():
    """The descriptor of a new timer of the monotonic clock, which isn't set. Raises OSError."""
    return checked(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC), "timerfd_create")


def set_timer(int timer, long long wait):
    """Let a timer expire once, in so many nanoseconds from now, at least 1. Raises OSError."""
    cdef itimerspec setting
    setting.it_interval.tv_sec = setting.it_interval.tv_nsec = 0
    setting.it_value.tv_sec, setting.it_value.tv_nsec = wait // SECOND, wait % SECOND
    checked(timerfd_settime(timer, 0, &setting, NULL), "timerfd_settime")


cdef int checked(int result, str what) except -1:
    cdef int error = errno
    if result < 0:
        raise OSError(error, f"{what}: {os.strerror(error)}")
    return result
