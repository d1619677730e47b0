"""Directories to which anybody can post: strangers list nodes there, and clients leave them out.

Each test runs clients on a local network, and adds forged records to its directory's answers.
"""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import requests

from nym import PROTOCOL_VERSION
from nym.errors import RemoteFormatError
from nym.identity import generate_identity
from nym.localnet.network import Network
from nym.nodes.listed import LIFETIME
from nym.nodes.presence import Presences
from nym.sphinx import Final, Forward, process_packet
from nym.wire.addresses import NodeAddress
from nym.wire.clients import EMPTY, AddressList
from nym.wire.directory import MixNode, Provider, Records, encode_presence, encode_topology
from tests.harness import (
    PATIENCE,
    Application,
    free_port,
    run_in_own_network,
    running,
    serving,
    serving_http,
    wait_until,
)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def new_key() -> bytes:
    return generate_identity().public_key


class Posted:
    """A local network behind a directory that lists forged records, too.

    `mixnodes` and `providers` are the forged ones; `packets` counts what each honest node got.
    """

    def __init__(self, stack: ExitStack, **shape: Any) -> None:
        self.stack = stack
        self.packets = Counter[NodeAddress]()
        self.network = stack.enter_context(running(Network(trace=self._trace, **shape)))
        self.mixnodes: list[MixNode] = []
        self.providers: list[Provider] = []
        self.layers = {1, 2, 3, 4}  # the honest mixnodes in other layers are not listed
        self.url = stack.enter_context(serving_http(self._listing))

    def _trace(self, node: NodeAddress, packet: bytes, unwrapped: Forward | Final) -> None:
        self.packets[node] += 1

    def _listing(self) -> bytes:
        honest = self.network._directory.records()
        mixnodes = [node for node in honest.mixnodes if node.layer in self.layers]
        # Forged records come first, where they would win if the order of records mattered.
        return encode_topology(
            Records((*self.mixnodes, *mixnodes), (*self.providers, *honest.providers))
        )

    def client(self) -> Application:
        """Start a client, and wait until it is registered; it knows what is listed at present."""
        client = self.stack.enter_context(Application(self.url))
        wait_until(lambda: client.status()["registered"])
        return client

    def trap(self) -> tuple[str, list[bytes]]:
        """A stranger's server: its place, and a list that gets whatever it is sent."""
        got: list[bytes] = []
        at = self.stack.enter_context(serving(lambda peer: got.append(peer.recv(4096))))
        return str(at), got

    def carry(self, count: int = 200) -> None:
        """Wait until the provider has got this many more packets."""
        provider = self.network.providers[0].address
        wanted = self.packets[provider] + count
        wait_until(lambda: self.packets[provider] >= wanted)


def mixnode(host: object, layer: int, key: bytes | None = None) -> MixNode:
    return MixNode(str(host), key or new_key(), layer, PROTOCOL_VERSION)


def reasons(application: Application) -> dict[str, int]:
    network = application.status()["network"]
    return {left["why"]: left["nodes"] for left in network["left_out"]}


def test_a_client_never_sends_packets_to_its_own_socket(stack: ExitStack) -> None:
    net = Posted(stack)
    alice = net.client()
    port = alice.connection.getpeername()[1]
    hosts = [f"127.0.0.1:{port}", f"[::1]:{port}", f"127.1.2.3:{port}", f"localhost:{port}"]
    net.mixnodes = [mixnode(host, layer) for host in hosts for layer in (1, 2, 3)]
    net.mixnodes.append(mixnode(f"0.0.0.0:{port}", 1))
    wait_until(lambda: sum(reasons(alice).values()) >= len(net.mixnodes))
    assert alice.status()["network"]["layers"] == [1, 1, 1]
    alice.send(alice.address, b"stays until it is fetched")
    net.carry()
    assert alice.receive(1) == [b"stays until it is fetched"]


def test_one_more_layer_does_not_end_all_routes(stack: ExitStack) -> None:
    net = Posted(stack)
    alice = net.client()
    host, got = net.trap()
    net.mixnodes = [mixnode(host, 4)]
    wait_until(lambda: reasons(alice))
    net.carry()
    assert not got
    assert alice.status()["network"]["layers"] == [1, 1, 1]


def test_a_directory_that_lists_one_layer_does_not_shorten_routes(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = Posted(stack)
    alice = net.client()
    net.carry()
    net.layers = {1}
    wait_until(lambda: alice.status()["reason"])
    before = net.packets.copy()
    net.carry()
    through = net.packets - before
    for node in net.network.mixnodes:
        assert through[node.address] > 100, f"packets no longer pass {node.address}"
    monkeypatch.setattr("nym.view.STALE", 0.0)
    wait_until(lambda: alice.status()["state"] == "waiting_for_network")
    said = alice.status()
    assert "every layer from 1 to 3" in said["reason"]
    assert "set client.layers" in said["reason"]
    assert said["network"]["layers"] == [1, 0, 0]
    assert said["network"]["digest"] is None
    with alice.lines() as lines:
        assert lines.ask(type="network")["code"] == "no_network"
    net.layers = {1, 2, 3}
    wait_until(lambda: alice.status()["state"] == "running")


def test_one_machine_is_one_node_whatever_is_posted_of_it(stack: ExitStack) -> None:
    net = Posted(stack, width=2)
    alice = net.client()
    host, got = net.trap()
    key = new_key()
    honest = net.network.mixnodes[0]
    net.mixnodes = [
        *(mixnode(host, layer, key) for layer in (1, 2, 3)),  # one key in all layers
        *(mixnode(host, 1) for _ in range(50)),  # many keys at one place
        *[mixnode(f"127.0.0.1:{free_port()}", 2, honest.keys.current.public_key)] * 20,
        mixnode(honest.address, 1),
    ]
    wait_until(lambda: sum(reasons(alice).values()) >= len(net.mixnodes))
    before = net.packets.copy()
    net.carry(400)
    assert not got
    through = net.packets - before
    assert through[honest.address] > 0.5 * through[net.network.mixnodes[1].address]
    # A record that is listed a hundred times is one node, and doesn't draw more traffic.
    net.mixnodes = [mixnode(host, 1, key)] * 100
    wait_until(lambda: reasons(alice).get("listed more than once") == 99)
    assert alice.status()["network"]["layers"] == [3, 2, 2]


def test_a_list_of_clients_takes_nobody_away(stack: ExitStack) -> None:
    net = Posted(stack)
    alice, bob = net.client(), net.client()
    wait_until(lambda: bob.address in alice.clients())
    (host, got), trap = net.trap(), generate_identity()
    place = f"127.0.0.1:{free_port()}"
    net.providers = [
        Provider(host, place, trap.public_key, AddressList(bob.address), PROTOCOL_VERSION)
    ]
    wait_until(lambda: alice.status()["network"]["providers"] == 2)
    for number in range(10):
        alice.send(bob.address, b"%d" % number)
    assert sorted(bob.receive(10)) == [b"%d" % number for number in range(10)]
    wait_until(lambda: got, "cover, which goes to all providers")
    unwrapped = [process_packet(packet, trap.private_key) for packet in got]
    assert bob.address not in {final.destination for final in unwrapped if isinstance(final, Final)}


def test_a_second_provider_does_not_hold_up_who_was_written_to_at_the_first(
    stack: ExitStack,
) -> None:
    net = Posted(stack)
    alice = net.client()
    provider = net.network.providers[0]
    unlisted = new_key()
    provider._inboxes.open(unlisted)
    monitored = provider._inboxes.clients
    provider._inboxes.clients = lambda: [c for c in monitored() if c != unlisted]  # type: ignore[method-assign]
    alice.send(unlisted, b"before")
    wait_until(lambda: not alice.status()["outbox"])
    net.providers = [
        Provider(
            f"127.0.0.1:{free_port()}",
            f"127.0.0.1:{free_port()}",
            new_key(),
            EMPTY,
            PROTOCOL_VERSION,
        )
    ]
    wait_until(lambda: alice.status()["network"]["providers"] == 2)
    alice.send(unlisted, b"after")
    wait_until(lambda: not alice.status()["outbox"])


@pytest.mark.skipif(os.geteuid() != 0, reason="makes namespaces")
def test_names_are_looked_up_only_where_somebody_vouches_for_them() -> None:
    measured, _ = run_in_own_network("tests.private_directory")
    assert measured["asked"] == 0
    assert measured["asked_if_set"] > 0
    assert measured["layers"] == [1, 1, 1]
    assert any("client.resolve_names" in why for why in measured["left_out"])
    assert any("loopback" in why for why in measured["left_out"])


def test_the_local_directory_answers_what_contradicts_a_node_with_400(stack: ExitStack) -> None:
    network = stack.enter_context(running(Network()))
    honest = network._directory.records()
    first = honest.mixnodes[0]
    for forged in (
        first._replace(host=f"127.0.0.1:{free_port()}"),
        first._replace(layer=4),
        first._replace(public_key=new_key()),
        honest.providers[0]._replace(public_key=new_key(), version="0.4.0"),
    ):
        kind = "mixnodes" if isinstance(forged, MixNode) else "mixproviders"
        answer = requests.post(
            f"{network.url}/api/presence/{kind}", data=encode_presence(forged), timeout=PATIENCE
        )
        assert answer.status_code == 400
        assert "another node" in answer.json()["error"]
    # Honest nodes renew their presence regularly, which has to work after the forgeries, too.
    network.mixnodes[0].announce()
    assert network.mixnodes[0].trouble is None
    now = network._directory.records()
    assert {node.host for node in now.mixnodes} == {node.host for node in honest.mixnodes}
    assert now.providers[0].public_key == honest.providers[0].public_key


def test_a_directory_refuses_what_contradicts_a_node_that_is_there() -> None:
    present = Presences()
    honest = mixnode("192.0.2.1:1789", 1)
    place = mixnode("192.0.2.1:1789", 1)
    layer = honest._replace(layer=2)
    elsewhere = honest._replace(host="192.0.2.9:1")
    provider = Provider("192.0.2.2:1", "192.0.2.1:1789", new_key(), EMPTY, PROTOCOL_VERSION)
    present.note(honest, 0.0, 0, LIFETIME)
    for other in (place, layer, elsewhere, provider):
        with pytest.raises(RemoteFormatError, match="another node"):
            present.note(other, 5.0, 0, LIFETIME)
    present.note(honest, 9.0, 1, LIFETIME)
    assert list(present.present(9.0, LIFETIME)) == [honest._replace(last_seen=1)]
    # While the honest node is away, another one is listed. When it returns, it gets its place back.
    present.note(elsewhere, 30.0, 2, LIFETIME)
    assert list(present.present(30.0, LIFETIME)) == [elsewhere._replace(last_seen=2)]
    present.note(honest, 31.0, 3, LIFETIME)
    assert list(present.present(31.0, LIFETIME)) == [honest._replace(last_seen=3)]
    with pytest.raises(RemoteFormatError, match="another node"):
        present.note(elsewhere, 32.0, 4, LIFETIME)
