"""Writes to standard output and standard error.

Data goes to standard output, and everything that is meant for people goes to standard error, so the
output of every command can go through a pipe. All data is written at once, without a buffer: a
message is only acknowledged to the client once it has left this process.
"""

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from gevent.monkey import get_original

from nym.errors import NymError
from nym.wire.text import visible, without_credentials

_LONGEST_LINE = 4000  # characters of a line on standard error; a longer one is cut


class OutputError(NymError):
    """Standard output is closed, or can't be written, as when the disk is full."""


def say(line: str) -> None:
    """Write one line. Raises what `write` raises."""
    write(line.encode(errors="surrogateescape") + b"\n")


def write(data: bytes) -> None:
    """Write all of `data`, now. Raises OutputError, or BrokenPipeError if nobody reads it."""
    if sys.stdout is None:
        raise OutputError("standard output is closed")
    # Not through sys.stdout: with PYTHONUNBUFFERED, it writes as much as fits into a pipe, and
    # silently drops the rest.
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
    """A descriptor that becomes readable when nobody reads standard output any more.

    The list is empty if that isn't wanted, or can't be found out. The system reports a pipe or a
    socket without a reader as an error, which only poll and epoll show without writing. An epoll is
    itself a descriptor, so a command can wait for it and for the client together.
    """
    if not is_wanted or sys.stdout is None:
        yield []
        return
    # gevent removes epoll from its `select`. The original never blocks here: only its descriptor is
    # used, and it is waited for elsewhere.
    with get_original("select", "epoll")() as watch:
        try:
            watch.register(sys.stdout.fileno(), 0)  # 0: errors only, which are always reported
        except PermissionError:  # standard output is a file, which has no reader
            yield []
        else:
            yield [watch.fileno()]


def complain(text: str) -> None:
    """Tell people what is wrong, on standard error, if there is one."""
    if sys.stderr is not None:
        mark = "<3>" if is_journal() else ""  # the level of errors, see sd-daemon(3)
        for line in text.split("\n"):
            shown = visible(without_credentials(line), _LONGEST_LINE)
            print(mark + shown, file=sys.stderr, flush=True)


def is_journal() -> bool:
    """Whether standard error goes to systemd's journal, as systemd.exec(5) describes it."""
    try:
        status = os.fstat(2)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def occupy_closed_streams() -> None:
    """Open /dev/null in place of each standard stream that was closed before the start.

    Otherwise the next file or socket would get the stream's number, and what is printed would go
    there.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the system gives it the lowest free number: this one


def _write_some(file: int, data: memoryview) -> int:
    try:
        return os.write(file, data)
    except BlockingIOError:  # the pipe is full, and its creator has made it non-blocking
        select.select([], [file], [])
        return 0
