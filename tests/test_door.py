"""Packets as they arrive at a node: cut anywhere, many on a connection, too many, and too slow."""

import os
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import gevent
import pytest
from gevent import monkey
from hypothesis import given, settings
from hypothesis import strategies as st

from nym.errors import NymError, OverloadError, RemoteFormatError
from nym.net.bare import BareSocket
from nym.net.sources import Source, SourceLimits
from nym.nodes import door as door_module
from nym.nodes import visits
from nym.nodes.counts import Counts
from nym.nodes.delays import Delays
from nym.nodes.door import MOST_NEW, Door, _Arrival
from nym.nodes.limits import LIMITS, source_limits
from nym.nodes.visits import Answer, Visit
from nym.sphinx import AT_ONCE
from nym.wire.provider import ACKNOWLEDGED
from nym.wire.sizes import PACKET_LENGTH
from tests.harness import ANYWHERE, PATIENCE, read_all, wait_until

GENEROUS = source_limits(LIMITS)


class Node:
    """Takes packets, and answers when a test says so; a packet that begins with ! is refused."""

    def __init__(self, limits: SourceLimits = GENEROUS) -> None:
        self.packets: list[bytes] = []
        self.answers: list[Answer] = []
        self.said: list[str] = []
        self.deal: Callable[[Answer], None] = self.answers.append
        self.counts = Counts("test")
        self.batches: list[list[bytes]] = []  # that were unwrapped together
        self.door = Door(
            ANYWHERE, self._unwrap, self._handle, self.said.append, self.counts, limits
        )

    def _unwrap(self, packets: list[bytes]) -> list[bytes | NymError]:
        self.batches.append(packets)
        refusal = RemoteFormatError("it begins with !")
        return [refusal if packet[:1] == b"!" else packet for packet in packets]

    def _handle(self, packet: bytes, task: bytes, answer: Answer) -> None:
        assert task == packet
        self.packets.append(packet)
        self.deal(answer)


@pytest.fixture
def node() -> Iterator[Node]:
    node = Node()
    node.door.listen()
    yield node
    node.door.stop()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def connect(stack: ExitStack, node: Node) -> socket.socket:
    connection = socket.create_connection(node.door.address, timeout=PATIENCE)
    return stack.enter_context(connection)


def packet(number: int) -> bytes:
    return b"%04d" % number + bytes(PACKET_LENGTH - 4)


def read_exactly(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length and (chunk := connection.recv(length - len(data))):
        data += chunk
    return data


# Packets.


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(1, 4 * PACKET_LENGTH - 1), max_size=6))
def test_a_packet_is_1372_bytes_however_it_is_cut(cuts: list[int]) -> None:
    node = Node()
    node.deal = Answer.give
    node.door.listen()
    stream = b"".join(packet(number) for number in range(4))
    try:
        with socket.create_connection(node.door.address, timeout=PATIENCE) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(stream)], strict=True):
                connection.sendall(stream[start:end])
                gevent.sleep(0)  # so that the node reads each piece by itself
            connection.shutdown(socket.SHUT_WR)
            assert read_all(connection) == ACKNOWLEDGED * 4
    finally:
        node.door.stop()
    assert node.packets == [packet(number) for number in range(4)]


def test_a_packet_may_be_cut_at_every_byte(node: Node) -> None:
    node.deal = Answer.give
    for cut in range(1, PACKET_LENGTH, 7):
        with socket.create_connection(node.door.address, timeout=PATIENCE) as connection:
            connection.sendall(packet(cut)[:cut])
            gevent.sleep(0)
            connection.sendall(packet(cut)[cut:])
            assert read_exactly(connection, 5) == ACKNOWLEDGED
    assert node.packets == [packet(cut) for cut in range(1, PACKET_LENGTH, 7)]


def test_answers_keep_the_order_of_the_packets(node: Node, stack: ExitStack) -> None:
    connection = connect(stack, node)
    connection.sendall(b"".join(packet(number) for number in range(4)))
    wait_until(lambda: len(node.answers) == 4)
    for number in (3, 1, 2):
        node.answers[number].give()
    connection.settimeout(0.05)
    with pytest.raises(TimeoutError):
        connection.recv(1)
    connection.settimeout(PATIENCE)
    node.answers[0].give()
    assert read_exactly(connection, 4 * 5) == ACKNOWLEDGED * 4
    connection.sendall(packet(4))  # the connection goes on
    wait_until(lambda: len(node.answers) == 5)


def test_an_answer_is_given_after_the_peer_has_said_everything(
    node: Node, stack: ExitStack
) -> None:
    connection = connect(stack, node)
    connection.sendall(packet(1))
    connection.shutdown(socket.SHUT_WR)
    wait_until(lambda: len(node.answers) == 1)
    node.answers[0].give()
    assert read_all(connection) == ACKNOWLEDGED


def test_nothing_is_answered_after_a_packet_that_is_lost(node: Node, stack: ExitStack) -> None:
    connection = connect(stack, node)
    connection.sendall(b"".join(packet(number) for number in range(3)))
    wait_until(lambda: len(node.answers) == 3)
    node.answers[2].give()
    node.answers[1].refuse()
    node.answers[0].give()
    assert read_all(connection) == ACKNOWLEDGED


def test_a_bad_packet_ends_its_connection_but_not_what_came_before(
    node: Node, stack: ExitStack
) -> None:
    connection = connect(stack, node)
    connection.sendall(packet(0) + b"!" * PACKET_LENGTH)
    wait_until(lambda: len(node.said) == 1)
    node.answers[0].give()
    assert read_all(connection) == ACKNOWLEDGED
    assert node.said == ["dropped a packet: it begins with !"]
    assert node.packets == [packet(0)]


def test_after_a_bad_packet_nothing_more_is_read(node: Node, stack: ExitStack) -> None:
    connection = connect(stack, node)
    connection.sendall(packet(0))
    wait_until(lambda: len(node.answers) == 1)  # and is owed, so the connection stays open
    connection.sendall(b"!" * PACKET_LENGTH)
    wait_until(lambda: len(node.said) == 1)
    connection.sendall(packet(1))
    wait_until(lambda: not node.door._sources.at("127.0.0.1").connections)
    assert node.packets == [packet(0)]
    assert node.counts.report()["packets_received"] == 2


def test_packets_that_come_together_are_dealt_with_together(node: Node, stack: ExitStack) -> None:
    node.deal = Answer.give
    count = 2 * AT_ONCE + 3
    connections = []
    for number in range(count):  # the system accepts them, because the hub doesn't run meanwhile
        connection = blocking_socket()
        stack.enter_context(connection)
        connection.connect(node.door.address)
        connection.sendall(packet(number) if number != 4 else b"!" * PACKET_LENGTH)
        connections.append(connection)
    wait_until(lambda: len(node.packets) == count - 1)
    assert sorted(node.packets) == [packet(number) for number in range(count) if number != 4]
    assert max(map(len, node.batches)) == AT_ONCE
    assert len(node.batches) == 3
    # A bad packet ends its own connection alone.
    for number, connection in enumerate(connections):
        connection.shutdown(socket.SHUT_WR)
        expected = ACKNOWLEDGED if number != 4 else b""
        assert connection.recv(100) == expected


def test_a_mistake_in_unwrapping_loses_the_packets_and_nothing_else(
    node: Node, stack: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    node.deal = Answer.give
    working = node.door._unwrap

    def fail(packets: list[bytes]) -> list[bytes | NymError]:
        raise MemoryError

    node.door._unwrap = fail
    broken = [connect(stack, node) for _ in range(3)]
    for number, connection in enumerate(broken):
        connection.sendall(packet(number))
    for connection in broken:
        assert read_all(connection) == b""
    assert node.counts.report()["packets_dropped"]["error"] == 3  # type: ignore[index]
    assert "MemoryError" in caplog.text
    node.door._unwrap = working
    connection = connect(stack, node)
    connection.sendall(packet(3))
    assert read_exactly(connection, 5) == ACKNOWLEDGED


def test_what_comes_when_the_door_has_stopped_is_not_looked_at(node: Node) -> None:
    visit = Visit(BareSocket(socket.AF_INET), Source(1.0, 0.0), node.door._visits)
    node.door.stop()
    node.door._deal_with([_Arrival(packet(0), visit.owe(), visit)])
    assert node.batches == []
    assert node.counts.report()["packets_dropped"]["stopped"] == 1  # type: ignore[index]


def test_a_peer_that_reads_no_answers_holds_up_nothing(node: Node, stack: ExitStack) -> None:
    connection = connect(stack, node)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    connection.sendall(packet(0))
    wait_until(lambda: len(node.answers) == 1)
    node.answers[0].give()
    visit = node.answers[0]._visit
    # As many answers as don't fit into the buffers of both sides.
    for _ in range(1000):
        for answer in [visit.owe() for _ in range(1000)]:
            answer.is_due = True
        visit.answer()
        if not node.door._visits:
            break
    assert not node.door._visits  # closed; nothing waited for the peer


# Time and places.


@pytest.mark.parametrize("beginning", [b"x", packet(1)[:-1]])
def test_half_a_packet_and_silence_costs_a_place_for_a_while(
    node: Node, stack: ExitStack, monkeypatch: pytest.MonkeyPatch, beginning: bytes
) -> None:
    assert visits.PACKET_TIME == 10
    monkeypatch.setattr(visits, "PACKET_TIME", 0.1)
    connection = connect(stack, node)
    connection.sendall(beginning)
    assert read_all(connection) == b""
    wait_until(lambda: not node.door._visits)
    assert not node.packets


def test_bytes_that_drip_do_not_make_the_time_longer(
    node: Node, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visits, "PACKET_TIME", 0.1)
    connection = connect(stack, node)

    def drip() -> None:
        for _ in range(1000):  # fewer bytes than a packet has
            connection.send(b"x")
            gevent.sleep(0.01)

    with pytest.raises(OSError):  # noqa: PT011 - reset, or a broken pipe
        drip()
    assert not node.packets


def test_the_connection_that_is_silent_for_the_longest_time_makes_room(
    node: Node, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door_module, "MOST_CONNECTIONS", 3)
    node.deal = Answer.give
    first, *others = [connect(stack, node) for _ in range(3)]
    wait_until(lambda: len(node.door._visits) == 3)
    first.sendall(packet(1))
    assert read_exactly(first, 5) == ACKNOWLEDGED
    newest = connect(stack, node)
    newest.sendall(packet(2))
    assert read_exactly(newest, 5) == ACKNOWLEDGED
    assert read_all(others[0]) == b""
    for connection in (first, others[1]):
        connection.sendall(packet(3))
        assert read_exactly(connection, 5) == ACKNOWLEDGED


def test_a_packet_outlives_its_connection(
    node: Node, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door_module, "MOST_CONNECTIONS", 1)
    early = connect(stack, node)
    early.sendall(packet(1))
    early.shutdown(socket.SHUT_WR)
    wait_until(lambda: len(node.answers) == 1)
    late = connect(stack, node)
    late.sendall(packet(2))
    assert read_all(early) == b""
    wait_until(lambda: len(node.answers) == 2)
    for answer in node.answers:
        answer.give()
    assert read_exactly(late, 5) == ACKNOWLEDGED


def test_a_connection_that_never_stops_leaves_others_their_turn(
    node: Node, stack: ExitStack
) -> None:
    def deal(_: Answer) -> None:
        if len(node.packets) > 100_000:
            raise RemoteFormatError("nobody else had a turn")

    node.deal = deal
    place = f"/dev/tcp/{node.door.address.ip}/{node.door.address.port}"
    flood = subprocess.Popen(["/bin/bash", "-c", f"exec cat /dev/zero > {place}"])
    stack.callback(flood.wait)
    stack.callback(flood.kill)
    wait_until(lambda: len(node.packets) > 1000)
    connect(stack, node).sendall(packet(1))
    wait_until(lambda: packet(1) in node.packets)
    assert not node.said


def test_no_more_is_accepted_than_is_served(node: Node, stack: ExitStack) -> None:
    node.deal = Answer.give
    accepted: list[int] = []  # at the start of each connection's service, those that came before
    server: Any = node.door._server
    original = server._handle

    def serve(*arguments: object) -> None:
        accepted.append(server._new)
        spin(0.001)  # so that gevent has to begin with few in one turn of its loop
        original(*arguments)

    server._handle = serve
    count = 4 * MOST_NEW
    connections = []
    for number in range(count):  # the system accepts them, because the hub doesn't run meanwhile
        connection = blocking_socket()
        stack.enter_context(connection)
        connection.connect(node.door.address)
        connection.sendall(packet(number))
        connections.append(connection)
    wait_until(lambda: len(node.packets) == count)
    assert max(accepted) == MOST_NEW
    assert len(node.packets) == count


def bring(stack: ExitStack, node: Node, count: int) -> list[socket.socket]:
    """Connections whose packet and end are there before the hub runs."""
    connections = []
    for number in range(count):
        connection = stack.enter_context(blocking_socket())
        connection.connect(node.door.address)
        connection.sendall(packet(number))
        connection.shutdown(socket.SHUT_WR)
        connections.append(connection)
    return connections


def test_a_connection_that_has_brought_all_at_once_takes_no_greenlet(
    node: Node, stack: ExitStack
) -> None:
    served: list[object] = []
    server: Any = node.door._server
    server._handle = lambda *arguments: served.append(arguments)
    (connection,) = bring(stack, node, 1)
    wait_until(lambda: len(node.answers) == 1)
    assert not served
    assert not node.door._sources.at("127.0.0.1").connections
    assert len(node.door._visits) == 1  # an answer is owed
    node.answers[0].give()
    assert connection.recv(100) == ACKNOWLEDGED
    assert connection.recv(100) == b""
    assert not node.door._visits


def test_a_packet_outlives_a_connection_that_was_reset(
    node: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    connection = blocking_socket()
    connection.connect(node.door.address)
    connection.sendall(packet(1))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    wait_until(lambda: len(node.answers) == 1)
    node.answers[0].give()
    wait_until(lambda: not node.door._visits)
    assert not node.door._sources.at("127.0.0.1").connections
    assert node.packets == [packet(1)]
    assert not capsys.readouterr().err


def test_no_more_is_accepted_than_is_dealt_with(node: Node, stack: ExitStack) -> None:
    node.deal = Answer.give
    accepted: list[int] = []  # whose packets wait, each time that some are dealt with
    server: Any = node.door._server
    original = node.door._deal_with_all

    def deal() -> None:
        accepted.append(server._new)
        original()

    node.door._deal_with_all = deal  # type: ignore[method-assign]
    count = 4 * MOST_NEW
    connections = bring(stack, node, count)
    wait_until(lambda: len(node.packets) == count)
    assert all(read_all(connection) == ACKNOWLEDGED for connection in connections)
    assert sorted(node.packets) == [packet(number) for number in range(count)]
    assert max(accepted) == MOST_NEW
    assert server._new == 0


def test_a_connection_that_makes_room_before_its_turn_is_no_mistake(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its packet was read, waits for spare time, and nobody has looked at it yet."""
    monkeypatch.setattr(door_module, "MOST_CONNECTIONS", 1)
    monkeypatch.setattr(Source, "spend", lambda *_: False)
    node = Node()
    node.door.listen()
    stack.callback(node.door.stop)
    first, second, last = bring(stack, node, 3)
    wait_until(lambda: node.packets == [packet(2)])
    node.answers[0].give()
    answers = [read_all(connection) for connection in (first, second, last)]
    assert answers == [b"", b"", ACKNOWLEDGED]
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_no_packet_waits_for_a_greenlet_that_could_not_be_had(
    node: Node, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    spawn, refusals = node.door._crew.spawn, [MemoryError()]

    def scarce(work: Callable[..., object], *arguments: Any) -> None:
        if work == node.door._deal_with_all and refusals:
            raise refusals.pop()
        spawn(work, *arguments)

    monkeypatch.setattr(node.door._crew, "spawn", scarce)
    (lost,) = bring(stack, node, 1)
    wait_until(lambda: not refusals and not node.door._visits)
    assert read_all(lost) == b""
    bring(stack, node, 1)
    wait_until(lambda: len(node.packets) == 1)


def test_nothing_is_open_after_the_end(stack: ExitStack) -> None:
    node = Node()
    node.door.listen()
    before = set(os.listdir("/proc/self/fd"))
    silent, owed = connect(stack, node), connect(stack, node)
    owed.sendall(packet(1))
    owed.shutdown(socket.SHUT_WR)
    wait_until(lambda: len(node.answers) == 1 and len(node.door._visits) == 2)
    node.door.stop()
    assert read_all(silent) == read_all(owed) == b""
    node.answers[0].give()  # too late, and harmless
    stack.close()
    wait_until(lambda: len(set(os.listdir("/proc/self/fd")) - before) == 0)


# Delays.


def test_delays_run_side_by_side() -> None:
    sent: list[str] = []
    delays = Delays(LIMITS.held)
    for name, delay in (("last", 0.3), ("first", 0.0), ("second", 0.15)):
        delays.hold(delay, partial(sent.append, name))
    assert len(delays) == 3
    wait_until(lambda: len(delays) == 0)
    assert sent == ["first", "second", "last"]


def test_what_is_too_much_is_refused() -> None:
    sent: list[int] = []
    delays = Delays(2)
    for number in range(2):
        delays.hold(0.01, partial(sent.append, number))
    with pytest.raises(OverloadError, match="2 packets"):
        delays.hold(0.01, partial(sent.append, 2))
    wait_until(lambda: len(delays) == 0)
    assert sorted(sent) == [0, 1]


def test_packets_that_wait_for_long_leave_places_for_others() -> None:
    delays = Delays(8)
    for _ in range(2):
        delays.hold(600, lambda: None)
    with pytest.raises(OverloadError, match="too many packets already that wait for 10 s"):
        delays.hold(600, lambda: None)
    for _ in range(6):
        delays.hold(9, lambda: None)
    with pytest.raises(OverloadError, match="8 packets"):
        delays.require_room()
    delays.stop()
    wait_until(lambda: len(delays) == 0)


def test_a_stop_drops_what_is_held() -> None:
    sent: list[int] = []
    delays = Delays(LIMITS.held)
    delays.hold(0.0, partial(sent.append, 0))
    delays.hold(0.05, partial(sent.append, 1))
    wait_until(lambda: sent == [0])
    delays.stop()
    wait_until(lambda: len(delays) == 0)
    gevent.sleep(0.1)
    assert sent == [0]


def test_a_stop_ends_what_is_being_sent_and_what_is_about_to_be() -> None:
    begun: list[int] = []
    ended: list[int] = []

    def send(number: int) -> None:
        begun.append(number)
        try:
            gevent.sleep(PATIENCE)
        finally:
            ended.append(number)

    delays = Delays(LIMITS.held)
    delays.hold(0.0, partial(send, 0))
    wait_until(lambda: begun == [0])
    delays.hold(0.0, partial(send, 1))
    # In the same turn of the loop: its time has come, but it hasn't begun.
    stop = gevent.get_hub().loop.timer(0.0)
    stop.start(delays.stop)
    wait_until(lambda: ended == [0])
    assert begun == [0]
    assert len(delays) == 0


def blocking_socket() -> socket.socket:
    """A socket that doesn't let the hub run while it waits."""
    made: socket.socket = monkey.get_original("socket", "socket")()
    return made


def spin(seconds: float) -> None:
    """Keep the hub busy."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass
