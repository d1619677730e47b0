"""`network check` on networks that are well, and on networks in which something is wrong."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from nym.errors import RemoteFormatError
from nym.localnet.network import Network
from nym.network.check import NetworkCheck
from nym.network.check.problems import OLDEST_KEY
from nym.network.check.report import CheckReport
from nym.nodes.directory import Directory
from nym.nodes.keys import Keyring
from nym.nodes.mixnode import Mixnode
from nym.signing import generate_signer
from nym.sphinx import Final, Forward
from nym.store.clock import since_boot
from nym.wire.addresses import NodeAddress
from nym.wire.directory import encode_topology
from nym.wire.line import Answer, Outcome
from nym.wire.versions import MINUTE
from tests.harness import ANYWHERE, free_port, running, serving, serving_http

LATE = 60.0  # seconds after which a loop is lost where none is: the machine may be busy
SOON = 5.0  # the same where some are

pytestmark = pytest.mark.usefixtures("never_slow")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


class Dropping:
    """Nodes of these addresses drop all packets, and links of these drop those of one node."""

    def __init__(self) -> None:
        self.nodes: set[NodeAddress] = set()
        self.links: set[tuple[NodeAddress, NodeAddress]] = set()
        self._brought: dict[bytes, NodeAddress] = {}

    def __call__(self, node: NodeAddress, packet: bytes, unwrapped: Forward | Final) -> None:
        before = self._brought.pop(packet, None)
        if isinstance(unwrapped, Forward):
            self._brought[unwrapped.packet] = node
        if node in self.nodes or (before and (before, node) in self.links):
            raise RemoteFormatError("dropped")


def read_on(connection: socket.socket) -> None:
    """Read, and never answer."""
    while connection.recv(1 << 16):
        pass


def check(*urls: str, patience: float = LATE) -> CheckReport:
    return NetworkCheck(urls, [], patience=patience).run()


def kinds(report: CheckReport) -> list[tuple[str, str]]:
    return [(problem.kind, problem.about) for problem in report.problems]


def test_a_network_that_is_well(stack: ExitStack) -> None:
    network = stack.enter_context(running(Network(width=2, providers=2)))
    report = check(network.url)
    assert report.problems == []
    assert (report.whole, report.layers, report.providers) == (True, [2, 2, 2], 2)
    assert (report.loops_sent, report.loops_lost) == (40, 0)
    assert [node.layer for node in report.nodes] == [1, 1, 2, 2, 3, 3, None, None]
    for node in report.nodes:
        assert (node.reached, node.trouble) == (True, None)
        assert node.version is not None
        assert node.version.split("+")[0] == "0.4.0"
        assert (node.loops_sent, node.loops_lost) == (20, 0)
        assert node.latency_ms is not None
        assert node.latency_ms >= 0
    for node in report.nodes[-2:]:
        assert (node.clients_reached, node.registered, node.sealed_line) == (True, True, True)


@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("layer", [1, 2, 3])
def test_a_mixnode_that_drops_packets_is_named(stack: ExitStack, width: int, layer: int) -> None:
    dropping = Dropping()
    network = stack.enter_context(running(Network(width=width, trace=dropping)))
    bad = next(node for node in network.mixnodes if node.layer == layer)
    dropping.nodes = {bad.address}
    report = check(network.url, patience=SOON)
    assert kinds(report) == [("loses_packets", f"mixnode {bad.address} in layer {layer}")]
    assert "20 of 20 loops through it were lost" in report.problems[0].found


@pytest.mark.parametrize("providers", [1, 2])
def test_a_provider_that_drops_packets_is_named(stack: ExitStack, providers: int) -> None:
    dropping = Dropping()
    network = stack.enter_context(running(Network(providers=providers, trace=dropping)))
    dropping.nodes = {network.providers[0].address}
    report = check(network.url, patience=SOON)
    assert kinds(report) == [("loses_packets", f"provider {network.providers[0].address}")]


@pytest.mark.parametrize("width", [1, 2])
def test_a_link_on_which_packets_are_lost_is_named(stack: ExitStack, width: int) -> None:
    dropping = Dropping()
    network = stack.enter_context(running(Network(width=width, trace=dropping)))
    before, behind = (
        next(node for node in network.mixnodes if node.layer == layer) for layer in (1, 2)
    )
    dropping.links = {(before.address, behind.address)}
    report = check(network.url, patience=SOON)
    assert kinds(report) == [("broken_link", f"mixnode {before.address} in layer 1")]
    assert f"don't reach mixnode {behind.address} in layer 2" in report.problems[0].found


@pytest.mark.parametrize("layer", [1, 2])
def test_a_node_whose_port_is_closed(stack: ExitStack, layer: int) -> None:
    network = stack.enter_context(running(Network(width=2)))
    closed = next(node for node in network.mixnodes if node.layer == layer)
    closed._door.stop()
    report = check(network.url, patience=SOON)
    assert kinds(report) == [("unreachable", f"mixnode {closed.address} in layer {layer}")]
    assert "Connection refused" in report.problems[0].found
    assert [node.address for node in report.nodes if not node.reached] == [str(closed.address)]


def test_a_port_that_only_this_machine_cannot_reach_is_nothing_wrong(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = stack.enter_context(running(Network(width=2)))
    hidden = next(node for node in network.mixnodes if node.layer == 2).address
    monkeypatch.setattr(
        "nym.network.check.closed_ports", lambda places: {hidden: "can't be reached"}
    )
    report = check(network.url)
    assert report.problems == []
    assert [node.address for node in report.nodes if not node.reached] == [str(hidden)]


def test_a_provider_that_takes_no_clients(stack: ExitStack) -> None:
    network = stack.enter_context(running(Network(providers=2)))
    down = network.providers[0]
    down._reception.stop()
    report = check(network.url)
    assert kinds(report) == [("unreachable", f"provider {down.address}")]
    assert f"its port for clients, {down.client_address}: can't be reached" in (
        report.problems[0].found
    )
    assert report.loops_sent == 20, "loops go to the other provider"


def test_a_provider_that_refuses_clients(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    network = stack.enter_context(running(Network(providers=2)))
    provider = network.providers[0]
    refused = Answer(Outcome.REFUSED)
    monkeypatch.setattr(provider._reception, "_answer_sealed", lambda *_: refused)
    report = check(network.url)
    assert kinds(report) == [("refuses_clients", f"provider {provider.address}")]
    assert "clients can't use it: the provider refused" in report.problems[0].found


def test_a_node_that_takes_connections_and_never_answers(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nym.net.transport.TIMEOUT", 5.0)  # enough for the others
    network = stack.enter_context(running(Network(providers=2)))
    silent = stack.enter_context(serving(read_on))
    records = network._directory.records()
    mute = records.providers[0]._replace(client_listener=str(silent))
    told = encode_topology(records._replace(providers=(mute, records.providers[1])))
    report = check(stack.enter_context(serving_http(lambda: told)))
    assert [kind for kind, _ in kinds(report)] == ["refuses_clients"]


def test_a_directory_that_is_away() -> None:
    report = check(f"http://127.0.0.1:{free_port()}")
    assert not report.is_reachable
    assert [kind for kind, _ in kinds(report)] == ["directory_unusable"]


def test_one_of_two_directories_is_away(stack: ExitStack) -> None:
    network = stack.enter_context(running(Network()))
    away = f"http://127.0.0.1:{free_port()}"
    report = check(away, network.url)
    assert report.is_reachable
    assert kinds(report) == [("directory_unusable", f"directory {away}")]
    assert report.loops_sent == 20


def test_directories_that_list_different_nodes(stack: ExitStack) -> None:
    network = stack.enter_context(running(Network(width=2)))
    records = network._directory.records()
    fewer = encode_topology(records._replace(mixnodes=records.mixnodes[1:]))
    other = stack.enter_context(serving_http(lambda: fewer))
    report = check(network.url, other)
    assert kinds(report) == [("directory_differs", f"directory {other}")]
    assert records.mixnodes[0].host in report.problems[0].found


def test_a_network_without_a_layer(stack: ExitStack) -> None:
    network = stack.enter_context(running(Network()))
    records = network._directory.records()
    rest = encode_topology(
        records._replace(mixnodes=tuple(node for node in records.mixnodes if node.layer != 2))
    )
    report = check(stack.enter_context(serving_http(lambda: rest)))
    assert (report.whole, report.layers, report.loops_sent) == (False, [1, 0, 1], 0)
    assert kinds(report) == [("incomplete", "network")]
    assert "layer 2 has no mixnode" in report.problems[0].found
    assert all(node.reached for node in report.nodes)


def test_the_last_layer_is_missed_once_it_was_seen(stack: ExitStack) -> None:
    network = stack.enter_context(running(Network(layers=2)))
    records = network._directory.records()
    told = [records]
    url = stack.enter_context(serving_http(lambda: encode_topology(told[0])))
    checker = NetworkCheck([url], [], patience=LATE)
    assert checker.run().problems == []
    told[0] = records._replace(mixnodes=records.mixnodes[:1])
    assert kinds(checker.run()) == [("incomplete", "network")]


def test_records_that_clients_leave_out(stack: ExitStack) -> None:
    network = stack.enter_context(running(Network()))
    records = network._directory.records()
    strange = records.mixnodes[0]._replace(version="0.5.0")
    told = encode_topology(records._replace(mixnodes=(*records.mixnodes, strange)))
    report = check(stack.enter_context(serving_http(lambda: told)))
    assert kinds(report) == [("left_out", "network")]
    assert "1 node of version 0.5.0" in report.problems[0].found


def test_a_clock_that_is_wrong(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    network = stack.enter_context(running(Network()))
    monkeypatch.setattr("nym.net.directory.Listing.clock_off", lambda self: -7200.0)
    report = check(network.url)
    assert kinds(report) == [("clock", f"directory {network.url}")]
    assert "2 h 0 min behind this machine's" in report.problems[0].found


def test_a_key_that_is_too_old(stack: ExitStack) -> None:
    directory = Directory("127.0.0.1", 0)
    url = directory.start()
    stack.callback(directory.stop)
    passed = [0.0]
    keys = Keyring(None, 2 * OLDEST_KEY, since_boot=lambda: since_boot() + passed[0])
    node = Mixnode(keys, ANYWHERE, 2, signer=generate_signer())
    node.listen()
    node.start(url)
    stack.callback(node.stop)
    found = {}
    for passed[0] in (0.0, OLDEST_KEY / 2, OLDEST_KEY + 1):
        node.announce()
        report = check(url)
        found[passed[0]] = [about for kind, about in kinds(report) if kind == "old_key"]
        (age,) = [node.key_age for node in report.nodes]
        assert age is not None
        assert -MINUTE < age - passed[0] < MINUTE + LATE
    assert list(found.values()) == [[], [], [f"mixnode {node.address} in layer 2"]]
    assert "its key is 1 d 1 h old" in report.problems[-1].found


def test_nothing_that_can_be_reached_is_said_once(stack: ExitStack) -> None:
    network = stack.enter_context(running(Network(width=2)))
    records = network._directory.records()
    url = stack.enter_context(serving_http(lambda: encode_topology(records)))
    network.stop()
    assert kinds(check(url)) == [("unreachable", "network")]
