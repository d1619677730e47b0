"""Whole networks whose nodes change their keys again and again, and the clients that follow them.

Each node has a lifetime of seconds here.
"""

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from gevent.event import Event

from nym.localnet.network import Network
from nym.net.directory import Listing, fetch_topology
from nym.net.transport import send_packet
from nym.nodes import directory as directory_module
from nym.nodes.node import Node
from nym.nodes.provider import Provider
from nym.sphinx import Hop, create_packet
from nym.store.clock import since_boot
from nym.wire.addresses import encode_address
from nym.wire.provider import Register
from tests.harness import Application, running, wait_until

LIFETIME, OVERLAP = 2.0, 2.0


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[ExitStack]:
    # A directory doesn't list another key at a node's place before its last record has ended. Here
    # that takes a part of the overlap, too.
    monkeypatch.setattr(directory_module, "LIFETIME", 0.5)
    monkeypatch.setattr("nym.nodes.node.PRESENCE_PERIOD", 0.1)
    monkeypatch.setattr("nym.nodes.node.SETTLING_PERIOD", 0.1)
    with ExitStack() as stack:
        yield stack


class Watched:
    """Notes what a network's nodes drop, and each registration at its providers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.dropped: list[str] = []
        self.registrations: list[bytes] = []
        answer = Provider._answer

        def answered(provider: Provider, data: bytes) -> bytes:
            if data[:2] == Register(bytes(32)).encode()[:2]:
                self.registrations.append(data[2:])
            return answer(provider, data)

        def said(node: Node, what: str) -> None:
            self.dropped.append(what)

        monkeypatch.setattr(Provider, "_answer", answered)
        monkeypatch.setattr(Node, "_say", said)


def nodes_of(network: Network) -> list[Node]:
    return [*network.mixnodes, *network.providers]


def keys_of(network: Network) -> list[bytes]:
    return [node.keys.current.public_key for node in nodes_of(network)]


def test_clients_follow_all_nodes_through_many_keys_and_nothing_is_lost(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    watched = Watched(monkeypatch)
    network = Network(width=2, key_lifetime=LIFETIME, key_overlap=OVERLAP)
    stack.enter_context(running(network))
    clients = [stack.enter_context(Application(network.url)) for _ in range(3)]
    used: list[set[bytes]] = [{key} for key in keys_of(network)]
    sent = 0
    while min(map(len, used)) < 5:
        for i, client in enumerate(clients):
            client.send(clients[i - 1].address, b"%d" % sent)
        sent += 1
        for client in clients:
            client.receive(1)
        for seen, key in zip(used, keys_of(network), strict=True):
            seen.add(key)
    assert watched.dropped == [], "packets were dropped"
    assert len(watched.registrations) == len(clients), "somebody had to register again"
    said = [record.message for record in caplog.records if record.name.startswith("nym.nodes")]
    assert said == [], "a node complains that the directory lists its old key for a while"


def is_another_by(network: Network, before: list[bytes]) -> bool:
    return not set(before) & {
        key.identity.public_key for node in nodes_of(network) for key in node.keys._keys
    }


def test_a_client_that_was_away_for_longer_than_all_keys_lived_goes_on(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    watched = Watched(monkeypatch)
    network = Network(folder=tmp_path / "net", key_lifetime=LIFETIME, key_overlap=OVERLAP)
    stack.enter_context(running(network))
    bob = stack.enter_context(Application(network.url))
    (folder := tmp_path / "alice").mkdir()
    with Application(network.url, folder=folder) as alice:
        identity = alice.identity
        bob.send(alice.address, b"before")
        assert alice.receive(1) == [b"before"]
    bob.send(identity.public_key, b"meanwhile")
    before = keys_of(network)
    wait_until(lambda: is_another_by(network, before), "other keys")
    with Application(network.url, folder=folder, identity=identity) as alice:
        bob.send(alice.address, b"after")
        assert sorted(alice.receive(2)) == [b"after", b"meanwhile"]
        alice.send(bob.address, b"back")
        assert bob.receive(1) == [b"back"]
    assert watched.dropped == []
    assert len(watched.registrations) == 2


def test_a_client_that_slept_for_longer_than_all_keys_lived_asks_before_it_sends(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(monkeypatch)
    network = Network(key_lifetime=LIFETIME, key_overlap=OVERLAP)
    stack.enter_context(running(network))
    alice = stack.enter_context(Application(network.url))
    alice.send(alice.address, b"before")
    assert alice.receive(1) == [b"before"]
    # Its timers and its line stand still, while the machine's clock goes on. Then it sends at once,
    # and the directory answers later.
    slept, awake = since_boot() + 2 * 86_400.0, Event()

    def fetched(url: str) -> Listing:
        awake.wait()
        return fetch_topology(url)

    monkeypatch.setattr("nym.client.refresher.fetch_topology", fetched)
    monkeypatch.setattr("nym.client.refresher.since_boot", lambda: slept)
    before = keys_of(network)
    wait_until(lambda: is_another_by(network, before), "other keys")
    for i in range(5):
        alice.send(alice.address, b"%d" % i)
    cover = alice.client._cover.sent
    awake.set()
    assert sorted(alice.receive(5)) == [b"%d" % i for i in range(5)]
    wait_until(lambda: alice.client._cover.sent > cover)
    assert watched.dropped == [], "packets for keys that are gone were sent"
    assert len(watched.registrations) == 1


def test_a_packet_that_was_recorded_is_refused_when_its_key_has_ended(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    watched = Watched(monkeypatch)
    network = Network(folder=tmp_path, key_lifetime=LIFETIME, key_overlap=OVERLAP)
    stack.enter_context(running(network))
    node = network.mixnodes[0]
    hops = [Hop(encode_address(n.address), n.keys.current.public_key, 0) for n in nodes_of(network)]
    recorded, before = create_packet(b"recorded", hops, bytes(32)), keys_of(network)
    text = (next((tmp_path / "mixnode-1-1" / "keys").glob("[0-9]*")) / "private.pem").read_bytes()
    wait_until(lambda: is_another_by(network, before), "other keys")
    send_packet(node.address, recorded)
    wait_until(lambda: watched.dropped)
    assert "the MAC is wrong" in watched.dropped[0]
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not [content for content in files if text.splitlines()[1] in content]
