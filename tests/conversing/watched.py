"""A network that notes what can be seen of each client: by its line, providers, and the directory.

Each client has a directory of its own to ask, which names taps in place of the nodes that it talks
to. So each client's visits are known apart, as its network address would tell them apart.
"""

import json
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import gevent
import requests

from nym.errors import OverloadError
from nym.localnet.network import Network
from nym.net.streams import read_to_end
from nym.nodes.inboxes import Kept, Numbered
from nym.nodes.inboxes.memory import MemoryInboxes
from nym.nodes.keys import Keyring, load_token_key
from nym.nodes.provider import Provider
from nym.signing import generate_signer
from nym.sphinx import Final, Forward
from nym.wire.addresses import NodeAddress, parse_numeric
from nym.wire.directory import TOPOLOGY_PATH
from tests.conversing.seen import Line, Seen, Visit
from tests.harness import ANYWHERE, running, serving, serving_http

LOSSY_LAYER = 2
PROVIDERS = 2
LONGEST_VISIT = 1 << 20  # bytes


class Watched:
    """The network. Of all packets, `loss` is the share that a layer drops."""

    def __init__(self, stack: ExitStack, folder: Path, loss: float, random: Random) -> None:
        self.seen = Seen()
        self._stack = stack
        self._folder = folder
        self._loss = loss
        self._random = random
        self._taps: dict[tuple[str, str], str] = {}
        self.network = stack.enter_context(
            running(Network(width=2, providers=0, folder=folder, trace=self._trace))
        )
        self._lossy = {
            mixnode.address for mixnode in self.network.mixnodes if mixnode.layer == LOSSY_LAYER
        }
        self._signers = [generate_signer() for _ in range(PROVIDERS)]
        self._providers: list[Provider] = []
        self._start_providers([(ANYWHERE, ANYWHERE)] * PROVIDERS)
        stack.callback(self._stop_providers)

    def line(self, name: str) -> Line:
        """Watch another client; it has to be told this directory."""
        line = self.seen.lines[name] = Line()
        line.directory = self._stack.enter_context(
            serving_http(partial(self._topology, name, line))
        )
        return line

    def restart_providers(self, pause: float) -> None:
        """Both forget all clients and messages, as published ones do, and are away for a while."""
        places = [(provider.address, provider.client_address) for provider in self._providers]
        self._stop_providers()
        gevent.sleep(pause)
        self._start_providers(places)

    def _start_providers(self, places: Sequence[tuple[NodeAddress, NodeAddress]]) -> None:
        for number, (packets, clients) in enumerate(places):
            folder = self._folder / f"provider-{number}"
            provider = Provider(
                Keyring(folder),
                load_token_key(folder),
                packets,
                clients,
                WatchedInboxes(self.seen),
                signer=self._signers[number],
            )
            provider.listen()
            provider.start(self.network.url)
            self._providers.append(provider)

    def _stop_providers(self) -> None:
        for provider in self._providers:
            provider.stop()
        self._providers.clear()

    def _trace(self, place: NodeAddress, packet: bytes, task: Forward | Final) -> None:
        if place in self._lossy and self._random.random() < self._loss:
            raise OverloadError("the test loses this packet")

    def _topology(self, name: str, line: Line) -> bytes:
        line.lookups.append(time.monotonic())
        told: dict[str, Any] = requests.get(self.network.url + TOPOLOGY_PATH, timeout=60).json()
        for node in told["mixNodes"]:
            if node["layer"] == 1:
                node["host"] = self._tap(name, node["host"], partial(_pass_packet, line))
        for node in told["mixProviderNodes"]:
            place = node["clientListener"]
            node["clientListener"] = self._tap(name, place, partial(self._pass_pull, line, name))
        return json.dumps(told).encode()

    def _tap(self, name: str, place: str, serve: Callable[[str, socket.socket], None]) -> str:
        if (name, place) not in self._taps:
            tap: AbstractContextManager[NodeAddress] = serving(partial(serve, place))
            self._taps[name, place] = str(self._stack.enter_context(tap))
        return self._taps[name, place]

    def _pass_pull(self, line: Line, name: str, place: str, connection: socket.socket) -> None:
        line.pulling += 1
        try:
            line.pulls.append(_pass(place, connection))
        finally:
            line.pulling -= 1


class WatchedInboxes(MemoryInboxes):
    """Inboxes whose provider notes what happens at each."""

    def __init__(self, seen: Seen) -> None:
        super().__init__()
        self._seen = seen

    def open(self, client: bytes, *, is_proven: bool = False) -> None:
        """See Inboxes."""
        self._seen.inbox(client).registered.append(time.monotonic())
        super().open(client, is_proven=is_proven)

    def keep(self, client: bytes, message: bytes, then: Kept) -> None:
        """See Inboxes."""
        if client in self:
            self._seen.inbox(client).arrived.append(time.monotonic())
        super().keep(client, message, then)

    def hand_over(self, client: bytes, delivered: Sequence[int], most: int) -> list[Numbered]:
        """See Inboxes."""
        self._seen.pulled(client)
        return super().hand_over(client, delivered, most)


def _pass_packet(line: Line, place: str, connection: socket.socket) -> None:
    line.packets.append(_pass(place, connection))


def _pass(place: str, connection: socket.socket) -> Visit:
    """Pass on what either side of a connection says, and tell how much that was."""
    began = time.monotonic()
    node = parse_numeric(place)
    assert node
    with socket.create_connection(node) as other:
        up = gevent.spawn(_copy, connection, other)
        received = _copy(other, connection)
        return Visit(began, place, up.get(), received)


def _copy(source: socket.socket, target: socket.socket) -> int:
    """Pass on what comes until its end; the number of bytes."""
    count = 0
    try:
        for some in read_to_end(source, LONGEST_VISIT):
            target.sendall(some)
            count += len(some)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # one side has gone: what was counted until then is what was seen
    return count
