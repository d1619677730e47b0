"""Packets and exchanges over real sockets, with peers that are silent, slow, or not there."""

import os
import resource
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import gevent
import pytest

from nym.errors import DescriptorsError, UnreachableError
from nym.net import descriptors, http, transport
from nym.net.directory import post
from nym.net.http import http_get, http_post
from nym.net.transport import exchange, send_packet
from nym.wire.addresses import NodeAddress
from tests.harness import free_port, serving, wait_until
from tests.test_bare import silence

SEGMENTS_IN = slice(140, 144)  # of the system's struct tcp_info


@pytest.fixture
def short_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "TIMEOUT", 0.3)
    monkeypatch.setattr(transport, "TIMEOUT", 0.3)
    monkeypatch.setattr(transport, "PACKET_TIMEOUT", 0.3)


def hang(connection: socket.socket) -> None:
    connection.recv(1)
    gevent.sleep(60)


def drip(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"x")
        gevent.sleep(0.02)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_packet_is_one_write_on_a_connection_of_its_own(host: str) -> None:
    reads: list[list[bytes]] = []

    def record(connection: socket.socket) -> None:
        reads.append([])
        while data := connection.recv(4096):
            reads[-1].append(data)

    with serving(record, host) as address:
        send_packet(address, bytes(1372))
        send_packet(address, bytes(1372))
        wait_until(lambda: len(reads) == 2 and all(reads))
    assert reads == [[bytes(1372)], [bytes(1372)]]


def test_a_packet_comes_in_the_segment_that_ends_its_connection() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        send_packet(NodeAddress(*server.getsockname()), bytes(1372))
        with closing(server.accept()[0]) as connection:
            known = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, SEGMENTS_IN.stop)
            assert connection.recv(4096) == bytes(1372)
            assert connection.recv(4096) == b""
    # The first one asked for the connection.
    assert int.from_bytes(known[SEGMENTS_IN], sys.byteorder) == 2


def test_the_writing_half_is_shut_before_the_answer_is_read() -> None:
    def echo(connection: socket.socket) -> None:
        request = b""
        while data := connection.recv(4096):
            request += data
        connection.sendall(request[::-1])

    with serving(echo) as address:
        assert exchange(address, b"hello", 100) == b"olleh"
        assert exchange(address, b"hello", 3) == b"oll"


@pytest.mark.usefixtures("short_timeout")
@pytest.mark.parametrize("misbehave", [hang, drip])
def test_a_silent_or_dripping_peer_costs_a_limited_time(
    misbehave: Callable[[socket.socket], None],
) -> None:
    with serving(misbehave) as address:
        began = time.monotonic()
        if misbehave is drip:
            answer = exchange(address, b"hello", 1 << 20)
            assert answer == b"x" * len(answer) != b"", (
                "what had come of the answer was lost at the time-out"
            )
        else:
            with pytest.raises(UnreachableError, match="did not answer within"):
                exchange(address, b"hello", 1 << 20)
        with pytest.raises(UnreachableError):
            http_get(f"http://{address}/")
        # Several time-outs of 0.3 s, and a margin; the peers would go on for a minute, or for ever.
        assert time.monotonic() - began < 5


@pytest.mark.usefixtures("short_timeout")
def test_a_packet_for_a_silent_place_costs_a_limited_time() -> None:
    with silence() as address, pytest.raises(UnreachableError, match=f"{address}.*within 0.3 s"):
        send_packet(address, bytes(1372))


def test_a_peer_that_is_not_there() -> None:
    nowhere = NodeAddress("127.0.0.1", free_port())
    for attempt in (
        lambda: send_packet(nowhere, bytes(1372)),
        lambda: exchange(nowhere, b"", 1),
        lambda: http_get(f"http://{nowhere}/x"),
        lambda: http_post(f"http://{nowhere}/x", b"{}"),
        lambda: post(f"http://{nowhere}/", "/x", b"{}"),
    ):
        with pytest.raises(UnreachableError, match=f"{nowhere}.*can't be reached.*refused"):
            attempt()


def test_a_peer_that_hangs_up() -> None:
    def reset(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with serving(reset) as address, pytest.raises(UnreachableError):
        http_get(f"http://{address}/")


@contextmanager
def no_descriptors_left() -> Iterator[None]:
    """No descriptor can be opened inside the block, as if `ulimit -n` allowed no more than now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    probe = os.dup(0)
    os.close(probe)
    resource.setrlimit(resource.RLIMIT_NOFILE, (probe, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_without_descriptors_each_attempt_ends_and_the_limit_is_named_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(descriptors.said, "until", 0.0)
    with serving(hang) as address, no_descriptors_left():
        for attempt in (
            lambda: send_packet(address, bytes(1372)),
            lambda: exchange(address, b"", 1),
            lambda: http_get(f"http://{address}/"),
        ):
            with pytest.raises(DescriptorsError, match=r"ulimit -n.*LimitNOFILE="):
                attempt()
    assert caplog.text.count("ulimit -n") == len(caplog.records) == 1


def test_an_address_family_that_the_kernel_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "AF_INET6", socket.AF_APPLETALK)
    with pytest.raises(UnreachableError, match=r"\[::1\]:1 can't be reached.*family"):
        send_packet(NodeAddress("::1", 1), bytes(1372))
