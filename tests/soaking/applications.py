"""What talks to a client: one connection sends, another receives, for as long as the run lasts."""

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import Sequence
from random import Random
from typing import Any

from tests.soaking.ledger import Answer, Kind, Ledger, Message
from tests.soaking.programs import ClientProgram

AGAIN = 0.3  # seconds until something is tried again
FETCH_GAP = 0.2
PATIENCE = 60.0  # for an answer of a client that may be stopped meanwhile
LONGEST_LINE = 32 << 20


class Connection:
    """Lines of JSON, to a client that may be gone at any moment."""

    def __init__(self, client: ClientProgram) -> None:
        self._client = client
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def open(self) -> None:
        """Connect, if it isn't connected, when the client is up. Raises OSError."""
        if self._writer:
            return
        await self._client.is_up.wait()
        self._reader, self._writer = await asyncio.open_connection(
            "127.0.0.1", self._client.port, limit=LONGEST_LINE
        )

    def close(self) -> None:
        """End the connection."""
        if self._writer:
            self._writer.close()
        self._reader = self._writer = None

    async def say(self, **request: object) -> None:
        """One request. Raises OSError."""
        await self.open()
        assert self._writer
        self._writer.write(json.dumps(request).encode() + b"\n")
        await self._writer.drain()

    async def hear(self) -> dict[str, Any]:
        """The next line. Raises OSError."""
        assert self._reader
        line = await self._reader.readline()
        if not line.endswith(b"\n"):
            raise ConnectionResetError("the client is gone")
        said: dict[str, Any] = json.loads(line)
        return said

    async def ask(self, **request: object) -> dict[str, Any]:
        """One request, one answer. Raises OSError, of which TimeoutError is one."""
        await self.say(**request)
        async with asyncio.timeout(PATIENCE):
            return await self.hear()


class Writer:
    """Sends what is due, until all of it is accepted."""

    def __init__(self, client: ClientProgram, addresses: dict[str, str], ledger: Ledger) -> None:
        self._client = client
        self._addresses = addresses
        self._ledger = ledger
        self.accepted = 0
        self.refusals = 0

    async def send(self, due: Sequence[tuple[float, Kind, str, int]], began: float) -> None:
        """All of it, in the order of `due`: when, and what to whom."""
        connection = Connection(self._client)
        clock = asyncio.get_running_loop().time
        for at, kind, recipient, size in due:
            await asyncio.sleep(max(0.0, began + at - clock()))
            while not await self._hand_over(connection, kind, recipient, size):
                await asyncio.sleep(AGAIN)
        connection.close()

    async def _hand_over(
        self, connection: Connection, kind: Kind, recipient: str, size: int
    ) -> bool:
        # A new message each time: what became of one that got no answer can't be known yet.
        try:
            await connection.open()
        except OSError:
            return False
        message = self._ledger.new(kind, self._client.name, recipient, size)
        try:
            answer = await connection.ask(**self._request(message))
        except OSError:
            connection.close()
            return False
        if answer["type"] != "send":
            message.answer = Answer.REFUSED
            self.refusals += 1
            if answer.get("code") not in ("busy", "storage", "no_network"):
                self._ledger.violate("a send is refused", str(answer))
            return False
        message.answer, message.id = Answer.ACCEPTED, answer["id"]
        self.accepted += 1
        return True

    def _request(self, message: Message) -> dict[str, object]:
        return {
            "type": "send",
            "recipient_address": self._addresses[message.recipient],
            "data": b64encode(self._ledger.content(message)).decode(),
            "reliable": message.kind is Kind.RELIABLE,
            "plain": message.kind is Kind.PLAIN,
        }


class Reader:
    """Takes messages: as a subscriber that acknowledges, or by fetching."""

    def __init__(self, client: ClientProgram, ledger: Ledger) -> None:
        self._client = client
        self._ledger = ledger
        self._fetches = 0

    async def subscribe(self) -> None:
        """For ever."""
        while True:
            connection = Connection(self._client)
            try:
                await self._follow(connection)
            except OSError:
                await asyncio.sleep(AGAIN)
            finally:
                connection.close()

    async def fetch(self) -> None:
        """For ever."""
        connection = Connection(self._client)
        while True:
            try:
                answer = await connection.ask(type="fetch", format="base64")
                self._fetches += 1
                for position, data in enumerate(answer.get("messages", ())):
                    self._ledger.arrived(
                        self._client.name, b64decode(data), f"{self._fetches}.{position}"
                    )
            except OSError:
                connection.close()
            await asyncio.sleep(FETCH_GAP)

    async def _follow(self, connection: Connection) -> None:
        offered: dict[str, Message] = {}
        await connection.say(type="subscribe")
        while True:
            line = await connection.hear()
            if line["type"] == "message":
                message = self._ledger.arrived(
                    self._client.name, b64decode(line["data"]), line["id"]
                )
                if message:
                    offered[line["id"]] = message
                await connection.say(type="ack", id=line["id"])
            elif line["type"] == "ack" and line["id"] in offered:
                offered.pop(line["id"]).acknowledged.add(line["id"])


async def status(client: ClientProgram) -> dict[str, Any] | None:
    """What the client says of itself, where it is up and answers."""
    connection = Connection(client)
    try:
        async with asyncio.timeout(5.0):
            answer = await connection.ask(type="status")
        return answer if answer["type"] == "status" else None
    except OSError:
        return None
    finally:
        connection.close()


def schedule(
    random: Random, count: int, seconds: float, sender: str, others: Sequence[str]
) -> list[tuple[float, Kind, str, int]]:
    """When which messages are due: half evenly, half in bursts that make a backlog."""
    times = [random.uniform(0, seconds) for _ in range(count - count // 2)]
    left = count // 2
    while left:
        burst = min(left, random.randint(20, 400))
        times += [random.uniform(0, 0.95 * seconds)] * burst
        left -= burst
    kinds = random.choices((Kind.ANONYMOUS, Kind.RELIABLE, Kind.PLAIN), (45, 40, 15), k=count)
    return [
        (at, kind, random.choice(others), _size(random, kind))
        for at, kind in zip(sorted(times), kinds, strict=True)
    ]


def _size(random: Random, kind: Kind) -> int:
    shape = random.random()
    if kind is Kind.PLAIN or shape < 0.9:
        return random.randint(50, 900)
    if shape < 0.999:
        return random.randint(1_000, 12_000)
    return 300_000
