"""Programs in processes of their own, with one folder for all their configurations."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

from nym.sockets import CONTROL_SOCKET

START = 60.0  # seconds for a program to start
CHECKOUT = (sys.executable, "-m", "nym")
_LOOK = 0.1  # seconds between two looks at a client's status


class Programs:
    """A local network, and clients of it, until the stack is closed.

    `directory` is its URL. `first_hops` are the ports of its first mixnodes, and clients pull from
    port `pulls`. `environment` is what makes programs keep their configurations in its folder.
    """

    def __init__(
        self, stack: ExitStack, command: Sequence[str] = CHECKOUT, *, width: int = 1
    ) -> None:
        self._command = command
        self._home = Path(stack.enter_context(TemporaryDirectory()))
        self.environment = {"XDG_CONFIG_HOME": str(self._home)}
        network = stack.enter_context(self.nym("localnet", "--port", "0", "--width", str(width)))
        first_hop = r"^mixnode +layer 1 .*:(\d+) "
        self.first_hops = [int(read(network, first_hop)) for _ in range(width)]
        self.pulls = int(read(network, r"^ +clients .*:(\d+)$"))
        self.directory = read(network, r"^directory +(\S+)")

    def init(self, name: str, **traffic: float) -> None:
        """Make a client with these settings under [traffic]."""
        self._do("init", "--id", name, "--directory", self.directory)
        for setting, value in traffic.items():
            self.set(name, f"traffic.{setting}", value)

    def set(self, name: str, setting: str, value: float) -> None:
        """Change a setting of a client."""
        self._do("config", "set", "--id", name, setting, str(value))

    @contextmanager
    def client(self, name: str) -> Iterator[subprocess.Popen[str]]:
        """A client that runs, and is registered."""
        with self.nym("tcpsocket", "--id", name, "--port", "0") as process:
            self.registered(name)
            yield process

    def nym(
        self, *arguments: str, niceness: int = 0
    ) -> AbstractContextManager[subprocess.Popen[str]]:
        """Run a command of nym-client."""
        command = [*self._command, *arguments]
        return running(command, niceness=niceness, environment=self.environment)

    def registered(self, name: str) -> dict[str, Any]:
        """Wait until the client is registered; returns its status."""
        give_up = time.monotonic() + START
        while time.monotonic() < give_up:
            with suppress(OSError):  # it may not listen yet
                status = self.ask(name, type="status")
                if status["registered"] and status["state"] == "running":
                    return status
            time.sleep(_LOOK)
        raise TimeoutError(f"{name} isn't registered after {START:.0f} s")

    def ask(self, name: str, **request: object) -> dict[str, Any]:
        """Ask a client that runs, over its control socket. Raises OSError."""
        with self.connect(name) as connection, connection.makefile("rw") as file:
            file.write(json.dumps(request) + "\n")
            file.flush()
            answer: dict[str, Any] = json.loads(file.readline())
        assert answer["type"] != "error", answer
        return answer

    def connect(self, name: str) -> socket.socket:
        """A connection to the client's control socket. Raises OSError."""
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(self.socket(name)))
        except OSError:
            connection.close()
            raise
        return connection

    def folder(self, name: str) -> Path:
        """The client's folder."""
        return self._home / "nym" / "clients" / name

    def socket(self, name: str) -> Path:
        """Its control socket."""
        return self.folder(name) / CONTROL_SOCKET

    def _do(self, *arguments: str) -> None:
        with self.nym(*arguments) as process:
            assert process.wait() == 0, arguments


@contextmanager
def running(
    command: Sequence[str],
    *,
    niceness: int = 0,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[subprocess.Popen[str]]:
    """A program, which is ended at the end of the block."""
    with subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            os.setpriority(os.PRIO_PROCESS, process.pid, niceness)
            yield process
        finally:
            process.terminate()
            # What it still writes is read, or it would wait for that.
            process.communicate()


def read(process: subprocess.Popen[str], pattern: str) -> str:
    """What the group in a line of its output matches, or all of it. Raises EOFError."""
    for line in process.stdout or ():
        if match := re.search(pattern, line):
            return match[match.lastindex or 0]
    raise EOFError(f"a program ended before it said {pattern}")


def memory(pid: int) -> int:
    """KiB of memory that the process has for itself, or shares."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1])
