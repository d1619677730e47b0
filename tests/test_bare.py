"""Bare sockets: what they wait for, how long, and what becomes of whoever waits."""

import errno
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import gevent
import pytest

from nym.errors import UnreachableError
from nym.net.bare import BareServer, BareSocket
from nym.net.transport import arriving, connect_to_any
from nym.wire.addresses import NodeAddress
from tests.harness import PATIENCE, free_port, wait_until

HOSTS = ["127.0.0.1", "::1"]
SOON = 0.05  # seconds


def open_descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def pair(stack: ExitStack, host: str = "127.0.0.1") -> tuple[BareSocket, socket.socket]:
    """A bare socket, and what it is connected to."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server = stack.enter_context(socket.create_server((host, 0), family=family))
    ours = stack.enter_context(closing(BareSocket(family)))
    ours.connect_within(PATIENCE, NodeAddress(*server.getsockname()[:2]))
    return ours, stack.enter_context(server.accept()[0])


@contextmanager
def silence() -> Iterator[NodeAddress]:
    """A place that neither takes connections nor refuses them: nobody serves its short queue."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        place = NodeAddress(*server.getsockname())
        while True:
            one = stack.enter_context(closing(BareSocket(socket.AF_INET)))
            try:
                one.connect_within(SOON, place)
            except TimeoutError:
                break
        yield place


@pytest.mark.parametrize("host", HOSTS)
def test_what_is_sent_arrives(stack: ExitStack, host: str) -> None:
    ours, theirs = pair(stack, host)
    assert ours.send(b"hello") == 5
    assert theirs.recv(100) == b"hello"
    theirs.sendall(b"and back")
    assert ours.recv_within(PATIENCE, 3) == b"and"
    assert ours.recv_within(PATIENCE, 100) == b" back"
    theirs.close()
    assert ours.recv_within(PATIENCE, 100) == b""


def test_whoever_reads_waits_until_something_comes(stack: ExitStack) -> None:
    ours, theirs = pair(stack)
    reading = gevent.spawn(ours.recv_within, PATIENCE, 100)
    wait_until(lambda: ours._watcher is not None)
    theirs.sendall(b"late")
    assert reading.get() == b"late"


def test_a_wait_has_an_end(stack: ExitStack) -> None:
    ours, theirs = pair(stack)
    with pytest.raises(TimeoutError, match=r"no answer within 0\.05 s"):
        ours.recv_within(SOON, 100)
    theirs.sendall(b"late")
    assert ours.recv_within(PATIENCE, 100) == b"late"


def test_a_silent_place_costs_no_more_time_than_it_may() -> None:
    before = open_descriptors()
    with silence() as place, closing(BareSocket(socket.AF_INET)) as ours:
        with pytest.raises(TimeoutError):
            ours.connect_within(SOON, place)
        assert ours._watcher is None
    assert open_descriptors() == before


def test_a_place_that_refuses_says_so() -> None:
    with closing(BareSocket(socket.AF_INET)) as ours, pytest.raises(ConnectionRefusedError):
        ours.connect_within(PATIENCE, NodeAddress("127.0.0.1", free_port()))


def test_nothing_waits_for_a_peer_that_does_not_read(stack: ExitStack) -> None:
    ours, _ = pair(stack)

    def fill() -> None:
        while True:
            ours.send(bytes(1 << 20))

    with pytest.raises(BlockingIOError):
        fill()


def test_whoever_waits_for_a_socket_that_is_closed_hears_of_it(stack: ExitStack) -> None:
    before = open_descriptors()
    ours, theirs = pair(stack)
    reading = gevent.spawn(ours.recv_within, PATIENCE, 100)
    wait_until(lambda: ours._watcher is not None)
    ours.close()
    with pytest.raises(OSError, match="closed") as raised:
        reading.get(timeout=PATIENCE)
    assert raised.value.errno == errno.EBADF
    assert theirs.recv(1) == b""
    stack.close()
    assert open_descriptors() == before


def test_whoever_waits_can_be_killed(stack: ExitStack) -> None:
    ours, theirs = pair(stack)
    reading = gevent.spawn(ours.recv_within, PATIENCE, 100)
    wait_until(lambda: ours._watcher is not None)
    reading.kill()
    theirs.sendall(b"for another one")
    assert ours.recv_within(PATIENCE, 100) == b"for another one"


@pytest.mark.parametrize("host", HOSTS)
def test_a_server_accepts_bare_sockets(stack: ExitStack, host: str) -> None:
    def echo(connection: Any, peer: tuple[str, int]) -> None:
        with closing(connection):
            assert isinstance(connection, BareSocket)
            connection.send(connection.recv_within(PATIENCE, 100) + str(peer[1]).encode())

    server = BareServer((host, 0), echo)
    server.start()
    stack.callback(server.stop)
    with socket.create_connection((host, server.server_port), PATIENCE) as connection:
        connection.sendall(b"port ")
        assert connection.recv(100) == b"port %d" % connection.getsockname()[1]
        assert connection.recv(100) == b""


@pytest.mark.parametrize("host", HOSTS)
def test_what_arrives_is_read_until_it_is_long_enough(stack: ExitStack, host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server = stack.enter_context(socket.create_server((host, 0), family=family))
    place = NodeAddress(*server.getsockname()[:2])
    connection = stack.enter_context(closing(connect_to_any(place, PATIENCE)))
    theirs = stack.enter_context(server.accept()[0])
    for number in range(3):
        gevent.spawn_later(number * SOON, theirs.sendall, b"later")
    until = time.monotonic() + PATIENCE
    assert b"".join(arriving(connection, place, 12, until)) == b"laterlaterla"
    with pytest.raises(UnreachableError, match=f"{re.escape(str(place))} did not answer within 10"):
        list(arriving(connection, place, 100, time.monotonic() + SOON))
    gevent.spawn_later(SOON, theirs.close)
    assert list(arriving(connection, place, 100, until)) == []
