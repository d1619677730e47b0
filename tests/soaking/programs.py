"""The programs of the run, each in a process of its own: the network, and the clients."""

import asyncio
import os
import re
import resource
import shlex
import signal
import sys
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from nym.config import TrafficSettings
from nym.config.file import load_config, save_config
from nym.identity import load_identity
from tests.soaking.ledger import Ledger

PROGRAM = shlex.split(os.environ.get("NYM_CLIENT", f"{sys.executable} -m nym"))
USUAL_DESCRIPTORS = 1024
START_TIME = 180.0  # seconds
STOP_TIME = 20.0
_SPECIFIC = re.compile(r"\b[0-9A-HJ-NP-Za-km-z]{32,44}\b|\b[0-9a-f]{16,}\b|\d+(?:[.,:]\d+)*")
_LOGGED = re.compile(r"^\d{4}-\d\d-\d\d \S+ (.*)$", re.MULTILINE)
_ALARMING = ("Traceback", "should not happen", " died")


class Sample(NamedTuple):
    """What a process takes: seconds of the run, and, in kB, its share of memory."""

    at: float
    memory: int
    descriptors: int


class Program(ABC):
    """One program that is started and stopped again and again."""

    def __init__(self, name: str, folder: Path, ledger: Ledger) -> None:
        self.name = name
        self.home = folder / name
        self.home.mkdir(parents=True)
        self.ledger = ledger
        self.is_up = asyncio.Event()
        self.lives = 0
        self.kills = 0
        self.faults = 0  # that it should have noticed
        self.samples: list[list[Sample]] = []  # of each life
        self.descriptors = USUAL_DESCRIPTORS  # the limit
        self._log_path = folder / f"{name}.log"
        self._process: asyncio.subprocess.Process | None = None
        self._watching: asyncio.Task[None] | None = None
        self._is_wanted = False

    async def run(self, *arguments: str) -> None:
        """Run the program to its end; it has to do what it is told."""
        process = await self._spawn(arguments)
        if await process.wait() != 0:
            raise RuntimeError(f"{' '.join(arguments)}: {self._log_path.read_text()}")

    async def start(self, *arguments: str) -> None:
        """Start the program, which says when it is ready."""
        begins = self._log_path.stat().st_size if self._log_path.exists() else 0
        self._process = await self._spawn(arguments)
        self._is_wanted = True
        self._watching = asyncio.create_task(self._watch(self._process))
        self.lives += 1
        self.samples.append([])
        async with asyncio.timeout(START_TIME):
            while not self.is_ready(self._log_path.read_bytes()[begins:].decode(errors="replace")):
                if self._process.returncode is not None:
                    raise RuntimeError(f"{self.name} ended: {self._log_path.read_text()[-2000:]}")
                await asyncio.sleep(0.05)
        self.is_up.set()

    @abstractmethod
    def is_ready(self, log: str) -> bool:
        """Whether it says so in what it wrote since its start."""

    async def stop(self, number: signal.Signals) -> None:
        """End it by a signal."""
        if self._process is None or self._process.returncode is not None:
            return
        self.is_up.clear()
        self._is_wanted = False
        self.kills += number is signal.SIGKILL
        self._process.send_signal(number)
        try:
            async with asyncio.timeout(STOP_TIME):
                code = await self._process.wait()
        except TimeoutError:
            self.ledger.violate("a program doesn't stop", self.name)
            self._process.kill()
            self.kills += 1
            code = await self._process.wait()
        if number is signal.SIGTERM and code != 0:
            self.ledger.violate(
                "a program that was stopped didn't end with 0", f"{self.name}: {code}"
            )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal that doesn't end it."""
        if self._process and self._process.returncode is None:
            self._process.send_signal(number)

    def sample(self, at: float) -> None:
        """Note what it takes just now."""
        if self._process is None or not self.is_up.is_set():
            return
        folder = Path("/proc") / str(self._process.pid)
        try:
            rollup = (folder / "smaps_rollup").read_text()
            descriptors = len(os.listdir(folder / "fd"))
        except OSError:
            return
        match = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
        if match:
            self.samples[-1].append(Sample(at, int(match[1]), descriptors))

    def log_lines(self) -> Counter[str]:
        """How often it logged what, numbers and keys left out."""
        return Counter(_SPECIFIC.sub("#", line[1]) for line in _LOGGED.finditer(self._log()))

    def check_log(self) -> None:
        """Nothing in its log may be alarming."""
        for line in self._log().splitlines():
            if any(word in line for word in _ALARMING):
                self.ledger.violate("an alarming line in a log", f"{self.name}: {line}")

    def _log(self) -> str:
        return self._log_path.read_text(errors="replace")

    async def _spawn(self, arguments: Sequence[str]) -> asyncio.subprocess.Process:
        limit = self.descriptors

        def prepare() -> None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

        with self._log_path.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *PROGRAM,
                *arguments,
                env=os.environ | {"XDG_CONFIG_HOME": str(self.home)},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=prepare,
            )

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        code = await process.wait()
        if self._is_wanted and process is self._process:
            self.is_up.clear()
            self.ledger.violate("a program ended by itself", f"{self.name}: {code}")


class LocalNetwork(Program):
    """Directory, mixnodes and providers."""

    def __init__(self, folder: Path, ledger: Ledger, port: int) -> None:
        super().__init__("network", folder, ledger)
        self.port = port

    def is_ready(self, log: str) -> bool:
        """See above."""
        return "\ndirectory " in log

    async def begin(self) -> None:
        """Start it, with the keys and messages that it had."""
        await self.start(
            *("localnet", "--port", str(self.port), "--width", "2", "--providers", "2"),
            *("--folder", str(self.home / "kept")),
        )


class ClientProgram(Program):
    """A client, with a port that it keeps."""

    def __init__(self, name: str, folder: Path, ledger: Ledger, port: int) -> None:
        super().__init__(name, folder, ledger)
        self.port = port
        self.address = ""

    def is_ready(self, log: str) -> bool:
        """See above."""
        return "Starting TCP socket on port: " in log

    async def make(self, directory: str, speed: float) -> None:
        """Make its folder, with rates that are `speed` times the default ones."""
        await self.run("init", "--id", self.name, "--directory", directory)
        folder = self.home / "nym" / "clients" / self.name
        save_config(replace(load_config(folder), traffic=faster(speed)), folder)
        self.address = load_identity(folder).address

    async def begin(self) -> None:
        """Start it."""
        await self.start("tcpsocket", "--id", self.name, "--port", str(self.port))


def faster(speed: float) -> TrafficSettings:
    """Rates that are `speed` times the default ones."""
    usual = TrafficSettings()
    return replace(
        usual,
        message_sending_average_delay=usual.message_sending_average_delay / speed,
        loop_cover_traffic_average_delay=usual.loop_cover_traffic_average_delay / speed,
        fetch_message_delay=usual.fetch_message_delay / speed,
        average_packet_delay=usual.average_packet_delay / speed,
        topology_refresh_rate=usual.topology_refresh_rate / speed,
    )
