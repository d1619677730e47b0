"""Standard output, where data goes; everything else goes to standard error."""

import os
import sys

from nym.errors import NymError


class OutputError(NymError):
    """Standard output takes no more."""


def say(line: str) -> None:
    """A line, at once, for those who wait for it."""
    write(line.encode(errors="surrogateescape") + b"\n")


def write(data: bytes) -> None:
    """All of it, now. Raises OutputError; BrokenPipeError where nobody reads."""
    # Not by way of sys.stdout: with PYTHONUNBUFFERED it writes as much as fits, and no more.
    left = memoryview(data)
    try:
        while left:
            left = left[os.write(sys.stdout.fileno(), left) :]
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"standard output can't be written: {error.strerror}") from error
