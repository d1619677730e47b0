"""What the library needs of the world, so that its core can be written once.

The core is coroutines over a Backend. With asyncio's backend they wait, as any coroutines. With the
blocking one, each wait blocks the thread and returns: such a coroutine never suspends, and `finish`
runs it like a function.
"""

import socket
from collections.abc import Awaitable
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeVar

Result = TypeVar("Result")
LONGEST_READ = 1 << 18  # bytes


_TCP_OPTIONS = [
    # The last piece of a request doesn't wait until the one before was acknowledged.
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    # Another machine can vanish without a word. A wait for messages sees that after two minutes.
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),  # seconds of silence
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15),  # seconds between questions
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
]


class Stream(Protocol):
    """One connection. Each of its methods raises OSError; TimeoutError is one of these."""

    async def read(self, seconds: float) -> bytes:
        """What came, within so many seconds; empty once the other side has closed.

        With 0 seconds, only what is there already.
        """

    async def write(self, data: bytes, seconds: float) -> None:
        """Write all of it, within so many seconds."""

    def has_ended(self) -> bool:
        """Whether the other side has closed it, and everything was read."""

    def interrupt(self) -> None:
        """Let a `read` in another thread or task return: nothing more comes."""

    def close(self) -> None:
        """Close it. Nobody else may use it meanwhile."""


class Lock(Protocol):
    """Only one thread or task at a time has it."""

    async def acquire(self, seconds: float) -> None:
        """Get it within so many seconds. Raises TimeoutError."""

    def release(self) -> None:
        """Let the next one have it."""


class Backend(Protocol):
    """Makes connections, and waits."""

    async def connect(self, address: Path | tuple[str, int], seconds: float) -> Stream:
        """Connect within so many seconds. Raises OSError."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""

    def lock(self) -> Lock:
        """A new lock."""

    def check_caller(self) -> None:
        """Raises RuntimeError if who calls can't use what this has made."""


class SocketStream:
    """What streams over sockets have in common."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        if connection.family != socket.AF_UNIX:
            for level, option, value in _TCP_OPTIONS:
                connection.setsockopt(level, option, value)

    def has_ended(self) -> bool:
        """See Stream."""
        self._socket.setblocking(False)
        try:
            return not self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def interrupt(self) -> None:
        """See Stream."""
        with suppress(OSError):  # the other side was faster
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """See Stream."""
        self._socket.close()


def finish(awaitable: Awaitable[Result]) -> Result:
    """The result of a coroutine that never suspends."""
    steps = awaitable.__await__()
    try:
        next(steps)
    except StopIteration as end:
        result: Result = end.value
        return result
    raise RuntimeError("a coroutine over the blocking backend was suspended")
