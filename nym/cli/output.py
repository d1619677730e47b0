"""Standard output, where data goes; everything else goes to standard error."""

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from gevent.monkey import get_original

from nym.errors import NymError
from nym.wire.text import visible

_LONGEST_LINE = 4000  # characters


class OutputError(NymError):
    """Standard output takes no more."""


def say(line: str) -> None:
    """A line, at once, for those who wait for it."""
    write(line.encode(errors="surrogateescape") + b"\n")


def write(data: bytes) -> None:
    """All of it, now. Raises OutputError; BrokenPipeError where nobody reads."""
    if sys.stdout is None:
        raise OutputError("standard output is closed")
    # Not by way of sys.stdout: with PYTHONUNBUFFERED it writes as much as fits, and no more.
    left = memoryview(data)
    try:
        while left:
            left = left[_write_some(sys.stdout.fileno(), left) :]
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"standard output can't be written: {error.strerror}") from error


@contextmanager
def watched_output(is_wanted: bool) -> Iterator[list[int]]:
    """What becomes readable when nobody reads standard output any more; [] if that can't be told.

    A pipe or a socket without a reader shows that as an error, which only poll and epoll tell
    without writing; and an epoll can be waited for beside other things.
    """
    if not is_wanted or sys.stdout is None:
        yield []
        return
    with get_original("select", "epoll")() as watch:
        try:
            watch.register(sys.stdout.fileno(), 0)
        except PermissionError:  # a file
            yield []
        else:
            yield [watch.fileno()]


def complain(text: str) -> None:
    """What is wrong, for people, on standard error, if there is one."""
    if sys.stderr is not None:
        mark = "<3>" if is_journal() else ""  # sd-daemon(3): an error
        for line in text.split("\n"):
            print(mark + visible(line, _LONGEST_LINE), file=sys.stderr, flush=True)


def is_journal() -> bool:
    """Whether what goes to standard error is read by systemd's journal."""
    try:
        status = os.fstat(2)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def occupy_closed_streams() -> None:
    """Put nothing where a standard stream was closed, lest a socket gets its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one


def _write_some(file: int, data: memoryview) -> int:
    try:
        return os.write(file, data)
    except BlockingIOError:  # whoever made the pipe wanted it so
        select.select([], [file], [])
        return 0
