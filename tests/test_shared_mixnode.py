"""A mixnode and its workers, all of them in the test's process."""

import json
import logging
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import gevent
import pytest
from gevent.event import Event

from nym._secrets import random_scalar
from nym.config.nodes import MixnodeLimitSettings
from nym.errors import ListenError
from nym.net.listening import listen_together
from nym.net.transport import send_packet
from nym.nodes import replays as replays_module
from nym.nodes import workers as workers_module
from nym.nodes.keys import KEYS_FOLDER, Keyring
from nym.nodes.limits import LIMITS, share_of
from nym.nodes.orders import Kind, Order, Report, orders, reports
from nym.nodes.replays import Replays
from nym.nodes.shared_mixnode import SharedMixnode
from nym.nodes.worker import Worker
from nym.nodes.workers import Workers
from nym.sphinx import Hop, create_packet, public_key
from nym.wire.addresses import NodeAddress, encode_address
from nym.wire.metrics import counter, gauge, info, total
from nym.wire.sizes import PACKET_LENGTH
from tests.harness import ANYWHERE, read_all, serving, wait_until

LIFETIME, OVERLAP = 86_400.0, 3600.0


class Shared:
    """A mixnode whose workers are greenlets, and the node behind it."""

    def __init__(self, folder: Path, next_hop: NodeAddress) -> None:
        self.folder = folder / KEYS_FOLDER
        self.keys = Keyring(folder, LIFETIME, OVERLAP, is_alone=False)
        self.begun: list[socket.socket] = []  # the workers' ends of their lines
        self.running: list[gevent.Greenlet[[], None]] = []
        self.workers = Workers(self._begin, 2, self.keys)
        self.node = SharedMixnode(self.keys, ANYWHERE, 1, workers=self.workers)
        self._next = Hop(encode_address(next_hop), public_key(random_scalar()), 0)
        self.node.listen()

    def _begin(self, listener: socket.socket) -> socket.socket:
        ours, theirs = socket.socketpair()
        worker = Worker(theirs, listener.dup(), self.folder, LIMITS)
        self.begun.append(theirs)

        def work() -> None:
            with theirs:
                worker.run()

        self.running.append(gevent.spawn(work))
        return ours

    def packet(self, delay: int = 0) -> bytes:
        here = Hop(encode_address(self.node.address), self.keys.current.public_key, delay)
        return create_packet(b"", [here, self._next], bytes(32))

    def send(self, *packets: bytes) -> None:
        for packet in packets:
            send_packet(self.node.address, packet)

    def figure(self, name: str) -> object:
        return self.node.counts.report()[name]

    def dropped(self, reason: str) -> int:
        dropped = self.figure("packets_dropped")
        assert isinstance(dropped, dict)
        return int(dropped[reason])


@pytest.fixture
def came() -> list[bytes]:
    return []


@pytest.fixture
def shared(tmp_path: Path, came: list[bytes]) -> Iterator[Shared]:
    with serving(lambda connection: came.append(read_all(connection))) as next_hop:
        shared = Shared(tmp_path, next_hop)
        yield shared
        shared.node.stop()
        gevent.joinall(shared.running)


def test_packets_go_through_and_everything_is_added_up(shared: Shared, came: list[bytes]) -> None:
    packets = [shared.packet() for _ in range(10)]
    shared.send(*packets, *packets)
    wait_until(lambda: len(came) == 10)
    wait_until(lambda: shared.dropped("replay") == 10)
    assert shared.figure("packets_received") == 20
    assert shared.figure("workers") == 2
    assert sum(int(str(worker["packets_received"])) for worker in shared.workers.about()) == 20
    received, sent = shared.node.take_traffic()
    assert (received, list(sent.values())) == (10, [10])
    assert shared.node.take_traffic() == (0, {})
    names = {family.name for family in total(shared.workers.processes())}
    assert "process_cpu_seconds_total" in names
    assert "process_start_time_seconds" not in names


def test_another_worker_takes_the_place_of_one_that_has_ended(
    shared: Shared, came: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    packet = shared.packet()
    shared.send(packet)
    wait_until(lambda: shared.figure("packets_received") == 1)
    for line in list(shared.begun):
        line.shutdown(socket.SHUT_RDWR)
    wait_until(lambda: len(shared.begun) == 4)
    wait_until(lambda: shared.figure("workers") == 2)
    assert shared.figure("workers_ended") == 2
    assert shared.figure("packets_received") == 1  # it still counts
    assert caplog.text.count("another one takes its place") == 2
    shared.send(packet, shared.packet())
    wait_until(lambda: len(came) == 2)
    wait_until(lambda: shared.dropped("replay") == 1)


def test_workers_have_the_keys_of_the_node_and_no_others(shared: Shared, came: list[bytes]) -> None:
    old = [shared.packet() for _ in range(3)]
    shared.keys.set_times(0.0, OVERLAP)
    assert shared.keys.turn()
    shared.send(old[0], shared.packet())
    wait_until(lambda: len(came) == 2)
    shared.keys.set_times(LIFETIME, 0.0)  # the key before ends
    shared.keys.turn()
    wait_until(lambda: [path.name for path in shared.folder.glob("[0-9]")] == ["2"])
    shared.send(*old[1:])
    wait_until(lambda: shared.dropped("wrong_mac") == 2)
    shared.send(shared.packet())
    wait_until(lambda: len(came) == 3)


def test_a_full_table_brings_another_key(
    shared: Shared, came: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replays_module, "SIZES", (1 << 13,))
    before = shared.keys.current.public_key
    tags = Replays(shared.folder / "1", is_alone=False)
    number = 0
    while not tags.is_full:
        tags.is_new(number.to_bytes(16, "big"))
        number += 1
    running = gevent.spawn(shared.keys.run, lambda: None)
    shared.send(shared.packet())
    wait_until(lambda: shared.keys.current.public_key != before)
    shared.send(shared.packet())
    wait_until(lambda: len(came) == 2)
    running.kill()
    tags.close()


def test_a_node_that_leaves_waits_for_its_workers(shared: Shared, came: list[bytes]) -> None:
    shared.send(*[shared.packet(delay=1_000_000_000) for _ in range(4)])
    wait_until(lambda: shared.figure("packets_held") == 4)
    shared.node.leave(0.0, Event())
    assert len(came) == 4
    wait_until(lambda: all(greenlet.ready() for greenlet in shared.running))
    assert shared.figure("packets_forwarded") == 4
    assert shared.figure("workers_ended") == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(shared.node.address)


def test_who_is_in_a_hurry_does_not_wait(shared: Shared, came: list[bytes]) -> None:
    shared.send(shared.packet(delay=60_000_000_000))
    wait_until(lambda: shared.figure("packets_held") == 1)
    hurry = Event()
    leaving = gevent.spawn(shared.node.leave, 0.0, hurry)
    wait_until(lambda: shared.workers.leaving.is_set())
    hurry.set()
    leaving.get()
    assert came == []


def test_workers_log_from_the_level_of_the_node_on(shared: Shared) -> None:
    before = logging.getLogger().level
    shared.workers.set_level(logging.ERROR)
    try:
        wait_until(lambda: logging.getLogger().level == logging.ERROR)
    finally:
        logging.getLogger().setLevel(before)


def test_what_a_worker_logs_is_logged_here_and_once_if_others_say_the_same(
    shared: Shared, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    first, second = shared.workers._seats
    for seat in (first, second, first):
        report = Report(1, log=[(logging.WARNING, "nym.nodes.node", "it is said only once")])
        shared.workers.note(seat, report)
    said = [one for one in caplog.records if one.message == "it is said only once"]
    assert [one.levelname for one in said] == ["WARNING", "DEBUG", "WARNING"]
    assert {one.name for one in said} == {"nym.nodes.node"}


def test_a_worker_that_dies_says_why(shared: Shared, caplog: pytest.LogCaptureFixture) -> None:
    wait_until(lambda: shared.figure("workers") == 2)
    (shared.folder / "7").write_text("no folder")
    shared.workers._tell(Order(Kind.KEYS, [7], [random_scalar()]))
    wait_until(lambda: shared.figure("workers_ended") == 2)
    assert "a worker died" in caplog.text


def test_a_worker_that_hangs_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(workers_module, "SILENCE", 0.2)
    hangs = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1e6)"])
    lines: list[socket.socket] = []

    def start(_: socket.socket) -> socket.socket:
        ours, theirs = socket.socketpair()
        lines.append(theirs)
        theirs.sendall(Report(hangs.pid).encode())
        return ours

    workers = Workers(start, 1, Keyring(tmp_path, is_alone=False))
    workers.listen(ANYWHERE)
    try:
        wait_until(lambda: hangs.poll() == -signal.SIGKILL)
        assert "a worker hangs, and is ended" in caplog.text
    finally:
        workers.stop()
        hangs.kill()
        hangs.wait()


def test_no_worker_can_be_started(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def start(_: socket.socket) -> socket.socket:
        raise BrokenPipeError

    workers = Workers(start, 1, Keyring(tmp_path, is_alone=False))
    workers.listen(ANYWHERE)
    wait_until(lambda: "a worker has ended" in caplog.text)
    workers.stop()
    assert workers.about() == [{"pid": 0}]


# What goes over a line.


def test_orders_arrive_with_their_keys() -> None:
    ours, theirs = socket.socketpair()
    keys = [random_scalar(), random_scalar()]
    sent = [
        Order(Kind.KEYS, [4, 3], keys),
        Order(Kind.LEVEL, [10]),
        Order(Kind.LEAVE),
        Order(Kind.KEYS, [5], keys[:1]),
    ]
    for order in sent:
        order.send(ours)
    ours.close()
    with theirs:
        assert [Order(o.kind, list(o.numbers), list(o.keys)) for o in sent] == list(orders(theirs))


def test_an_order_that_breaks_off_is_none() -> None:
    for ending in (b"\x02\x01\x00", bytes([Kind.KEYS, 1, *bytes(16)]), bytes([1, 1, *bytes(30)])):
        ours, theirs = socket.socketpair()
        Order(Kind.LEVEL, [10]).send(ours)
        ours.sendall(ending)
        ours.close()
        with theirs:
            assert [order.kind for order in orders(theirs)] == [Kind.LEVEL]


def test_a_line_may_end_with_reports_unread() -> None:
    ours, theirs = socket.socketpair()
    Order(Kind.LEVEL, [10]).send(ours)
    theirs.sendall(Report(1).encode())
    with theirs:
        following = orders(theirs)
        assert next(following).kind == Kind.LEVEL
        ours.close()
        assert list(following) == []


def test_reports_arrive_as_they_were() -> None:
    ours, theirs = socket.socketpair()
    figures = [counter("a_total", "A.", 3), gauge("b", "B.", None)]
    report = Report(7, 5, {"127.0.0.1:1": 5}, figures, [], [(20, "part", "text")], needs_key=True)
    ours.sendall(report.encode()[:-1] + b"\n" + Report(8).encode())
    ours.close()
    with theirs:
        first, second = reports(theirs)
    assert json.loads(first.encode()) == json.loads(report.encode())
    assert first.figures == figures
    assert (second.pid, second.needs_key) == (8, False)


# Figures, limits and sockets.


def test_figures_of_processes_are_added_up() -> None:
    one = [info("x_info", "X.", {"role": "mixnode"}), counter("a_total", "A.", 3)]
    two = [info("x_info", "X.", {"role": "mixnode"}), counter("a_total", "A.", 4)]
    three = [gauge("b", "B.", 1.5), gauge("unknown", "U.", None)]
    assert total([one, two, three, three]) == [
        info("x_info", "X.", {"role": "mixnode"}),
        counter("a_total", "A.", 7),
        gauge("b", "B.", 3.0),
        gauge("unknown", "U.", None),
    ]
    assert one[1].samples[0].value == 3


def test_a_worker_has_its_share_of_the_limits() -> None:
    share = share_of(MixnodeLimitSettings(1000, 1000.0, 20_000), 3)
    assert (share.source_connections, share.held) == (334, 6667)
    assert 333 < share.source_packets < 334
    assert share_of(LIMITS, 1) == LIMITS


def test_sockets_that_listen_together_share_a_port_with_nobody_else() -> None:
    sockets = listen_together(ANYWHERE, 3, "--listen")
    places = {one.getsockname() for one in sockets}
    assert len(places) == 1
    (place,) = places
    with pytest.raises(ListenError, match="another port can be chosen with --listen"):
        listen_together(NodeAddress(*place), 2, "--listen")
    came = []
    for one in sockets:
        one.settimeout(0)
    for _ in range(60):
        with socket.create_connection(place) as connection:
            connection.sendall(bytes(PACKET_LENGTH))
    for one in sockets:
        came.append(sum(1 for _ in iter(partial(_accepted, one), None)))
        one.close()
    assert sum(came) == 60
    assert all(came)


def _accepted(listener: socket.socket) -> object:
    try:
        connection, _ = listener.accept()
    except BlockingIOError:
        return None
    connection.close()
    return connection
