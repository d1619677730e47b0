"""The TCP socket that applications talk to."""

import socket
from collections.abc import Iterator

import pytest

from nym.errors import ListenError
from nym.service import Service
from nym.sockets import tcp
from nym.sockets.tcp import TcpSocket
from nym.store import Inbox, Outbox
from nym.topology import ProviderNode, Topology
from nym.wire.addresses import NodeAddress
from tests.harness import wait_until

OWN, OTHER = b"o" * 32, b"p" * 32
AT = NodeAddress("127.0.0.1", 1)
TOPOLOGY = Topology((), (ProviderNode(AT, AT, bytes(32), frozenset({OWN, OTHER})),))


class Served:
    def __init__(self) -> None:
        self.outbox, self.inbox = Outbox(), Inbox()
        self.topology: Topology | None = None
        service = Service(OWN, self.outbox, self.inbox, lambda: self.topology)
        self.socket = TcpSocket(service, "127.0.0.1", 0)
        self.port = self.socket.start()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)


@pytest.fixture
def served() -> Iterator[Served]:
    served = Served()
    yield served
    served.socket.stop()


def ask(connection: socket.socket, request: bytes) -> bytes:
    connection.sendall(request)
    return connection.recv(1 << 16)


def test_every_request_is_answered_on_one_connection(served: Served) -> None:
    served.inbox.deliver(b"hello")
    with served.connect() as connection:
        assert ask(connection, b"\x04") == OWN
        assert ask(connection, b"\x03") == b"Invalid network topology"
        served.topology = TOPOLOGY
        assert ask(connection, b"\x03") == OWN + OTHER
        assert ask(connection, b"\x02") == b"\0\1\0\5hello"
        assert ask(connection, b"\x02") == b"\0\0"
        assert ask(connection, b"\x01" + OTHER + b"hi") == b"ok"
        assert ask(connection, b"\x01" + OTHER) == b"IncompleteDataError"
        assert ask(connection, b"\x09") == b"UnknownRequestError"
        assert b"Sent 976 bytes" in ask(connection, b"\x01" + OTHER + bytes(976))
        assert ask(connection, b"\x04") == OWN
    outgoing = served.outbox.take(lambda waiting: True)
    assert outgoing is not None
    assert (outgoing.recipient, outgoing.message) == (OTHER, b"hi")


def test_more_than_a_request_can_be_ends_the_connection_after_its_answer(served: Served) -> None:
    with served.connect() as connection:
        answer = ask(connection, b"\x01" + OTHER + bytes(1 << 20))
        assert answer.startswith(b"too long message. Sent ")
        assert connection.recv(100) == b""
    assert len(served.outbox) == 0


def test_a_web_page_can_neither_send_nor_empty_the_inbox(served: Served) -> None:
    served.inbox.deliver(b"private")
    for body in (b"\x02", b"\x01" + OTHER + b"forged"):
        with served.connect() as connection:
            header = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n" % len(body)
            assert ask(connection, header) == b"UnknownRequestError"
            connection.sendall(body)  # browsers write the body apart
            assert connection.recv(100) == b""
    assert served.inbox.take_all() == [b"private"]
    assert len(served.outbox) == 0


def test_an_answer_to_a_half_closed_connection(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(b"\x04")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == OWN
        assert connection.recv(100) == b""


def test_messages_that_could_not_be_handed_over_stay(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp, "WRITE_TIMEOUT", 0.1)
    messages = [bytes([i % 256]) * 975 for i in range(9000)]
    for message in messages:
        served.inbox.deliver(message)
    with served.connect() as connection:
        connection.sendall(b"\x02")
        wait_until(lambda: len(served.inbox) == 0)
        wait_until(lambda: len(served.inbox) == len(messages))  # nobody read the answer
    assert served.inbox.take_all() == messages


def test_many_connections_do_not_disturb_each_other(served: Served) -> None:
    connections = [served.connect() for _ in range(tcp.MOST_CONNECTIONS)]
    for connection in connections:
        connection.sendall(b"\x04")
    for connection in connections:
        assert connection.recv(100) == OWN
    for connection in connections:
        connection.close()
    with served.connect() as connection:
        assert ask(connection, b"\x04") == OWN


def test_a_taken_port_is_said(served: Served) -> None:
    other = TcpSocket(Service(OWN, Outbox(), Inbox(), lambda: None), "127.0.0.1", served.port)
    with pytest.raises(ListenError, match=f"port {served.port}"):
        other.start()
