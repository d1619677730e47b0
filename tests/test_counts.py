"""What nodes count: each packet and each request once, and nothing about who it came from."""

import json
import re
import socket
import time
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
import requests

from nym import __version__
from nym.errors import (
    DescriptorsError,
    InboxFullError,
    OverloadError,
    RemoteFormatError,
    StoreError,
)
from nym.localnet.network import Network
from nym.net.transport import exchange, send_packet
from nym.nodes import counts as counts_module
from nym.nodes import door as door_module
from nym.nodes import visits
from nym.nodes.counts import REASONS, Counts, reason_of
from nym.nodes.node import Node
from nym.routes import NANOSECONDS
from nym.sphinx import Hop, create_packet
from nym.wire.addresses import NodeAddress, encode_address
from nym.wire.metrics import encode_metrics
from nym.wire.provider import ACKNOWLEDGED, Pull, Register
from nym.wire.sizes import PACKET_LENGTH
from tests.harness import PATIENCE, free_port, running, wait_until

LONGEST = 1 << 20  # bytes that an answer may have in these tests
CLIENT = bytes(range(1, 33))


@pytest.fixture
def network() -> Iterator[Network]:
    with running(Network()) as network:
        yield network


def packet(*nodes: Node, delay: float = 0.0, behind: NodeAddress | None = None) -> bytes:
    hops = [
        Hop(encode_address(node.address), node.keys.current.public_key, int(delay * NANOSECONDS))
        for node in nodes
    ]
    if behind:
        hops.append(Hop(encode_address(behind), nodes[0].keys.current.public_key, 0))
    return create_packet(b"hello", hops, CLIENT)


def answer_to(node: Node, data: bytes) -> bytes:
    with socket.create_connection(node.address, timeout=PATIENCE) as connection:
        connection.sendall(data)
        return connection.recv(5)


def report(node: Any) -> Any:
    return json.loads(json.dumps(node.counts.report()))  # it can be sent to a command


def dropped(node: Node) -> dict[str, int]:
    return {reason: count for reason, count in report(node)["packets_dropped"].items() if count}


def test_a_packet_is_counted_at_each_node(network: Network) -> None:
    mixnode, provider = network.mixnodes[0], network.providers[0]
    exchange(provider.client_address, Register(CLIENT).encode(), LONGEST)
    assert answer_to(mixnode, packet(mixnode, provider, delay=0.02)) == b"foomp"
    wait_until(lambda: report(provider)["packets_delivered"] == 1)
    first, second = report(mixnode), report(provider)
    assert (first["packets_received"], second["packets_received"]) == (1, 1)
    assert (first["packets_forwarded"], second["messages"]) == (1, 1)
    assert (
        first["delay_seconds"]["buckets"] | {"0.01": 0, "0.025": 1}
        == (first["delay_seconds"]["buckets"])
    )
    assert first["delay_seconds"]["sum"] == pytest.approx(0.02)
    assert first["lateness_seconds"]["count"] == 1
    assert (first["info"]["role"], second["info"]["role"]) == ("mixnode", "provider")
    assert dropped(mixnode) == dropped(provider) == {}


def test_what_is_dropped_is_counted_by_its_reason(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixnode, provider = network.mixnodes[0], network.providers[0]
    nowhere = NodeAddress("127.0.0.1", free_port())
    assert answer_to(mixnode, bytes(PACKET_LENGTH)) == b""
    assert answer_to(mixnode, b"\x09" * PACKET_LENGTH) == b""
    assert answer_to(mixnode, packet(mixnode)) == b""
    assert answer_to(mixnode, packet(mixnode, provider, delay=601)) == b""
    assert answer_to(mixnode, packet(mixnode, behind=nowhere)) == b""
    assert answer_to(provider, packet(provider, mixnode)) == b""
    assert answer_to(provider, packet(provider)) == ACKNOWLEDGED
    again = packet(mixnode, provider)
    for _ in range(2):
        answer_to(mixnode, again)
    wait_until(lambda: report(provider)["packets_for_nobody"] == 2)
    monkeypatch.setattr(mixnode._delays, "_most", 0)
    assert answer_to(mixnode, packet(mixnode, provider)) == b""
    assert dropped(mixnode) == {
        "malformed": 1,
        "wrong_mac": 1,
        "not_for_this_node": 1,
        "delay_too_long": 1,
        "unreachable": 1,
        "replay": 1,
        "overload": 1,
    }
    assert dropped(provider) == {"not_for_this_node": 1}


def test_every_error_has_a_reason() -> None:
    assert [
        reason_of(error)
        for error in (
            InboxFullError(""),
            DescriptorsError(""),
            StoreError(""),
            RemoteFormatError(""),
            OverloadError(""),
            ZeroDivisionError(),
        )
    ] == ["inbox_full", "descriptors", "storage", "malformed", "overload", "error"]
    assert len(set(REASONS)) == len(REASONS)


def test_what_is_held_is_shown_and_counted_at_a_stop(network: Network) -> None:
    mixnode, provider = network.mixnodes[0], network.providers[0]
    for _ in range(3):
        send_packet(mixnode.address, packet(mixnode, provider, delay=500))
    wait_until(lambda: report(mixnode)["packets_held"] == 3)
    assert report(mixnode)["packets_held_bytes"] == 3 * PACKET_LENGTH
    mixnode.stop()
    assert dropped(mixnode) == {"stopped": 3}


def test_connections_are_counted(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visits, "PACKET_TIME", 0.1)
    monkeypatch.setattr(visits, "IDLE_TIME", 0.1)
    node = network.mixnodes[0]
    assert answer_to(node, b"half a packet") == b""
    assert answer_to(node, b"") == b""
    monkeypatch.setattr(visits, "IDLE_TIME", PATIENCE)
    monkeypatch.setattr(door_module, "MOST_CONNECTIONS", 1)
    with socket.create_connection(node.address, timeout=PATIENCE) as first:
        wait_until(lambda: report(node)["connections"] == 1)
        with socket.create_connection(node.address, timeout=PATIENCE):
            assert first.recv(1) == b""
            assert report(node)["connections"] == 1
    assert report(node)["connections_closed"] == {"silent": 1, "slow": 1, "crowded": 1}
    assert report(node)["connections_opened"] == 4
    wait_until(lambda: report(node)["connections"] == 0)


def test_a_provider_counts_what_clients_ask_for(network: Network) -> None:
    provider = network.providers[0]
    at = provider.client_address
    token = exchange(at, Register(CLIENT).encode(), LONGEST)
    answer_to(provider, packet(provider))
    exchange(at, Pull(CLIENT, token).encode(), LONGEST)
    exchange(at, Pull(CLIENT, bytes(32)).encode(), LONGEST)
    exchange(at, b"nonsense", LONGEST)
    shown = report(provider)
    assert shown["requests"] == {"register": 1, "pull": 1, "refused": 2}
    assert (shown["inboxes"], shown["messages"], shown["messages_handed_over"]) == (1, 0, 1)
    with socket.create_connection(at, timeout=PATIENCE):
        wait_until(lambda: report(provider)["client_connections"] == 1)


def test_a_directory_counts_nodes_posts_and_requests(network: Network) -> None:
    for path in ("presence/topology", "healthcheck", "healthcheck", "no/such/path"):
        requests.get(f"{network.url}/api/{path}", timeout=PATIENCE)
    requests.post(f"{network.url}/api/presence/mixnodes", data=b"{", timeout=PATIENCE)
    shown = report(network._directory)
    assert shown["info"]["role"] == "directory"
    assert shown["nodes"] == {"mixnode": 3, "provider": 1, "coconode": 0}
    assert shown["requests"] == {
        "/api/presence/topology": 1,
        "/api/metrics/mixes": 0,
        "/api/healthcheck": 3,  # the provider asks once what the directory takes
        "/swagger/doc.json": 0,
        "/api/presence/clients": 0,
        "/ws": 0,
        "/": 0,
        "other": 1,
    }
    # The one above, and the provider's first, which it signed before it knew this directory's run.
    assert shown["posts"]["refused"] == 2
    assert shown["posts"]["accepted"] >= 4


def test_a_late_event_loop_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counts_module, "LAG_PERIOD", 0.05)
    counts = Counts("test")
    noting = gevent.spawn(counts.keep_noting_lag)

    def lags() -> Any:
        return counts.report()["loop_lag_seconds"]

    wait_until(lambda: lags()["count"] > 0)
    before = lags()["sum"]
    until = time.monotonic() + 0.3
    while time.monotonic() < until:
        pass  # nothing else has a turn meanwhile
    wait_until(lambda: lags()["sum"] > before + 0.1)
    noting.kill()


def test_no_figure_tells_who_did_anything(network: Network) -> None:
    mixnode, provider = network.mixnodes[0], network.providers[0]
    exchange(provider.client_address, Register(CLIENT).encode(), LONGEST)
    answer_to(mixnode, packet(mixnode, provider))
    for node in (mixnode, provider, network._directory):
        families = node.counts.families()
        assert len(node.counts.report()) == len(families)  # no two have the same name there
        text = encode_metrics(families).decode()
        assert text.count("nym_") > 20
        # No address of a client or a node, and no key: all labels are words of the program.
        labels = set(re.findall(r'="([^"]*)"', text)) - {"+Inf", __version__}
        assert not [label for label in labels if re.search(r"\d\.\d+\.\d|:\d|\w{30}", label)]
