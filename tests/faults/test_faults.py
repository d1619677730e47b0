"""Every I/O operation of a client fails in turn; afterwards, all accepted messages arrive.

Alice, who sends, and Bob, who receives, are clients in the process of the test. The fault hits both
of them. Their network runs in another process.
"""

import errno
import os
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import gevent
import gevent.socket
import gevent.threadpool
import pytest

from nym.config import TrafficSettings
from nym.net.bare import BareSocket
from nym.net.directory import fetch_topology
from nym.store.database import Database
from nym.store.journal import Journal
from nym.wire.addresses import parse_numeric
from nym.wire.keys import encode_base58
from tests.faults.injection import FAULTS, Clock, Disk, Point, Sockets, hang
from tests.harness import FAST, Application, Program, wait_until

# Seconds for which a fault goes on after two operations have met it: longer than the time-out for
# HTTP and the pauses between attempts, so that the client's parts meet it again and again.
LASTS = 0.6
POINTS = [
    (part, operation, fault)
    for part in ("directory", "provider", "mixnode")
    for operation, faults in FAULTS.items()
    for fault in faults
    # What a client never does: it reads nothing from a mixnode, nor does it wait until a packet or
    # a pull is sent, and only a plain pull ends with a shut-down of the sending side.
    if (part, operation) != ("mixnode", "receive") and operation != "shut down"
    if (operation, fault) != ("send", hang) or part == "directory"
]
PLAIN_POINTS = [
    ("provider", operation, fault)
    for operation, faults in FAULTS.items()
    for fault in faults
    if (operation, fault) != ("send", hang)
]

OTHER_POINTS = [
    (gevent.socket.socket, "__init__"),
    (BareSocket, "__init__"),
    (gevent.threadpool.ThreadPool, "spawn"),
    (Database, "_make"),
    (Journal, "_commit"),
]
UNFORESEEN = [
    OSError(errno.EMFILE, "Too many open files"),
    OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol"),
    MemoryError(),
    RuntimeError("can't start new thread"),
]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def sockets(monkeypatch: pytest.MonkeyPatch) -> Sockets:
    for name, value in {
        "nym.net.http.TIMEOUT": 0.2,
        # Short, because some faults are silence. But not shorter: the provider deletes messages
        # when it hands them over, so a pull that times out loses them, and on a busy machine a
        # working provider may take that long.
        "nym.net.transport.TIMEOUT": 2.0,
        "nym.net.transport.PACKET_TIMEOUT": 2.0,
        "nym.client.poller.FIRST_RETRY": 0.1,
        "nym.client.poller.LONGEST_RETRY": 0.2,
        "nym.client.refresher.FIRST_RETRY": 0.1,
        "nym.client.refresher.LONGEST_RETRY": 0.2,
        "nym.store.journal.RETRY": 0.05,
    }.items():
        monkeypatch.setattr(name, value)
    return Sockets(monkeypatch)


class PlainNetworkProgram(Program):
    """A network whose provider offers no sealed line."""

    command = (sys.executable, "-m", "tests.faults.plain_network")


def local_network(
    stack: ExitStack, home: Path, sockets: Sockets, program: Program | None = None
) -> str:
    """Start a network in a process of its own; note its ports in `sockets`, and return its URL."""
    program = stack.enter_context(
        program or Program(home, "localnet", "--port", "0", "--width", "2", "--providers", "1")
    )
    url = program.line(r"(http://[0-9.:]+)")[1]
    sockets.parts[int(url.rpartition(":")[2])] = "directory"

    def ports() -> bool:
        records = fetch_topology(url).records
        for node in records.mixnodes:
            sockets.parts[_port(node.host)] = "mixnode"
        for provider in records.providers:
            sockets.parts[_port(provider.client_listener)] = "provider"
        return len(sockets.parts) == 1 + 6 + 1  # the directory, the mixnodes, the provider

    wait_until(ports)
    return url


def _port(host: str) -> int:
    address = parse_numeric(host)
    assert address
    return address.port


class Pair:
    """Two clients: Alice writes to Bob, whose application has subscribed."""

    def __init__(self, stack: ExitStack, url: str, traffic: TrafficSettings = FAST) -> None:
        self.alice, self.bob = (
            stack.enter_context(Application(url, traffic=traffic)) for _ in range(2)
        )
        self.sending, self.receiving = (
            stack.enter_context(application.lines()) for application in (self.alice, self.bob)
        )
        self.receiving.say(type="subscribe")
        self.accepted: Counter[bytes] = Counter()
        self.received: Counter[bytes] = Counter()

    def send(self, count: int = 3, size: int = 100, **flags: bool) -> None:
        for _ in range(count):
            message = os.urandom(size)
            self.sending.send(self.bob.address, message, **flags)
            self.accepted[message] += 1

    def check(self) -> None:
        """Wait until everything has arrived; each message must come once, and nothing else."""
        while self.received.total() < self.accepted.total():
            self.received[bytes(self.receiving.receive().message)] += 1
        assert self.received == self.accepted
        self.alice.wait_until_sent()


@pytest.mark.parametrize("is_plain", [False, True])
def test_every_socket_point_in_turn(
    stack: ExitStack, sockets: Sockets, tmp_path: Path, *, is_plain: bool
) -> None:
    plain = PlainNetworkProgram(tmp_path) if is_plain else None
    pair = Pair(stack, local_network(stack, tmp_path, sockets, plain))
    points = PLAIN_POINTS if is_plain else POINTS
    pair.send(reliable=True)
    pair.check()
    for part, operation, fault in points:
        before = sockets.calls[part, operation]
        sockets.arm(part, operation, fault)
        pair.send(reliable=True)
        pair.send(1, 2000, reliable=True)
        called = partial(sockets.was_called_since, before, part, operation)
        wait_until(called, f"{part} {operation}")
        gevent.sleep(LASTS)
        sockets.disarm()
        pair.send(1, reliable=True)
        pair.check()
    assert set(sockets.calls) >= {(part, operation) for part, operation, _ in points}


@pytest.mark.parametrize("error", UNFORESEEN, ids=lambda error: type(error).__name__)
def test_every_other_point_in_turn_and_what_is_no_oserror(
    stack: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Sockets can't be made, threads can't be started, and the journal can't be written."""
    pair = Pair(stack, local_network(stack, tmp_path, Sockets(monkeypatch)))
    pair.send(reliable=True)
    pair.check()
    for owner, name in OTHER_POINTS:
        point = Point(monkeypatch, owner, name)
        pair.send(reliable=True)  # accepted, so on disk; from here on the client meets the error
        point.fail(error)
        wait_until(partial(_has_failed, point), f"two failures of {name}")
        point.work()
        pair.send(1, reliable=True)
        pair.check()


def _has_failed(point: Point) -> bool:
    return point.raised >= 2


@pytest.mark.parametrize("error", ["database or disk is full", "disk I/O error"])
def test_every_statement_of_the_database_in_turn(
    stack: ExitStack,
    sockets: Sockets,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: str,
) -> None:
    Disk.install(monkeypatch)
    pair = Pair(stack, local_network(stack, tmp_path, sockets))
    pair.send()
    pair.check()
    for at in range(1, 25):
        Disk.fail(at, 3, sqlite3.OperationalError(error))
        wait_until(lambda: _send_until_failing(pair))
        pair.check()


def _send_until_failing(pair: Pair) -> bool:
    """Send a message, which may be refused; return whether all failures have happened."""
    message = os.urandom(1500)
    answer = pair.sending.ask(
        type="send",
        recipient_address=encode_base58(pair.bob.address),
        message=message.hex(),
        reliable=True,
    )
    assert answer["type"] == "send" or answer["code"] == "storage"
    if answer["type"] == "send":
        pair.accepted[message.hex().encode()] += 1
    return Disk.failures == 0


@pytest.mark.parametrize("jump", [86_400.0 * 365, -86_400.0 * 365, 1800.0])
def test_clocks_that_jump(
    stack: ExitStack,
    sockets: Sockets,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    jump: float,
) -> None:
    pair = Pair(stack, local_network(stack, tmp_path, sockets))
    clock = Clock(monkeypatch)
    pair.send(reliable=True)
    pair.send()
    clock.offset = jump
    pair.send()
    pair.check()
