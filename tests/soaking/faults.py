"""What breaks, at random moments, from a seed."""

import asyncio
import signal
import subprocess
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random

from tests.soaking.applications import Connection
from tests.soaking.ledger import Ledger
from tests.soaking.programs import ClientProgram, LocalNetwork, Program
from tests.soaking.proxies import DirectoryProxy, Mode

LONGEST = 25.0  # seconds
TMPFS_SIZE = "64m"


class Faults:
    """Starts a fault every `gap` seconds on average; each ends by itself."""

    def __init__(
        self,
        random: Random,
        gap: float,
        network: LocalNetwork,
        directory: DirectoryProxy,
        clients: Sequence[ClientProgram],
        ledger: Ledger,
    ) -> None:
        self.seen: Counter[str] = Counter()
        self._random = random
        self._gap = gap
        self._network = network
        self._directory = directory
        self._clients = clients
        self._ledger = ledger
        self._mortal = clients[1:]  # the first lives as long as the run, so that its memory tells
        self._under_way: set[asyncio.Task[None]] = set()
        self._busy: set[str] = set()  # programs that a fault has now
        self._kinds: list[Callable[[], Awaitable[None]]] = [
            *[self._misbehave] * 6,
            *[self._end_client] * 2,
            self._stop_client,
            self._restart_network,
            self._fill_disk,
            self._connect_much,
        ]

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await asyncio.sleep(self._random.expovariate(1 / self._gap))
            self._start(self._random.choice(self._kinds))

    async def restart_clients(self, gap: float) -> None:
        """Besides, one client after the other, every `gap` seconds."""
        while True:
            await asyncio.sleep(gap)
            self._start(self._end_client)

    async def heal(self) -> None:
        """Let all faults end that are under way."""
        if self._under_way:
            await asyncio.wait(self._under_way)

    def _start(self, kind: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.create_task(self._ended(kind))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _ended(self, kind: Callable[[], Awaitable[None]]) -> None:
        try:
            await kind()
        except (OSError, RuntimeError) as error:
            self._ledger.violate("a program doesn't start again", repr(error))

    @contextmanager
    def _have(self, program: Program) -> Iterator[bool]:
        """Whether no other fault has this program; until the end, this one does."""
        if program.name in self._busy:
            yield False
            return
        self._busy.add(program.name)
        try:
            yield True
        finally:
            self._busy.discard(program.name)

    def _note(self, what: str, clients: Sequence[ClientProgram]) -> None:
        self.seen[what] += 1
        for client in clients:
            client.faults += 1

    async def _some_time(self) -> None:
        await asyncio.sleep(self._random.uniform(1.0, LONGEST))

    async def _misbehave(self) -> None:
        proxies = [self._directory, *self._directory.nodes.values()]
        # The directory and the providers as often as all mixnodes together.
        proxy = self._random.choice([self._random.choice(proxies), self._directory, proxies[-1]])
        mode = self._random.choice([mode for mode in Mode if mode is not Mode.PASS])
        self._note(f"{proxy.name.rpartition(' ')[0] or proxy.name} {mode}", self._clients)
        await proxy.behave(mode)
        await self._some_time()
        await proxy.behave(Mode.PASS)

    async def _end_client(self) -> None:
        with self._have(client := self._random.choice(self._mortal)) as is_free:
            if not is_free:
                return
            number = self._random.choice([signal.SIGKILL, signal.SIGTERM])
            self._note(f"client gets {number.name}", [client])
            await client.stop(number)
            await asyncio.sleep(self._random.choice([0.0, 0.0, 5.0]))
            await client.begin()

    async def _stop_client(self) -> None:
        with self._have(client := self._random.choice(self._clients)) as is_free:
            if not is_free:
                return
            self._note("client is stopped for a while", [client])
            client.signal(signal.SIGSTOP)
            await self._some_time()
            client.signal(signal.SIGCONT)

    async def _restart_network(self) -> None:
        with self._have(self._network) as is_free:
            if not is_free:
                return
            number = self._random.choice([signal.SIGKILL, signal.SIGTERM])
            self._note(f"network gets {number.name}", self._clients)
            await self._network.stop(number)
            await self._some_time()
            await self._network.begin()

    async def _fill_disk(self) -> None:
        client = self._clients[0]
        if not client.home.is_mount():
            return
        self._note("disk is full", [client])
        filler = client.home / "filler"
        with suppress(OSError), filler.open("wb") as file:
            while True:
                file.write(bytes(1 << 16))
        await self._some_time()
        filler.unlink()

    async def _connect_much(self) -> None:
        client = self._clients[1]  # which has few descriptors
        self._note("client gets many connections", [client])
        connections = [Connection(client) for _ in range(120)]
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(LONGEST):
                for connection in connections:
                    await connection.open()
                await self._some_time()
        for connection in connections:
            connection.close()


def give_own_disk(folder: Path) -> bool:
    """Give a folder a small disk of its own, where this user may mount."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={TMPFS_SIZE},mode=0700", "soak", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
