"""Clients in this process that write to each other through whole networks, some of which break."""

import logging
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from nym.client.pace import pull_period
from nym.config import TrafficSettings
from nym.identity import generate_identity
from nym.localnet.embedded import EmbeddedNetwork
from nym.localnet.network import Network
from nym.nodes.inboxes.memory import MemoryInboxes
from nym.nodes.keys import Keyring, load_token_key
from nym.nodes.mixnode import Mixnode
from nym.nodes.node import Node
from nym.nodes.provider import Provider as ProviderNode
from nym.wire.addresses import NodeAddress
from nym.wire.clients import EMPTY
from nym.wire.directory import (
    MixNode,
    Provider,
    Records,
    encode_topology,
)
from nym.wire.sizes import LONGEST_MESSAGE
from tests.directory_2019 import encode_topology_2019
from tests.harness import Application, free_port, running, serving, serving_http, wait_until

AWKWARD = [
    b"x",
    b"ends in 01\x01",
    b"and zeros\x01\x00\x00",
    bytes(100),
    b"\x01" * LONGEST_MESSAGE,
    bytes(range(256)) * 3,
]


def converse(alice: Application, bob: Application, messages: list[bytes]) -> None:
    for message in messages:
        alice.send(bob.address, message)
        bob.send(alice.address, message[::-1])
    assert sorted(bob.receive(len(messages))) == sorted(messages)
    assert sorted(alice.receive(len(messages))) == sorted(m[::-1] for m in messages)


@pytest.mark.parametrize(("layers", "width"), [(1, 1), (3, 1), (3, 3), (4, 2)])
def test_messages_arrive_byte_for_byte(layers: int, width: int) -> None:
    with (
        running(Network(layers=layers, width=width)) as network,
        Application(network.url) as alice,
        Application(network.url) as bob,
    ):
        registered = {alice.address, bob.address}
        wait_until(lambda: set(network.providers[0]._inboxes.clients()) == registered)
        converse(alice, bob, AWKWARD)
        wait_until(lambda: set(alice.clients()) == registered)


def test_recipients_at_another_provider_are_found_there() -> None:
    with running(Network(providers=3)) as network, ExitStack() as stack:
        clients = [stack.enter_context(Application(network.url)) for _ in range(6)]
        used = {client.client._session for client in clients}
        wait_until(lambda: all(session.registered.is_set() for session in used))
        assert len({session.provider for session in used}) > 1
        # The directory may not list the recipients yet. Such messages have to wait until it does.
        for i, client in enumerate(clients):
            client.send(clients[i - 1].address, b"%d" % i)
        for i, client in enumerate(clients):
            assert client.receive(1) == [b"%d" % ((i + 1) % len(clients))]


class ForeignNetwork:
    """A network of local nodes, with a directory that lists whatever a test puts into `records`."""

    def __init__(self, stack: ExitStack, *, hosts: list[str], provider_port: int = 0) -> None:
        self.encode: Callable[[Records], bytes] = encode_topology
        self.records = Records()
        ignore = stack.enter_context(serving_http(lambda: b"{}"))
        nodes: list[Node] = [
            Mixnode(Keyring(None), NodeAddress(host, 0), layer)
            for layer, host in enumerate(hosts, 1)
        ]
        self.inboxes = MemoryInboxes()
        clients = NodeAddress(hosts[0], provider_port)
        self.provider = ProviderNode(
            Keyring(None), load_token_key(None), NodeAddress(hosts[0], 0), clients, self.inboxes
        )
        for node in [*nodes, self.provider]:
            node.listen()
            node.start(ignore)
            stack.callback(node.stop)
        self.mixnodes = tuple(
            MixNode(str(node.address), node.keys.current.public_key, layer, "0.4.0")
            for layer, node in enumerate(nodes, 1)
        )
        self.records = Records(
            self.mixnodes,
            (
                Provider(
                    str(self.provider.address),
                    str(self.provider.client_address),
                    self.provider.keys.current.public_key,
                    EMPTY,
                    "0.4.1",
                ),
            ),
        )
        self.url = stack.enter_context(serving_http(lambda: self.encode(self.records)))


def named(records: Records, name: str) -> Records:
    """The same records, with `name` in place of each host's IP address."""
    return records._replace(
        mixnodes=tuple(
            node._replace(host=f"{name}:{node.host.rpartition(':')[2]}")
            for node in records.mixnodes
        ),
        providers=tuple(
            node._replace(
                mixnet_listener=f"{name}:{node.mixnet_listener.rpartition(':')[2]}",
                client_listener=f"{name}:{node.client_listener.rpartition(':')[2]}",
            )
            for node in records.providers
        ),
    )


@pytest.mark.parametrize(
    ("hosts", "by_name"),
    [
        (["127.0.0.1"] * 3, False),
        (["::1"] * 3, False),
        (["127.0.0.1"] * 3, True),
        (["::1"] * 3, True),
        (["127.0.0.1", "::1", "127.0.0.1"], True),
    ],
)
def test_hosts_by_name_and_by_ipv6(hosts: list[str], by_name: bool) -> None:
    with ExitStack() as stack:
        network = ForeignNetwork(stack, hosts=hosts)
        if by_name:  # localhost has an IPv4 and an IPv6 address, and a node listens at one of them
            network.records = named(network.records, "localhost")
        alice, bob = (stack.enter_context(Application(network.url)) for _ in range(2))
        wait_until(lambda: len(network.inboxes.clients()) == 2)
        converse(alice, bob, AWKWARD)


def test_dead_first_hops_and_other_versions_cost_no_message(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with ExitStack() as stack:
        network = ForeignNetwork(stack, hosts=["127.0.0.1"] * 3)
        dead = [MixNode(f"127.0.0.1:{free_port()}", generate_identity().public_key, 1, "0.4.0")]
        seen: list[bytes] = []
        old = stack.enter_context(serving(lambda connection: seen.append(connection.recv(4096))))
        old_nodes = [
            MixNode(str(old), generate_identity().public_key, layer, "0.3.3")
            for layer in (1, 2, 3, 4)
        ]
        network.records = network.records._replace(mixnodes=(*network.mixnodes, *dead, *old_nodes))
        alice, bob = (stack.enter_context(Application(network.url)) for _ in range(2))
        wait_until(lambda: len(network.inboxes.clients()) == 2)
        converse(alice, bob, [b"%03d" % i for i in range(40)])
        assert not seen


def test_a_directory_in_the_shape_of_2019() -> None:
    # That shape has no client listener: clients connect to port 9000 of the provider. Tests that
    # run at the same time would compete for it, so this one has an address of its own.
    loopback = "127.20.19.10"
    with ExitStack() as stack:
        network = ForeignNetwork(stack, hosts=[loopback] * 3, provider_port=9000)
        network.encode = encode_topology_2019
        alice, bob = (stack.enter_context(Application(network.url)) for _ in range(2))
        wait_until(lambda: len(network.inboxes.clients()) == 2)
        converse(alice, bob, AWKWARD)


def test_a_directory_that_is_away_before_and_for_a_while(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("nym.client.refresher.LONGEST_RETRY", 0.3)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with Application(url) as alice, Application(url) as bob:
        wait_until(lambda: caplog.text.count("can't be reached") == 2)
        assert alice.ask(b"\x03") == b"Invalid network topology"
        alice.send(alice.address, b"accepted before there was a network")
        with running(Network(port=port)) as network:
            assert alice.receive(1) == [b"accepted before there was a network"]
            wait_until(lambda: len(network.providers[0]._inboxes.clients()) == 2)
            converse(alice, bob, [b"a", b"b"])
        before = len(caplog.records)
        wait_until(lambda: len(caplog.records) > before)
        with running(Network(port=port)) as network:
            wait_until(lambda: len(network.providers[0]._inboxes.clients()) == 2)
            converse(alice, bob, [b"c", b"d"])
    assert caplog.text.count("works again") >= 2
    assert "Traceback" not in caplog.text


def test_a_directory_alone_that_is_away_is_not_missed() -> None:
    with ExitStack() as stack:
        network = ForeignNetwork(stack, hosts=["127.0.0.1"] * 3)
        alice, bob = (stack.enter_context(Application(network.url)) for _ in range(2))
        wait_until(lambda: len(network.inboxes.clients()) == 2)
        network.encode = lambda records: b"<html>502</html>"
        wait_until(lambda: alice.client._refresher.outage.reason)
        converse(alice, bob, AWKWARD)


def test_a_provider_restarts_with_a_new_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nym.client.poller.LONGEST_RETRY", 0.3)
    with ExitStack() as stack:
        network = ForeignNetwork(stack, hosts=["127.0.0.1"] * 3)
        alice, bob = (stack.enter_context(Application(network.url)) for _ in range(2))
        wait_until(lambda: len(network.inboxes.clients()) == 2)
        converse(alice, bob, [b"before"])
        network.provider.keys = Keyring(None)
        network.provider._reception.tokens = load_token_key(None)
        new = network.provider.keys.current
        network.inboxes._inboxes.clear()
        network.records = network.records._replace(
            providers=(network.records.providers[0]._replace(public_key=new.public_key),)
        )
        for client in (alice, bob):
            wait_until(
                lambda c=client: c.client._session.provider.public_key == new.public_key  # type: ignore[misc]
            )
        wait_until(lambda: len(network.inboxes.clients()) == 2)
        converse(alice, bob, [b"after"])


def test_clients_without_a_directory_share_a_network_and_hand_it_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nym.client.refresher.LONGEST_RETRY", 0.3)
    port = free_port()
    url, folder = f"http://127.0.0.1:{port}", tmp_path / "localnet"
    first, second = EmbeddedNetwork(port, folder), EmbeddedNetwork(port, folder)
    bob_key = generate_identity()
    try:
        with Application(url, revive=first.revive) as alice:
            wait_until(lambda: first._network)
            with Application(url, revive=second.revive, identity=bob_key) as bob:
                converse(alice, bob, [b"together"])
                assert second._network is None
                assert caplog.text.count("a local network runs inside this client") == 1
                first.stop()
                wait_until(lambda: second._network)
                converse(alice, bob, [b"handed on"])
    finally:
        second.stop()


def test_stopping_says_what_waits(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with Application(f"http://127.0.0.1:{free_port()}") as alice:
        alice.send(alice.address, b"later")
    assert "messages waiting to be sent at the next start: 1" in caplog.text


def test_one_more_application_does_not_disturb(tmp_path: Path) -> None:
    with running(Network()) as network, Application(network.url) as alice:
        for _ in range(20):
            port = alice.connection.getpeername()[1]
            socket.create_connection(("127.0.0.1", port)).close()
        alice.send(alice.address, b"to myself")
        assert alice.receive(1) == [b"to myself"]


@pytest.mark.parametrize(
    ("traffic", "period"),
    [
        (TrafficSettings(), 0.4),
        (TrafficSettings(fetch_message_delay=1.0), 1.0),
        (TrafficSettings(loop_cover_traffic_average_delay=0.02), 0.08),
    ],
)
def test_pulls_bring_at_least_the_own_loops(
    traffic: TrafficSettings, period: float, caplog: pytest.LogCaptureFixture
) -> None:
    assert pull_period(traffic) == pytest.approx(period)
    assert ("pulls every" in caplog.text) == (period != traffic.fetch_message_delay)
