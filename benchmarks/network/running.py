"""A network that really runs, its nodes and clients in this process.

`comparison` starts it as a process of its own, because gevent replaces parts of the standard
library. On standard input comes what it asks for, as JSON, and what was measured goes to standard
output.
"""

from gevent import monkey

monkey.patch_all(os=False, signal=False, subprocess=False)

import base64
import json
import logging
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import chain
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, cast

import gevent

from benchmarks.network.churn import Change
from benchmarks.network.scenario import Scenario
from nym.client.client import Client
from nym.config import ClientSettings, Config, TrafficSettings
from nym.contacts import CurrentContacts
from nym.identity import generate_identity
from nym.localnet.network import Network
from nym.nodes.keys import Keyring
from nym.nodes.mixnode import Mixnode
from nym.sockets import CONTROL_SOCKET
from nym.sphinx import Final, Forward
from nym.wire.addresses import NodeAddress
from nym.wire.keys import encode_base58

PATIENCE = 300.0  # seconds; a busy machine takes long to start
LOOK = 0.05  # seconds between two looks
QUIET = 60.0  # seconds without an arrival, after which what hasn't arrived is lost


def main() -> None:
    """Measure one network."""
    logging.disable(logging.WARNING)  # nodes that go away are meant to
    asked = json.load(sys.stdin)
    scenario = Scenario(**asked["scenario"])
    changes = [Change(*change) for change in asked["changes"]]
    found = measure(scenario, changes, asked["seed"], asked["warm_up"], asked["seconds"])
    json.dump(found, sys.stdout)


def measure(
    scenario: Scenario, changes: list[Change], seed: int, warm_up: float, seconds: float
) -> dict[str, Any]:
    """{"latencies": in seconds, "written": messages, "taken" and "arrived": packets, "waited"}.

    "waited" is the share of the time in which the process waited for a processor.

    Messages count that are written from `warm_up` seconds after the beginning on, for `seconds`,
    and so do packets that a first mixnode or a provider takes in that time. It begins once all
    clients know each other.
    """
    began, waited = time.monotonic(), _waited()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        network = stack.enter_context(_Network(scenario, folder / "network"))
        clients = [
            stack.enter_context(_Client(network.url, scenario, folder / str(number), seed + number))
            for number in range(scenario.clients)
        ]
        for client in clients:
            _wait_until(partial(client.knows, len(clients)), "all clients know each other")
        begun = time.monotonic()
        stack.callback(gevent.spawn(network.follow, changes, begun).kill)
        for client in clients:
            stack.callback(gevent.spawn(client.write, clients).kill)
        _sleep_until(begun + warm_up)
        network.is_counting = True
        for client in clients:
            client.is_measured = True
        _sleep_until(begun + warm_up + seconds)
        network.is_counting = False
        for client in clients:
            client.is_measured = False
        written = sum(client.written for client in clients)
        latencies = [client.latencies for client in clients]
        _wait_for_arrivals(latencies, written)
    return {
        "latencies": list(chain.from_iterable(latencies)),
        "written": written,
        "taken": network.taken,
        "arrived": network.arrived,
        "waited": (_waited() - waited) / (time.monotonic() - began),
    }


def _waited() -> float:
    """Seconds for which this process waited for a processor so far (Linux: schedstat)."""
    return int(Path("/proc/self/schedstat").read_text().split()[1]) / 1e9


class _Network:
    """A local network that counts packets, and whose mixnodes go and come."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self._folder = folder
        self._network = Network(
            layers=scenario.layers,
            width=scenario.width,
            providers=scenario.providers,
            folder=folder,
            trace=self._note,
        )
        self._first: frozenset[NodeAddress] = frozenset()
        self.is_counting = False
        self.taken = self.arrived = 0

    def __enter__(self) -> "_Network":
        self.url = self._network.start()
        self._places = [(node.address, node.layer) for node in self._network.mixnodes]
        self._first = frozenset(place for place, layer in self._places if layer == 1)
        return self

    def __exit__(self, *_: object) -> None:
        self._network.stop()

    def _note(self, node: NodeAddress, packet: bytes, unwrapped: Forward | Final) -> None:
        if self.is_counting:
            self.taken += node in self._first
            self.arrived += isinstance(unwrapped, Final)

    def follow(self, changes: list[Change], begun: float) -> None:
        """Let mixnodes go away with all that they hold, and come back."""
        nodes = self._network.mixnodes
        for change in changes:
            _sleep_until(begun + change.at)
            if change.is_there:
                nodes[change.node] = self._start_again(change.node)
            else:
                nodes[change.node].stop()

    def _start_again(self, number: int) -> Mixnode:
        place, layer = self._places[number]
        width = len(self._first)
        keys = Keyring(self._folder / f"mixnode-{layer}-{number % width + 1}")
        node = Mixnode(keys, place, layer, trace=self._note)
        node.listen()
        node.start(self.url)
        return node


class _Client:
    """A client, and two applications: one writes, and one waits for what comes."""

    def __init__(self, directory: str, scenario: Scenario, folder: Path, seed: int) -> None:
        identity = generate_identity()
        self.address = encode_base58(identity.public_key)
        folder.mkdir(mode=0o700)
        config = Config(
            # As in the simulation, a client has one address.
            client=ClientSettings(id="bench", directory=directory, reply_addresses=0),
            traffic=TrafficSettings(
                average_packet_delay=scenario.delay,
                message_sending_average_delay=scenario.turn_gap,
                loop_cover_traffic_average_delay=scenario.loop_gap,
                fetch_message_delay=scenario.fetch,
                topology_refresh_rate=scenario.refresh,
            ),
        )
        self._client = Client(identity, config, folder, None, CurrentContacts(folder))
        self._socket = folder / CONTROL_SOCKET
        self._random = Random(seed)  # noqa: S311 - the same seed writes at the same times
        self._gap = scenario.message_gap
        self.is_measured = False
        self.written = 0
        self.latencies: list[float] = []

    def __enter__(self) -> "_Client":
        self._client.listen()
        self._client.start()
        self._writer, self._reader = self._connect(), self._connect()
        self._reading = gevent.spawn(self._read)
        return self

    def __exit__(self, *_: object) -> None:
        self._reading.kill()
        self._writer.close()
        self._reader.close()
        self._client.stop()

    def knows(self, number: int) -> bool:
        """Whether it knows this many clients, itself among them."""
        known = _ask(self._writer, type="getClients")["clients"]
        return len({*known, self.address}) == number

    def write(self, clients: "list[_Client]") -> None:
        """Write to random clients at random times, for ever."""
        due = time.monotonic()
        while True:
            due += self._random.expovariate(1 / self._gap)
            _sleep_until(due)
            recipient = self._random.choice(clients)
            self.written += self.is_measured
            text = json.dumps([time.monotonic(), self.is_measured])
            answer = _ask(
                self._writer, type="send", recipient_address=recipient.address, message=text
            )
            if answer["type"] != "send":
                raise RuntimeError(f"a client refused a message: {answer}")

    def _read(self) -> None:
        _say(self._reader, type="subscribe")
        for line in self._reader:
            told = json.loads(line)
            if told["type"] == "message":
                written_at, is_measured = json.loads(base64.b64decode(told["data"]))
                if is_measured:
                    self.latencies.append(time.monotonic() - written_at)
                _say(self._reader, type="ack", id=told["id"])

    def _connect(self) -> BinaryIO:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(self._socket))
        with connection:
            return cast(BinaryIO, connection.makefile("rwb"))


def _say(file: BinaryIO, **request: object) -> None:
    file.write(json.dumps(request).encode() + b"\n")
    file.flush()


def _ask(file: BinaryIO, **request: object) -> Any:
    _say(file, **request)
    return json.loads(file.readline())


def _sleep_until(due: float) -> None:
    gevent.sleep(max(0.0, due - time.monotonic()))


def _wait_for_arrivals(latencies: list[list[float]], written: int) -> None:
    """Wait until all messages are there, or no more of them come.

    A machine that is too busy for its network loses some.
    """
    count, since = 0, time.monotonic()
    while count < written and time.monotonic() < since + QUIET:
        gevent.sleep(LOOK)
        if (now := sum(map(len, latencies))) > count:
            count, since = now, time.monotonic()


def _wait_until(condition: Callable[[], object], what: str) -> None:
    give_up = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > give_up:
            raise RuntimeError(f"waited {PATIENCE:.0f} s in vain for this: {what}")
        gevent.sleep(LOOK)


if __name__ == "__main__":
    main()
