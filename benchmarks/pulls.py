"""What a provider takes for each pull and each packet, beside unwrapping one hop alone.

The provider is a process of its own, with CLIENTS clients on sealed lines. Packets come as mixnodes
send them, RATE per second, each on a connection of its own, and their messages go to the disk. All
figures are processor time of that process. Those of a packet are from its arrival until the client
has said that it has the message.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from benchmarks.load import send
from benchmarks.measure import Row, compare
from benchmarks.provider import NAME, provider
from benchmarks.relay import processor_time, unwrapping
from nym.client.registration import Registration
from nym.identity import generate_identity
from nym.sphinx import Hop, create_packet
from nym.topology import ProviderNode
from nym.wire.addresses import NodeAddress, encode_address
from nym.wire.keys import decode_base58
from nym.wire.sizes import LONGEST_MESSAGE

CLIENTS = 100
PULLS = 20  # of each client, in each round
ROUNDS = 5
TO_EACH = 5  # packets, in each round
RATE = 500.0  # packets per second


def run() -> list[Row]:
    """Measure pulls that bring nothing, and packets."""
    with _provider() as (pid, node):
        clients = [_Client(node) for _ in range(CLIENTS)]
        hop = Hop(encode_address(node.address), node.public_key, 0)
        pulls, packets = [], []
        for _ in range(ROUNDS):
            made = [
                create_packet(bytes(LONGEST_MESSAGE), [hop], client.address)
                for client in clients
                for _ in range(TO_EACH)
            ]
            before = processor_time(pid)
            for _ in range(PULLS):
                _pull(clients)
            pulls.append((processor_time(pid) - before) / (PULLS * CLIENTS))
            before, rounds = processor_time(pid), 1
            send(node.address, made, 1 / RATE)
            missing = len(made)
            while missing:
                missing -= _pull(clients)
                rounds += 1
            _pull(clients)  # says that the last ones have been taken
            used = processor_time(pid) - before - rounds * CLIENTS * pulls[-1]
            packets.append(used / len(made))
    yardstick = [unwrapping()] * ROUNDS
    return [compare("a pull", pulls, yardstick), compare("a packet", packets, yardstick)]


class _Client:
    """A client that pulls."""

    def __init__(self, node: ProviderNode) -> None:
        own = generate_identity()
        self.address = own.public_key
        self._registration = Registration(own, node)
        self._registration.register()
        self._taken: tuple[int, ...] = ()

    def pull(self) -> int:
        """Pull once; returns how many messages came."""
        pulled = self._registration.pull(lambda _: self._taken)
        self._taken = pulled.numbers
        return len(pulled.messages)


def _pull(clients: list[_Client]) -> int:
    return sum(client.pull() for client in clients)


@contextmanager
def _provider() -> Iterator[tuple[int, ProviderNode]]:
    """(its process, what a directory would say of it)."""
    with TemporaryDirectory() as home, provider(home) as pid:
        status = [sys.executable, "-m", "nym", "status", "--id", NAME, "--json"]
        told = subprocess.check_output(status, env=os.environ | {"XDG_CONFIG_HOME": home})
        yield pid, _record(json.loads(told))


def _record(status: dict[str, str]) -> ProviderNode:
    packets, clients = (
        NodeAddress(host, int(port))
        for host, _, port in (status[name].rpartition(":") for name in ("packets", "clients"))
    )
    key, identity = decode_base58(status["key"]), decode_base58(status["identity"])
    return ProviderNode(packets, clients, key, frozenset(), identity, offers_line=True)
