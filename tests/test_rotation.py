"""Whole networks whose nodes change their keys again and again, and the clients that follow them.

The tests say when keys change, and when the keys before end: after all packets for them have
arrived, however busy the machine is. With real times, that is what the overlap is for.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from math import inf
from pathlib import Path

import pytest
from gevent.event import Event

from nym._secrets import Secret
from nym.client.refresher import Refresher
from nym.errors import SphinxError
from nym.localnet.network import Network
from nym.net.directory import fetch_topology
from nym.net.transport import send_packet
from nym.nodes.node import Node
from nym.nodes.reception import Reception
from nym.sphinx import (
    Hop,
    Request,
    Unwrapped,
    create_packet,
    create_packets,
    public_key,
    unwrap_packets,
)
from nym.store.clock import since_boot
from nym.wire.addresses import NodeAddress, encode_address
from tests.harness import FAST, Application, running, wait_until, wait_until_handed_over
from tests.test_keys import all_bytes

# So few loops that none waits at the provider on a busy machine.
TRAFFIC = replace(FAST, message_sending_average_delay=0.1, loop_cover_traffic_average_delay=0.5)


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[ExitStack]:
    # A directory doesn't list another key at a node's place before its last record has ended.
    monkeypatch.setattr("nym.nodes.listed.LIFETIME", 1.0)
    monkeypatch.setattr("nym.nodes.node.PRESENCE_PERIOD", 0.1)
    monkeypatch.setattr("nym.nodes.node.SETTLING_PERIOD", 0.1)
    with ExitStack() as stack:
        yield stack


class Watched:
    """Notes what a network's nodes drop, each registration, and for which keys packets are."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.dropped: list[str] = []
        self.registrations: list[bytes] = []
        # By public key: packets that entered the network for it, less those that it opened.
        self.under_way: Counter[bytes] = Counter()
        self._made: dict[bytes, Sequence[Hop]] = {}
        register = Reception._register

        def made(requests: list[Request]) -> list[bytes]:
            packets = create_packets(requests)
            for request, packet in zip(requests, packets, strict=True):
                self._made[packet] = request.route
            return packets

        def handed_over(address: NodeAddress, packet: bytes) -> None:
            send_packet(address, packet)
            self.under_way.update(hop.public_key for hop in self._made.pop(packet))

        def unwrapped(
            packets: Sequence[bytes], private_key: Secret
        ) -> list[Unwrapped | SphinxError]:
            found = unwrap_packets(packets, private_key)
            opened = sum(isinstance(one, Unwrapped) for one in found)
            self.under_way[public_key(private_key)] -= opened
            return found

        def registered(reception: Reception, address: bytes, ip: str, *, is_sealed: bool) -> None:
            self.registrations.append(address)
            register(reception, address, ip, is_sealed=is_sealed)

        def said(node: Node, what: str) -> None:
            self.dropped.append(what)

        for module in ("sender", "stock"):
            monkeypatch.setattr(f"nym.client.{module}.create_packets", made)
        monkeypatch.setattr("nym.client.sender.send_packet", handed_over)
        monkeypatch.setattr("nym.nodes.keyring.unwrap_packets", unwrapped)
        monkeypatch.setattr(Reception, "_register", registered)
        monkeypatch.setattr(Node, "_say", said)

    def wait_for_packets(self, keys: Iterable[bytes], clients: Iterable[Application]) -> None:
        """Wait until all packets for these keys have arrived, if nobody makes more of them."""
        for client in clients:
            wait_until_handed_over(client.client._sender)
        wait_until(lambda: not any(self.under_way[key] > 0 for key in keys), "packets for old keys")


class Changing:
    """A network whose nodes take new keys when the test says so."""

    def __init__(
        self, stack: ExitStack, watched: Watched, folder: Path | None = None, width: int = 1
    ) -> None:
        self.network = Network(folder=folder, width=width)
        self._watched = watched
        stack.enter_context(running(self.network))
        self.url = self.network.url

    @property
    def nodes(self) -> list[Node]:
        return [*self.network.mixnodes, *self.network.providers]

    @property
    def keys(self) -> set[bytes]:
        """The keys that the nodes announce."""
        return {node.keys.current.public_key for node in self.nodes}

    def change(self) -> None:
        """Let all nodes take new keys, and still accept those before."""
        before = self.keys
        for node in self.nodes:
            node.keys.set_times(0.0, inf)
        wait_until(lambda: not before & self.keys, "new keys")

    def end_those_before(self, *clients: Application) -> None:
        """Let the keys before end, once these clients use the new ones and have none under way.

        The directory lists the new ones by then.
        """
        wait_until(lambda: self.listed() == self.keys, "the new keys in the directory")
        for client in clients:
            wait_until(partial(self.is_known_to, client), "the new keys")
        self._watched.wait_for_packets(self._watched.under_way.keys() - self.keys, clients)
        for node in self.nodes:
            node.keys.set_times(inf, 0.0)
        wait_until(lambda: all(len(node.keys._keys) == 1 for node in self.nodes), "their end")

    def listed(self) -> set[bytes]:
        """The keys that the directory lists."""
        records = fetch_topology(self.url).records
        mixnodes = {node.public_key for node in records.mixnodes}
        return mixnodes | {node.public_key for node in records.providers}

    def is_known_to(self, client: Application) -> bool:
        topology = client.client._refresher.topology
        return topology is not None and topology.public_keys() == self.keys


def test_clients_follow_all_nodes_through_many_keys_and_nothing_is_lost(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    watched = Watched(monkeypatch)
    changing = Changing(stack, watched, width=2)
    clients = [stack.enter_context(Application(changing.url, traffic=TRAFFIC)) for _ in range(3)]

    def converse(text: bytes) -> None:
        for i, client in enumerate(clients):
            client.send(clients[i - 1].address, text)
        assert [client.receive(1) for client in clients] == [[text]] * len(clients)

    used = changing.keys
    for number in range(4):
        converse(b"before %d" % number)
        changing.change()
        assert not used & changing.keys
        used |= changing.keys
        converse(b"while %d" % number)
        changing.end_those_before(*clients)
    converse(b"at last")
    assert watched.dropped == [], "packets were dropped"
    assert len(watched.registrations) == len(clients), "somebody had to register again"
    said = [record.message for record in caplog.records if record.name.startswith("nym.nodes")]
    assert said == [], "a node complains that the directory lists its old key for a while"


def test_a_client_that_was_away_for_longer_than_all_keys_lived_goes_on(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    watched = Watched(monkeypatch)
    changing = Changing(stack, watched, tmp_path / "net")
    bob = stack.enter_context(Application(changing.url, traffic=TRAFFIC))
    (folder := tmp_path / "alice").mkdir()
    with Application(changing.url, traffic=TRAFFIC, folder=folder) as alice:
        identity = alice.identity
        bob.send(alice.address, b"before")
        assert alice.receive(1) == [b"before"]
    bob.send(identity.public_key, b"meanwhile")
    bob.wait_until_sent()
    changing.change()
    changing.end_those_before(bob)
    with Application(changing.url, traffic=TRAFFIC, folder=folder, identity=identity) as alice:
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
    changing = Changing(stack, watched)
    alice = stack.enter_context(Application(changing.url, traffic=TRAFFIC))
    alice.send(alice.address, b"before")
    assert alice.receive(1) == [b"before"]
    # Its timers and its line stand still, while the machine's clock goes on. Then it sends at once,
    # and the directory answers later.
    asleep, awake, refresh = Event(), Event(), Refresher._refresh

    def refreshed(refresher: Refresher) -> None:
        asleep.set()
        awake.wait()
        refresh(refresher)

    monkeypatch.setattr(Refresher, "_refresh", refreshed)
    asleep.wait()
    later = since_boot() + 2 * 86_400.0
    monkeypatch.setattr("nym.client.refresher.since_boot", lambda: later)
    watched.wait_for_packets(changing.keys, [alice])
    changing.change()
    changing.end_those_before()
    for i in range(5):
        alice.send(alice.address, b"%d" % i)
    cover = alice.client._loops.sent
    awake.set()
    assert sorted(alice.receive(5)) == [b"%d" % i for i in range(5)]
    wait_until(lambda: alice.client._loops.sent > cover)
    assert watched.dropped == [], "packets for keys that are gone were sent"
    assert len(watched.registrations) == 1


def test_a_packet_that_was_recorded_is_refused_when_its_key_has_ended(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    watched = Watched(monkeypatch)
    changing = Changing(stack, watched, tmp_path)
    hops = [Hop(encode_address(n.address), n.keys.current.public_key, 0) for n in changing.nodes]
    recorded = create_packet(b"recorded", hops, bytes(32))
    pem = (tmp_path / "mixnode-1-1" / "keys" / "1" / "private.pem").read_bytes()
    changing.change()
    changing.end_those_before()
    send_packet(changing.nodes[0].address, recorded)
    wait_until(lambda: watched.dropped)
    assert "the MAC is wrong" in watched.dropped[0]
    wait_until(lambda: pem.splitlines()[1] not in all_bytes(tmp_path), "its end on the disk")
