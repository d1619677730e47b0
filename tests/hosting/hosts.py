"""Hosts: network namespaces with an address each, on one bridge, whose links carry 1280 bytes."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness import PATIENCE

PROGRAM = shlex.split(os.environ.get("NYM_CLIENT", f"{sys.executable} -m nym"))
BRIDGE = "bridge"
MTU = 1280  # what a tunnel may leave; a packet of 1372 bytes doesn't fit


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)  # noqa: S607


def make_bridge() -> None:
    """Make the line between all hosts."""
    _ip("link", "add", BRIDGE, "type", "bridge")
    _ip("link", "set", BRIDGE, "mtu", str(MTU), "up")
    _ip("address", "add", "10.77.0.1/16", "dev", BRIDGE)


class Host:
    """One host. `home` is the folder for the configuration of its programs."""

    count = 1

    def __init__(self, name: str, folder: Path) -> None:
        Host.count += 1
        self.name = name
        self.address = f"10.77.{Host.count // 250}.{Host.count % 250 + 2}"
        self.home = folder / name
        self.home.mkdir()
        self.programs: list[subprocess.Popen[bytes]] = []
        here, there = f"v{Host.count}", "eth0"
        _ip("netns", "add", name)
        _ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", name)
        _ip("link", "set", here, "mtu", str(MTU), "master", BRIDGE, "up")
        for command in (
            f"link set {there} mtu {MTU} up",
            f"address add {self.address}/16 dev {there}",
            "link set lo up",
        ):
            _ip("-netns", name, *command.split())

    def start(self, *command: str, log: str) -> subprocess.Popen[bytes]:
        """Start a program here; its output goes to a file in `home`."""
        with (self.home / log).open("ab") as output:
            program = subprocess.Popen(
                ["ip", "netns", "exec", self.name, *command],  # noqa: S607
                env={**os.environ, "XDG_CONFIG_HOME": str(self.home)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self.programs.append(program)
        return program

    def run(self, *arguments: str) -> str:
        """Run nym-client here to its end, and return its output; it has to do what it is told."""
        ran = subprocess.run(
            ["ip", "netns", "exec", self.name, *PROGRAM, *arguments],  # noqa: S607
            env={**os.environ, "XDG_CONFIG_HOME": str(self.home)},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        if ran.returncode:
            raise AssertionError(f"{self.name}: {arguments}: {ran.stdout}{ran.stderr}")
        return ran.stdout


class Service:
    """A program on a host that runs for ever, and can be stopped and started again."""

    def __init__(self, host: Host, *arguments: str) -> None:
        self.host = host
        self.arguments = arguments
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        self.process = self.host.start(*PROGRAM, *self.arguments, log="log")

    def end(self, number: signal.Signals) -> int:
        """Send a signal, and wait until the program has ended; returns its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run it for as long as the context lasts."""
        self.start()
        try:
            yield
        finally:
            if self.process is not None and self.process.poll() is None:
                self.process.kill()
                self.process.wait()
