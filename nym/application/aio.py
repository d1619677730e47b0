"""The library for programs with asyncio."""

import asyncio
import socket
from collections.abc import Generator
from contextlib import suppress
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

from nym.application import core
from nym.application.backend import LONGEST_READ, SocketStream
from nym.application.core import Connection
from nym.application.places import unix_address


def connect(
    id: str | None = None,
    *,
    host: str | None = None,
    port: int | None = None,
    token: str | None = None,
    patience: float = core.PATIENCE,
) -> "Connecting":
    """Connect to a running client: see nym.connect.

    `async with connect(id="alice") as client:` ends the connection with the block.
    `client = await connect(id="alice")` leaves that to `await client.close()`.
    """
    return Connecting(id, host, port, token, patience)


class Connecting:
    """A connection that is made when it is awaited, or when its block is entered."""

    def __init__(
        self,
        id: str | None,
        host: str | None,
        port: int | None,
        token: str | None,
        patience: float,
    ) -> None:
        self._connect = partial(core.connect, _Backend(), id, host, port, token, patience)

    def __await__(self) -> Generator[Any, None, Connection]:
        return self._connect().__await__()

    async def __aenter__(self) -> Connection:
        self._connection = await self
        return self._connection

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()


class _Backend:
    """Connections in the event loop that uses them first: see Backend."""

    _loop: asyncio.AbstractEventLoop | None = None

    async def connect(self, address: Path | tuple[str, int], seconds: float) -> "_Stream":
        """See Backend."""
        async with asyncio.timeout(seconds):
            if isinstance(address, Path):
                with unix_address(address) as path:
                    return await _connected(socket.AF_UNIX, path)
            loop = asyncio.get_running_loop()
            failure = OSError("this host has no address")
            for family, _, _, _, resolved in await loop.getaddrinfo(
                *address, type=socket.SOCK_STREAM
            ):
                try:
                    return await _connected(family, resolved)
                except OSError as error:
                    failure = error
            raise failure

    async def sleep(self, seconds: float) -> None:
        """See Backend."""
        await asyncio.sleep(seconds)

    def lock(self) -> "_Lock":
        """See Backend."""
        return _Lock()

    def check_caller(self) -> None:
        """See Backend. Sockets and locks belong to one event loop."""
        loop = asyncio.get_running_loop()
        self._loop = self._loop or loop
        if loop is not self._loop:
            raise RuntimeError(
                "this connection belongs to another event loop; make one in each loop that needs it"
            )


class _Lock:
    """A lock of tasks: see Lock."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def acquire(self, seconds: float) -> None:
        """See Lock."""
        async with asyncio.timeout(None if seconds == inf else seconds):
            await self._lock.acquire()

    def release(self) -> None:
        """See Lock."""
        self._lock.release()


class _Stream(SocketStream):
    """A connection whose task waits in the event loop."""

    async def read(self, seconds: float) -> bytes:
        """See Stream."""
        # Not with the loop's `sock_recv`: it reads before the task goes on. If the time is up in
        # between, or the task is cancelled, what was read would be lost.
        async with asyncio.timeout(None if seconds == inf else seconds):
            while True:
                with suppress(BlockingIOError):
                    return self._socket.recv(LONGEST_READ)
                await self._until_readable()

    async def write(self, data: bytes, seconds: float) -> None:
        """See Stream."""
        async with asyncio.timeout(seconds):
            await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def _until_readable(self) -> None:
        loop, readable = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._socket, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(self._socket)


async def _connected(family: int, address: Any) -> _Stream:
    connection = socket.socket(family)
    connection.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(connection, address)
    except BaseException:
        connection.close()
        raise
    return _Stream(connection)
