"""Networks that would like to choose a client's nodes: in each, an honest part does its work."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from nym.localnet.network import Network
from nym.sphinx import Final, Forward
from nym.topology import PROTOCOL_VERSION
from nym.wire.addresses import NodeAddress
from nym.wire.directory import MixNode, Records, encode_topology
from tests.harness import Application, free_port, running, serving_http, wait_until


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


class Seen:
    """Which packets the nodes of a network got."""

    def __init__(self) -> None:
        self.counts = Counter[NodeAddress]()

    def __call__(self, node: NodeAddress, packet: bytes, unwrapped: Forward | Final) -> None:
        self.counts[node] += 1


def status(application: Application) -> Any:
    with application.lines() as lines:
        return lines.ask(type="status")


def test_records_with_the_key_of_an_honest_node_do_not_keep_packets_from_it(
    stack: ExitStack,
) -> None:
    seen = Seen()
    network = stack.enter_context(running(Network(width=2, trace=seen)))
    honest = network.mixnodes[0]
    closed = MixNode(
        f"127.0.0.1:{free_port()}", honest.identity.public_key, honest.layer, PROTOCOL_VERSION
    )

    def records() -> bytes:
        told: Records = network._directory.records()
        return encode_topology(told._replace(mixnodes=(*told.mixnodes, closed)))

    alice = stack.enter_context(Application(stack.enter_context(serving_http(records))))
    wait_until(lambda: sum(seen.counts.values()) > 900, "time enough for the refusals to be seen")
    before = seen.counts.copy()
    wait_until(lambda: sum((seen.counts - before).values()) > 900)
    now = seen.counts - before
    assert now[honest.address] > 0.3 * now[network.mixnodes[1].address]
    assert alice.client._health.avoided(time.monotonic()).keys() <= {
        node
        for layer in alice.client._refresher.topology.layers  # type: ignore[union-attr]
        for node in layer
        if str(node.address) == closed.host
    }
