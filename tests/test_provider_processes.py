"""Several provider processes, each on a machine of its own, that are one provider to all others.

They share a database and an identity. A balancer, which has the only address that others know,
hands each connection to one of them.
"""

import json
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import socket

from nym.net.directory import fetch_topology
from nym.wire.addresses import NodeAddress
from tests.harness import Application, Program, beside, run_program, serving, wait_until
from tests.postgres import Postgres
from tests.test_nodes import LISTEN, Nodes


@dataclass
class Balancer:
    """Hands connections to the places behind it in turn, and to the next one if one is down."""

    places: list[NodeAddress] = field(default_factory=list)
    turns: Iterator[int] = field(default_factory=count)

    def carry(self, near: socket.socket) -> None:
        """Carry one connection to its end."""
        for _ in self.places:
            place = self.places[next(self.turns) % len(self.places)]
            with suppress(OSError), socket.create_connection(place) as far:
                back = gevent.spawn(self._copy, far, near)
                self._copy(near, far)
                back.join()
                return

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(1 << 16):
                target.sendall(piece)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


class Site:
    """A network whose provider consists of several processes."""

    def __init__(self, folder: Path, stack: ExitStack, postgres: Postgres) -> None:
        self._folder = folder
        self._stack = stack
        self.url = postgres.url(postgres.database())
        self.nodes = Nodes(folder / "nodes", stack)
        directory = self.nodes.start("directory", "main", "--listen", "127.0.0.1:0")
        self.nodes.url = directory.line("^directory +(http.*)$")[1]
        for layer in ("1", "2", "3"):
            self.nodes.start_mixnode(f"mix{layer}", layer)
        self.packets, self.clients = Balancer(), Balancer()
        self.front = [
            stack.enter_context(serving(balancer.carry))
            for balancer in (self.packets, self.clients)
        ]
        self.homes: list[Path] = []
        self.processes: list[Program] = []

    def add(self) -> Program:
        """Start one more process, on one more machine, as docs/operating.md says."""
        home = self._folder / f"machine{len(self.homes)}"
        mine = home / "nym/providers/home"
        mine.mkdir(parents=True)
        (mine / "config.toml").write_text("provider.farewell = 0")
        if self.homes:
            for name in ("identity.pem", "tokens.pem"):
                shutil.copy(self.homes[0] / "nym/providers/home" / name, mine)
        options = (
            *(*LISTEN, "--clients", "127.0.0.1:0", *self.nodes.at, "--store", self.url),
            *("--announce", str(self.front[0]), "--announce-clients", str(self.front[1])),
        )
        program = self._stack.enter_context(Program(home, "provider", "--id", "home", *options))
        for what, balancer in (("packets", self.packets), ("clients", self.clients)):
            ip, port = re.split(":", program.line(f"^{what} +(.*:.*)$")[1])
            balancer.places.append(NodeAddress(ip, int(port)))
        self.homes.append(home)
        self.processes.append(program)
        return program

    def status(self, number: int) -> Any:
        """What a process reports of itself."""
        code, out, err = beside(run_program, self.homes[number], "status", "--id", "home", "--json")
        assert (code, err) == (0, ""), err
        return json.loads(out)

    def listed(self) -> list[Any]:
        """The providers in the directory."""
        return list(fetch_topology(self.nodes.url, has_lists=True).records.providers)


@pytest.fixture
def site(tmp_path: Path, postgres: Postgres) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(tmp_path, stack, postgres)


def figures(report: Any, name: str) -> Any:
    return report["figures"][name]


def keeps_sending(sender: Application, to: bytes, sent: list[bytes]) -> Callable[[], None]:
    """Sends reliable messages for ever, and notes them in `sent`."""

    def send() -> None:
        with sender.lines() as lines:
            for number in count():
                message = b"%d" % number
                sent.append(message)  # first: whoever ends this can't know how far it has come
                lines.send(to, message, reliable=True)
                gevent.sleep(0.05)

    return send


@pytest.mark.no_cover  # processes that are killed can't say which lines they have entered
def test_one_process_is_killed_and_clients_lose_nothing(site: Site) -> None:
    for _ in range(2):
        site.add()
    wait_until(site.nodes.is_whole)
    sent: list[bytes] = []
    got: list[bytes] = []
    with Application(site.nodes.url) as alice, Application(site.nodes.url) as bob:
        everybody = {alice.address, bob.address}
        wait_until(lambda: any(everybody <= {*one.clients} for one in site.listed()))

        def receive() -> None:
            with bob.lines() as lines:
                lines.say(type="subscribe")
                while True:
                    got.append(bytes(lines.receive().message))

        greenlets = [
            gevent.spawn(keeps_sending(alice, bob.address, sent)),
            gevent.spawn(receive),
        ]
        wait_until(lambda: len(got) > 20)
        # A process that is slow for some seconds, on a busy machine, counts as gone meanwhile.
        wait_until(lambda: figures(site.status(0), "processes") == 2)
        for number in range(2):
            report = site.status(number)
            assert figures(report, "packets_delivered") > 0
            assert figures(report, "requests")["pull"] > 0
        site.processes[0].end(signal.SIGKILL)
        killed, before = time.monotonic(), len(got)
        wait_until(lambda: len(got) > before + 5)
        print(f"clients went on {time.monotonic() - killed:.1f} s after the kill")
        greenlets[0].kill()
        last = sent.pop()  # which the client may not have accepted
        wait_until(lambda: {*sent} <= {*got})
        gevent.killall(greenlets)
    assert sorted(got) in (sorted(sent), sorted([*sent, last]))
    wait_until(lambda: figures(site.status(1), "processes") == 1)


def test_the_directory_lists_one_provider_until_the_last_process_has_left(site: Site) -> None:
    for _ in range(2):
        site.add()
    wait_until(site.listed)
    (record,) = site.listed()
    assert record.mixnet_listener == str(site.front[0])
    reports = [site.status(number) for number in range(2)]
    assert reports[0]["identity"] == reports[1]["identity"]
    assert reports[0]["key"] == reports[1]["key"]
    assert [report["reason"] for report in reports] == [None, None]
    site.processes[0].end(signal.SIGTERM)
    assert [one.public_key for one in site.listed()] == [record.public_key]
    wait_until(lambda: figures(site.status(1), "processes") == 1)
    site.processes[1].end(signal.SIGTERM)
    assert site.listed() == []
