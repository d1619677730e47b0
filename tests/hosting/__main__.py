"""Runs a network on many hosts, and breaks it: `tests/hosts`, as root.

Three layers of three mixnodes, two providers and two directories are each on a host of their own,
behind a line that is slow and bad (relay.py), on links that carry 1280 bytes. They are started by
the command lines of the shipped units. Eight clients send each other reliable messages and two
files, while nodes are killed, restarted, rotate their keys every minute, and are replaced one by
one. Whatever was accepted has to arrive once, whole.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from random import Random

from nym.cli.homes import ALL
from tests.hosting.clients import Client, Ledger
from tests.hosting.hosts import Host, Service, make_bridge

LAYERS, WIDTH = 3, 3
PACKETS, CLIENTS, BEHIND = 1789, 9000, 10_000  # ports; a node is BEHIND the one that is announced
KEYS = {"keys.lifetime": "60", "keys.overlap": "60"}  # seconds
START_TIME, END_TIME = 300.0, 1800.0  # seconds
FAULT_EVERY = 12.0  # seconds between two faults, on average
TRAFFIC = {
    "traffic.message_sending_average_delay": "0.2",
    "traffic.loop_cover_traffic_average_delay": "1.0",
    "traffic.fetch_message_delay": "0.3",
    "traffic.topology_refresh_rate": "2",
}


class World:
    """All hosts, and what runs on them."""

    def __init__(self, folder: Path, random: Random, stack: ExitStack) -> None:
        self.folder = folder
        self.random = random
        self.stack = stack
        self.allowed: dict[str, str] = {}  # identities, by the node's name
        self.directories: list[Service] = []
        self.mixnodes: list[tuple[int, Service]] = []
        self.providers: list[Service] = []
        self.urls = ""
        self.replaced = 0

    def start(self) -> None:
        """Start directories, then nodes, each on a host of its own."""
        for number in (1, 2):
            host = Host(f"directory{number}", self.folder)
            (host.home / "allowed").touch()
            options = ("--listen", host.address, "--allow", str(host.home / "allowed"))
            self.directories.append(self.service(host, "directory", *options))
        self.urls = " ".join(f"http://{one.host.address}:8080" for one in self.directories)
        for layer in range(1, LAYERS + 1):
            for _ in range(WIDTH):
                self.add_mixnode(layer)
        for number in (1, 2):
            self.add_provider(f"provider{number}")

    def service(self, host: Host, role: str, *options: str) -> Service:
        """A node that was started once with its options, and runs now as its unit starts it."""
        first = Service(host, role, "--id", "node", *options)
        first.start()
        config = f"{role_folder(host, role)}/config.toml"
        wait(lambda: os.path.exists(config), START_TIME, f"the first start on {host.name}")
        first.end(signal.SIGKILL)
        if role != "directory":
            for key, value in {**KEYS, f"{role}.farewell": "15"}.items():
                host.run("config", "set", "--id", "node", key, value)
            self.allow(host.name, identity(host))
        unit = Service(host, role, "--id", "node")
        self.stack.enter_context(unit.running())
        return unit

    def allow(self, name: str, key: str | None) -> None:
        """Put a node on the directories' lists, or take it off, and let them read it again."""
        if key is None:
            del self.allowed[name]
        else:
            self.allowed[name] = key
        text = "".join(f"{key}  # {name}\n" for name, key in self.allowed.items())
        for directory in self.directories:
            (directory.host.home / "allowed").write_text(text)
            if directory.process is not None and directory.process.poll() is None:
                directory.process.send_signal(signal.SIGHUP)

    def add_mixnode(self, layer: int) -> None:
        """Start a mixnode on a new host."""
        host = Host(f"mixnode{layer}-{Host.count}", self.folder)
        self.add_line(host, PACKETS)
        options = ("--layer", str(layer), *self.places(host, PACKETS))
        self.mixnodes.append((layer, self.service(host, "mixnode", *options)))

    def add_provider(self, name: str) -> None:
        """Start a provider on a new host."""
        host = Host(name, self.folder)
        self.add_line(host, PACKETS)
        self.add_line(host, CLIENTS)
        behind = f"127.0.0.1:{CLIENTS + BEHIND}"
        clients = ("--clients", behind, "--announce-clients", f"{host.address}:{CLIENTS}")
        options = (*self.places(host, PACKETS), *clients)
        self.providers.append(self.service(host, "provider", *options))

    def places(self, host: Host, port: int) -> tuple[str, ...]:
        """Where a node listens and is announced, and its directories."""
        return (
            *("--listen", f"127.0.0.1:{port + BEHIND}", "--announce", f"{host.address}:{port}"),
            *("--directory", self.urls),
        )

    def add_line(self, host: Host, port: int) -> None:
        """The bad line in front of a port."""
        here, there = f"{host.address}:{port}", f"127.0.0.1:{port + BEHIND}"
        relay = [sys.executable, "-m", "tests.hosting.relay", here, there]
        process = host.start(*relay, str(self.random.getrandbits(32)), log="line")
        self.stack.callback(process.kill)

    def break_something(self) -> str:
        """Do one of the things that happen to networks; returns what it was."""
        faults: list[Callable[[], str]] = [self.kill, self.kill, self.restart, self.replace]
        faults += [self.lose_directory, self.restart_provider]
        return self.random.choice(faults)()

    def kill(self) -> str:
        """A mixnode is killed, and started again by its service manager five seconds later."""
        _, node = self.random.choice(self.mixnodes)
        node.end(signal.SIGKILL)
        time.sleep(5)
        node.start()
        return f"killed {node.host.name}"

    def restart(self) -> str:
        """A mixnode is stopped in order, and started again."""
        _, node = self.random.choice(self.mixnodes)
        assert node.end(signal.SIGTERM) == 0
        node.start()
        return f"restarted {node.host.name}"

    def replace(self) -> str:
        """A mixnode leaves for good; another one takes its place in the layer."""
        chosen = self.random.choice(self.mixnodes)
        layer, node = chosen
        self.add_mixnode(layer)
        assert node.end(signal.SIGTERM) == 0
        self.mixnodes.remove(chosen)
        self.allow(node.host.name, None)
        self.replaced += 1
        return f"replaced {node.host.name} by {self.mixnodes[-1][1].host.name}"

    def lose_directory(self) -> str:
        """A directory is killed, and comes back."""
        directory = self.random.choice(self.directories)
        directory.end(signal.SIGKILL)
        time.sleep(10)
        directory.start()
        return f"lost {directory.host.name} for ten seconds"

    def restart_provider(self) -> str:
        """A provider is killed, and started again."""
        provider = self.random.choice(self.providers)
        provider.end(signal.SIGKILL)
        provider.start()
        return f"killed {provider.host.name}"


def role_folder(host: Host, role: str) -> Path:
    """The folder of the node on a host."""
    folders = {known.name: known.folder for known in ALL}
    return host.home / "nym" / folders[role] / "node"


def identity(host: Host) -> str:
    """The identity of the node on a host."""
    return host.run("list").split()[3]


def wait(is_true: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until something is true. Raises AssertionError if it takes too long."""
    until = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > until:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.2)


def main() -> int:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(prog="tests/hosts")
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--file", type=int, default=50_000, help="bytes of each of two files")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    given = parser.parse_args()
    say(f"seed {given.seed}")
    random = Random(given.seed)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        make_bridge()
        world = World(folder, random, stack)
        world.start()
        key = identity(world.directories[0].host), identity(world.directories[1].host)
        ledger = Ledger()
        clients = []
        for number in range(1, given.clients + 1):
            host = Host(f"client{number}", folder)
            host.run(
                *("init", "--id", "node", "--directory", world.urls),
                *("--directory-key", " ".join(key)),
            )
            for name, value in TRAFFIC.items():
                host.run("config", "set", "--id", "node", name, value)
            service = Service(host, "tcpsocket", "--id", "node", "--port", "0")
            stack.enter_context(service.running())
            clients.append(Client(host, ledger))
        for client in clients:
            stack.enter_context(client)
            wait(client.is_running, START_TIME, f"{client.host.name} runs")
        say("the network runs")
        ledger.plan(clients, given.messages, given.file, random)
        return carry(world, clients, ledger, random)


def carry(world: World, clients: list[Client], ledger: Ledger, random: Random) -> int:
    """Let the clients talk while things break; returns the exit code."""
    until = time.monotonic() + END_TIME
    next_fault = time.monotonic() + FAULT_EVERY
    while not ledger.is_over() and time.monotonic() < until:
        if time.monotonic() >= next_fault:
            say(f"{world.break_something()}; {ledger}")
            next_fault = time.monotonic() + random.expovariate(1 / FAULT_EVERY)
        time.sleep(0.2)
    for client in clients:
        client.stop()
    say(f"{ledger}; {world.replaced} mixnodes were replaced")
    for fault in ledger.faults():
        say(f"FAULT: {fault}")
    return 1 if ledger.faults() else 0


def say(what: str) -> None:
    """Print a line with the time."""
    print(time.strftime("%H:%M:%S"), what, flush=True)


if __name__ == "__main__":
    sys.exit(main())
