"""What one source may take of a node, and that it takes no more from others than that."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import gevent
import pytest
import requests

from nym.config.nodes import DirectorySettings, MixnodeLimitSettings
from nym.errors import MacError
from nym.net import sources as sources_module
from nym.net.sources import DISTRUST, GOOD_WEIGHT, Source, SourceLimits, Sources
from nym.nodes import directory as directory_module
from nym.nodes.limits import LIMITS
from nym.nodes.visits import Answer
from nym.wire.addresses import NodeAddress, machine_at
from nym.wire.provider import ACKNOWLEDGED
from tests.harness import PATIENCE, memory_provider, read_all, wait_until
from tests.test_door import Node, packet, read_exactly

NONE_CERTAIN = SourceLimits(packets=0.0)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def node_with(stack: ExitStack, limits: SourceLimits) -> Node:
    node = Node(limits)
    node.deal = Answer.give
    node.door.listen()
    stack.callback(node.door.stop)
    return node


def connect(stack: ExitStack, place: NodeAddress, source: str = "127.0.0.1") -> socket.socket:
    connection = socket.create_connection(place, PATIENCE, (source, 0))
    return stack.enter_context(connection)


def is_served(connection: socket.socket, number: int = 1) -> bool:
    try:
        connection.sendall(packet(number))
        return read_exactly(connection, len(ACKNOWLEDGED)) == ACKNOWLEDGED
    except ConnectionError:
        return False


def refused(node: Node) -> dict[str, int]:
    return {why: count for why, count in node.door._sources.refused.items() if count}


# Sources.


@pytest.mark.parametrize(
    ("ip", "source"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::9", "2001:db8:1:3::/64"),
        ("fe80::1%lo", "fe80::/64"),
    ],
)
def test_what_a_source_is(ip: str, source: str) -> None:
    assert machine_at(ip) == source


def test_so_many_packets_are_certain() -> None:
    source = Source(10.0, now=0.0)
    assert [source.spend(0.0) for _ in range(11)] == [True] * 10 + [False]
    assert [source.spend(0.5) for _ in range(6)] == [True] * 5 + [False]
    assert [source.spend(100.0) for _ in range(11)] == [True] * 10 + [False]


def test_a_bad_packet_costs_more() -> None:
    source = Source(10.0, now=0.0)
    for _ in range(2):
        assert source.spend(0.0)
        source.was_bad()
    assert not source.has_credit(0.0)


def test_a_source_is_distrusted_if_hardly_anything_of_it_is_good() -> None:
    source = Source(10.0, now=0.0)
    for _ in range(10 * DISTRUST):
        for _ in range(GOOD_WEIGHT):
            source.was_bad()
        source.was_good()
    assert not source.is_distrusted()
    for _ in range(10 * DISTRUST):
        source.was_bad()
    assert source.is_distrusted()
    for _ in range(20):  # what it did before is soon forgotten
        source.was_good()
    assert not source.is_distrusted()


def test_the_table_of_sources_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources_module, "MOST_SOURCES", 10)
    sources = Sources(SourceLimits())
    connected = sources.at("2001:db8::1")
    connected.connections = 1
    for number in range(100):
        sources.at(f"2001:db8:0:{number + 1:x}::1")
    assert len(sources) == 10
    assert sources.at("2001:db8::2") is connected


# Connections.


def test_a_source_has_so_many_connections(
    stack: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    node = node_with(stack, SourceLimits(connections=3))
    first, *_ = [connect(stack, node.door.address) for _ in range(3)]
    wait_until(lambda: len(node.door._visits) == 3)
    for number in range(20):
        assert not is_served(connect(stack, node.door.address), number)
    assert is_served(connect(stack, node.door.address, "127.0.0.2"))  # another source
    assert is_served(first)
    assert refused(node) == {"connections": 20}
    assert caplog.text.count("as many connections as one source may have") == 1
    assert "127.0.0.1" not in caplog.text
    first.close()
    wait_until(lambda: is_served(connect(stack, node.door.address)))


def test_a_connection_that_only_waits_for_answers_does_not_count(stack: ExitStack) -> None:
    node = node_with(stack, SourceLimits(connections=1))
    node.deal = node.answers.append
    for number in range(5):
        connection = connect(stack, node.door.address)
        connection.sendall(packet(number))
        connection.shutdown(socket.SHUT_WR)
        wait_until(lambda number=number: len(node.answers) == number + 1)  # type: ignore[misc]
        wait_until(lambda: not node.door._sources.at("127.0.0.1").connections)
    assert refused(node) == {}


# Packets.


def test_a_source_that_is_alone_is_not_limited(stack: ExitStack) -> None:
    node = node_with(stack, NONE_CERTAIN)
    connection = connect(stack, node.door.address)
    for number in range(100):
        assert is_served(connection, number)
    for number in range(100):
        assert is_served(connect(stack, node.door.address), number)
    assert node.counts.report()["packets_deferred"] == 200
    assert refused(node) == {}


def test_what_is_more_than_certain_waits_for_others(stack: ExitStack) -> None:
    node = node_with(stack, SourceLimits(packets=50.0))
    # One source has used up what is certain.
    node.door._sources.at("127.0.0.2")._credit = -1e6
    greedy = [connect(stack, node.door.address, "127.0.0.2") for _ in range(50)]
    quiet = connect(stack, node.door.address)
    wait_until(lambda: len(node.door._visits) == 51)
    # Everything is there before the node looks at anything; the quiet one is in the middle.
    for number, connection in enumerate([*greedy[:25], quiet, *greedy[25:]]):
        connection.sendall(packet(1 if connection is quiet else 1000 + number))
    wait_until(lambda: len(node.packets) == 51)
    assert node.packets.index(packet(1)) < 10
    assert node.counts.report()["packets_deferred"] == 50


def test_what_waits_is_dealt_with_one_by_one_and_others_come_between(stack: ExitStack) -> None:
    node = node_with(stack, SourceLimits(packets=50.0))
    node.door._sources.at("127.0.0.2")._credit = -1e6
    greedy = connect(stack, node.door.address, "127.0.0.2")
    flood = gevent.spawn(greedy.sendall, b"".join(packet(1000 + n % 1000) for n in range(3000)))
    wait_until(lambda: len(node.packets) > 100)
    assert is_served(connect(stack, node.door.address))
    assert len(node.packets) < 2000
    flood.kill()


def test_too_much_that_waits_is_refused(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sources_module, "MOST_WAITING", 2)
    node = node_with(stack, NONE_CERTAIN)
    node.door._spare._turn.acquire()  # there is no spare time
    waiting = [connect(stack, node.door.address) for _ in range(2)]
    for number, connection in enumerate(waiting):
        connection.sendall(packet(number))
    wait_until(lambda: node.door._spare.waiting == 2)
    for number in range(5):
        assert not is_served(connect(stack, node.door.address), number)
    assert refused(node) == {"packets": 5}
    assert caplog.text.count("more packets than there is time for") == 1
    node.door._spare._turn.release()
    for connection in waiting:
        assert read_exactly(connection, len(ACKNOWLEDGED)) == ACKNOWLEDGED


# Garbage.


def test_garbage_is_soon_refused_and_another_source_is_not(stack: ExitStack) -> None:
    node = node_with(stack, SourceLimits(packets=50.0))

    def deal(answer: Answer) -> None:
        if node.packets[-1][:1] == b"?":
            raise MacError("the MAC is wrong")
        answer.give()

    node.deal = deal

    def throw() -> bytes:
        connection = connect(stack, node.door.address, "127.0.0.2")
        try:
            connection.sendall(b"?" * 1372)
            return read_all(connection)
        except ConnectionError:
            return b""
        finally:
            connection.close()

    def is_refused() -> bool:
        assert throw() == b""
        return refused(node).get("garbage", 0) > 20

    wait_until(is_refused)
    assert node.counts.report()["packets_dropped"]["wrong_mac"] >= DISTRUST  # type: ignore[index]
    for number in range(100):
        assert is_served(connect(stack, node.door.address), number)
    assert set(refused(node)) == {"garbage"}


def test_a_source_with_a_bad_packet_now_and_then_is_trusted(stack: ExitStack) -> None:
    node = node_with(stack, NONE_CERTAIN)

    def deal(answer: Answer) -> None:
        if node.packets[-1][:4] == b"0000":
            raise MacError("the MAC is wrong")
        answer.give()

    node.deal = deal
    for number in range(4 * DISTRUST):
        assert is_served(connect(stack, node.door.address), number % 3) == (number % 3 > 0)
    assert refused(node) == {}


# Whole nodes.


def test_clients_of_a_provider_have_limits(stack: ExitStack) -> None:
    provider = memory_provider(limits=MixnodeLimitSettings(source_connections=2))
    stack.callback(provider.stop)
    provider.listen()
    for _ in range(2):
        connect(stack, provider.client_address)
    wait_until(lambda: provider.counts.report()["client_connections"] == 2)
    assert read_all(connect(stack, provider.client_address)) == b""
    refused = provider.counts.report()["client_connections_refused"]
    assert refused == {"connections": 1, "packets": 0, "garbage": 0}


def test_a_directory_has_limits() -> None:
    assert DirectorySettings.source_connections == 250
    directory = directory_module.Directory("127.0.0.1", 0, connections_per_source=2)
    url = directory.start()
    port = int(url.rpartition(":")[2])
    with ExitStack() as stack:
        stack.callback(directory.stop)
        silent = [connect(stack, NodeAddress("127.0.0.1", port)) for _ in range(2)]
        wait_until(lambda: directory.counts.report()["connections"] == 2)
        with pytest.raises(requests.ConnectionError):
            requests.get(f"{url}/api/healthcheck", timeout=PATIENCE)
        silent[0].close()
        wait_until(lambda: directory.counts.report()["connections"] == 1)
        assert requests.get(f"{url}/api/healthcheck", timeout=PATIENCE).ok


def test_the_defaults_are_generous() -> None:
    stated = MixnodeLimitSettings(source_connections=1000, source_packets=1000.0, held=20_000)
    assert stated == LIMITS
