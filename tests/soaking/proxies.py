"""Proxies between all parts of the network, each of which can be told to misbehave.

The clients get a directory that names proxies in place of some nodes: all first hops, one node
behind them, so that packets are lost there, too, and where providers are asked. The rest would
cost a processor. A proxy keeps its port when the network is started anew.
"""

import asyncio
import json
import socket
from contextlib import suppress
from enum import StrEnum
from random import Random
from struct import pack
from typing import Any

CHUNK = 1 << 16
PATIENCE = 12.0  # seconds; nobody waits for longer on the other end
TOPOLOGY = "/api/presence/topology"
_LINGER_NOT = pack("ii", 1, 0)


class Mode(StrEnum):
    """What a proxy does with connections."""

    PASS = "passes"
    REFUSE = "refuses"
    RESET = "resets"
    HANG = "hangs"
    DROP = "swallows"
    DELAY = "delays"
    CUT = "cuts answers short"


def free_port(random: Random) -> int:
    """A port that nobody has, below those that the kernel gives away by itself."""
    while True:
        port = random.randrange(12000, 32000)
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port


class Proxy:
    """One port, and whom it stands for."""

    def __init__(self, name: str, random: Random) -> None:
        self.name = name
        self.port = free_port(random)
        self.upstream = 0
        self.mode = Mode.PASS
        self._random = random
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(
            self._take, "127.0.0.1", self.port, backlog=1024, reuse_address=True
        )

    async def behave(self, mode: Mode) -> None:
        """From now on, this is what it does; connections that hang are let go."""
        self.mode = mode
        self._changed.set()
        self._changed = asyncio.Event()
        if mode is Mode.REFUSE and self._server:
            self._server.close()
            self._server = None
        elif mode is not Mode.REFUSE and self._server is None:
            await self.start()

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # asyncio forgets a task whose connection has sent all, unless somebody else holds it.
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            async with asyncio.timeout(PATIENCE):
                await self._relay(reader, writer)
        writer.close()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        match self.mode:
            case Mode.RESET:
                sock = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
                return
            case Mode.HANG:
                await self._changed.wait()
                return
            case Mode.DROP:
                while await reader.read(CHUNK):
                    pass
                return
            case Mode.DELAY:
                await asyncio.sleep(self._random.uniform(0.1, 3.0))
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        forth = asyncio.create_task(_copy(reader, there_writer))
        try:
            await self._answer(there_reader, writer)
        finally:
            forth.cancel()
            there_writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.mode is not Mode.CUT:
            await _copy(reader, writer)
            return
        answer = await reader.read(CHUNK)
        writer.write(answer[: self._random.randrange(len(answer) + 1)])
        await writer.drain()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    # A node takes what one read brings for a whole packet: what comes together goes on together.
    with suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


class DirectoryProxy(Proxy):
    """Stands for the directory, and for every node that it names."""

    def __init__(self, random: Random) -> None:
        super().__init__("directory", random)
        self.nodes: dict[tuple[str, str], Proxy] = {}  # by key and what is there

    async def topology(self) -> dict[str, Any]:
        """What the directory says, with proxies in place of nodes. Raises OSError, ValueError."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        try:
            writer.write(f"GET {TOPOLOGY} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
            answer = await asyncio.wait_for(reader.read(-1), 10)
        finally:
            writer.close()
        body: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
        behind = min(
            (n for n in body["mixNodes"] if n["layer"] > 1), key=lambda n: str(n["pubKey"])
        )
        for node in [*(n for n in body["mixNodes"] if n["layer"] == 1), behind]:
            node["host"] = await self._stand_in(node, "host", f"mixnode {node['layer']}")
        for node in body["mixProviderNodes"]:
            node["clientListener"] = await self._stand_in(node, "clientListener", "provider")
        return body

    async def _stand_in(self, node: dict[str, Any], name: str, what: str) -> str:
        key = node["pubKey"], name
        if key not in self.nodes:
            proxy = self.nodes[key] = Proxy(f"{what} {node['pubKey'][:6]}", self._random)
            await proxy.start()
        self.nodes[key].upstream = int(node[name].rpartition(":")[2])
        return f"127.0.0.1:{self.nodes[key].port}"

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.mode not in (Mode.PASS, Mode.DELAY, Mode.CUT):
            await super()._relay(reader, writer)
            return
        if self.mode is Mode.DELAY:
            await asyncio.sleep(self._random.uniform(0.1, 3.0))
        request = await reader.readuntil(b"\r\n\r\n")
        try:
            body = json.dumps(await self.topology()).encode()
        except (ValueError, TimeoutError):
            return
        if TOPOLOGY.encode() not in request.partition(b"\r\n")[0]:
            return  # clients ask for nothing else that they need
        if self.mode is Mode.CUT:
            body = body[: self._random.randrange(len(body))]
        writer.write(
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
        writer.write(body)
        await writer.drain()
