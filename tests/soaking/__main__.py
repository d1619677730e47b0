"""tests/soak: the run, from the first start to the table."""

import argparse
import asyncio
import resource
import signal
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from random import Random
from tempfile import mkdtemp

from tests.soaking.applications import Connection, Reader, Writer, schedule, status
from tests.soaking.checks import check_messages, check_program, is_fetching, table
from tests.soaking.faults import Faults, give_own_disk
from tests.soaking.ledger import Ledger
from tests.soaking.programs import ClientProgram, LocalNetwork, Program
from tests.soaking.proxies import DirectoryProxy, free_port

NAMES = ("alice", "bob", "carol")  # the first lives on, the second has few descriptors
FEW_DESCRIPTORS = 96
MANY_DESCRIPTORS = 8192  # a node holds a packet's connections for as long as the next one hangs
SAMPLE_GAP = 10.0
REPORT_GAP = 60.0
QUIET = 5.0  # seconds in which nothing arrives, at the end
SLOWEST_START = 20.0


class Soak:
    """All parts of one run."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.random = Random(options.seed)
        self.folder = Path(options.folder or mkdtemp(prefix="nym-soak-"))
        self.ledger = Ledger(self.random.getrandbits(64))
        self.directory = DirectoryProxy(self.random)
        self.network = LocalNetwork(self.folder, self.ledger, free_port(self.random))
        self.clients = [
            ClientProgram(name, self.folder, self.ledger, free_port(self.random)) for name in NAMES
        ]
        self.faults = Faults(
            self.random, options.gap, self.network, self.directory, self.clients, self.ledger
        )
        self.writers: list[Writer] = []
        self.began = 0.0
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def programs(self) -> Sequence[Program]:
        """All of them."""
        return [self.network, *self.clients]

    async def run(self) -> int:
        """Everything; the exit code."""
        self.began = asyncio.get_running_loop().time()
        try:
            await self._begin()
            await self._send()
            await self._drain()
            await self._ask_for_states()
        finally:
            for task in self._tasks:
                task.cancel()
            for program in self.programs:
                program.signal(signal.SIGCONT)
                await program.stop(signal.SIGTERM)
        check_messages(self.ledger, self.clients)
        for program in self.programs:
            check_program(self.ledger, program, self._seconds() / 3600)
        say("")
        for line in table(self.ledger, self.programs, self.faults.seen):
            say(line)
        say(f"seed {self.options.seed}; logs and folders are in {self.folder}")
        return 1 if self.ledger.violations else 0

    async def _begin(self) -> None:
        if not give_own_disk(self.clients[0].home):
            say("no disk can be mounted here, so none will be full")
        self.directory.upstream = self.network.port
        await self.network.begin()
        await self.directory.start()
        await self.directory.topology()
        self.network.descriptors = MANY_DESCRIPTORS
        self.clients[1].descriptors = FEW_DESCRIPTORS
        for client in self.clients:
            await client.make(f"http://127.0.0.1:{self.directory.port}", self.options.speed)
            await client.begin()
        for client in self.clients:
            async with asyncio.timeout(SLOWEST_START * 10):
                while (said := await status(client)) is None or not said["registered"]:
                    await asyncio.sleep(0.2)

    async def _send(self) -> None:
        options = self.options
        addresses = {client.name: client.address for client in self.clients}
        each = -(-options.messages // len(self.clients))
        now = asyncio.get_running_loop().time()
        sending = []
        for client in self.clients:
            others = [name for name in NAMES if name != client.name]
            due = schedule(self.random, each, options.duration, client.name, others)
            self.writers.append(Writer(client, addresses, self.ledger))
            sending.append(asyncio.create_task(self.writers[-1].send(due, now)))
        for client in self.clients:
            reader = Reader(client, self.ledger)
            self._forever(
                reader.fetch() if is_fetching(client.name, self.clients) else reader.subscribe()
            )
        self._forever(self._keep_sampling())
        self._forever(self._keep_reporting())
        breaking = [
            asyncio.create_task(self.faults.run()),
            asyncio.create_task(self.faults.restart_clients(options.restart)),
        ]
        await asyncio.sleep(options.duration)
        for task in breaking:
            task.cancel()
        await self.faults.heal()
        async with asyncio.timeout(options.drain):
            await asyncio.gather(*sending)

    async def _drain(self) -> None:
        """Until nothing waits, and nothing comes any more."""
        clock = asyncio.get_running_loop().time
        give_up = clock() + self.options.drain
        quiet_since, arrived = clock(), -1
        while clock() < give_up and clock() < quiet_since + QUIET:
            states = [await status(client) for client in self.clients]
            waiting = any(said is None or said["outbox"] or said["inbox"] for said in states)
            now_arrived = sum(len(message.arrivals) for message in self.ledger.messages)
            if waiting or now_arrived != arrived:
                quiet_since, arrived = clock(), now_arrived
            await asyncio.sleep(0.5)

    async def _ask_for_states(self) -> None:
        for client in self.clients:
            connection = Connection(client)
            for message in self.ledger.accepted():
                if message.sender == client.name:
                    answer = await connection.ask(type="progress", id=message.id)
                    message.state = answer["state"]
            connection.close()

    def _forever(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(self._note_end)
        self._tasks.append(task)

    def _note_end(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled():
            self.ledger.violate("a part of this test ended", repr(task.exception()))

    async def _keep_sampling(self) -> None:
        while True:
            for program in self.programs:
                program.sample(self._seconds())
            await asyncio.sleep(min(SAMPLE_GAP, self.options.duration / 20))

    async def _keep_reporting(self) -> None:
        while True:
            await asyncio.sleep(REPORT_GAP)
            states = [await status(client) for client in self.clients]
            boxes = " ".join(
                f"{client.name} {said['state']} {said['outbox']}" if said else f"{client.name} -"
                for client, said in zip(self.clients, states, strict=True)
            )
            accepted = self.ledger.accepted()
            arrived = sum(1 for message in accepted if message.arrivals)
            say(
                f"{self._seconds():7.0f} s  {len(accepted)} accepted, {arrived} arrived; outbox: "
                f"{boxes}; {self.faults.seen.total()} faults, {self.ledger.violations.total()} "
                "violations"
            )

    def _seconds(self) -> float:
        return asyncio.get_running_loop().time() - self.began


def say(line: str) -> None:
    """One line, at once."""
    print(line, flush=True)


def main() -> int:
    """Run as the options say."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # for the proxies
    parser = argparse.ArgumentParser(prog="tests/soak", description=__doc__)
    parser.add_argument("--duration", type=float, default=7200.0, metavar="SECONDS")
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--speed", type=float, default=10.0, help="times the default rates")
    parser.add_argument("--gap", type=float, default=30.0, help="mean seconds between faults")
    parser.add_argument("--restart", type=float, default=150.0, help="seconds between restarts")
    parser.add_argument("--drain", type=float, default=1800.0, help="seconds for what is left")
    parser.add_argument("--seed", type=int, default=Random().getrandbits(32))
    parser.add_argument("--folder", help="where everything is; else a new one in /tmp")
    return asyncio.run(Soak(parser.parse_args()).run())


if __name__ == "__main__":
    sys.exit(main())
