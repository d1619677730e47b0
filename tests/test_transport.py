"""Exchanges over real sockets, with peers that misbehave."""

import socket
import time
from collections.abc import Callable

import gevent
import pytest

from nym.errors import RemoteFormatError, UnreachableError
from nym.net import transport
from nym.net.transport import exchange, http_get, http_post, send_packet
from nym.wire.addresses import NodeAddress
from tests.harness import free_port, serving, serving_http, wait_until


@pytest.fixture
def short_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
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
            assert answer == b"x" * len(answer) != b"", "what came is kept"
        else:
            with pytest.raises(UnreachableError, match="did not answer within"):
                exchange(address, b"hello", 1 << 20)
        with pytest.raises(UnreachableError):
            http_get(f"http://{address}/")
        assert time.monotonic() - began < 5


def test_a_peer_that_is_not_there() -> None:
    nowhere = NodeAddress("127.0.0.1", free_port())
    for attempt in (
        lambda: send_packet(nowhere, bytes(1372)),
        lambda: exchange(nowhere, b"", 1),
        lambda: http_get(f"http://{nowhere}/x"),
        lambda: http_post(f"http://{nowhere}/x", b"{}"),
    ):
        with pytest.raises(UnreachableError, match=f"{nowhere}.*can't be reached.*refused"):
            attempt()


def test_a_peer_that_hangs_up() -> None:
    def reset(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with serving(reset) as address, pytest.raises(UnreachableError):
        http_get(f"http://{address}/")


def test_http_answers_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "LONGEST_HTTP_ANSWER", 1000)
    with serving_http(lambda: bytes(1000)) as url:
        assert http_get(url) == bytes(1000)
    with (
        serving_http(lambda: bytes(1001)) as url,
        pytest.raises(RemoteFormatError, match="more than 1000"),
    ):
        http_get(url)


def test_http_errors_are_errors() -> None:
    with serving_http(lambda: b"{}", "404 Not Found") as url:
        with pytest.raises(RemoteFormatError, match="404"):
            http_get(url)
        with pytest.raises(RemoteFormatError, match="404"):
            http_post(url, b"{}")


def test_a_proxy_is_not_asked_for_what_is_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    with serving_http(lambda: b"direct") as url:
        assert http_get(url) == b"direct"


@pytest.mark.parametrize("host", ["127.0.0.1", "directory.example"])
def test_certificates_that_are_named_and_not_there_are_said(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/authorities.pem")
    with pytest.raises(UnreachableError, match=r"CA certificate bundle.*/nowhere/authorities.pem"):
        http_get(f"https://{host}:1")
