"""The WebSocket for applications: handshakes, frames, origins, and broken peers.

The other end is the client side of the `websockets` library, and raw bytes where that library would
never send what a test needs.
"""

import base64
import json
import socket
import struct
from collections import deque
from collections.abc import Iterator
from typing import Any, Protocol, Self

import gevent
import pytest
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

from nym.errors import HandshakeError
from nym.sockets import connection as moving
from nym.sockets import http
from nym.sockets.http import WebSocket
from nym.wire import mix_pb2
from nym.wire.handshake import LONGEST_HEAD, check_caller, new_protocol, received_request
from nym.wire.keys import encode_base58
from nym.wire.sizes import LONGEST_FRAME
from tests.harness import OTHER, OWN, TOPOLOGY, Served, contents, wait_until

DETAILS = {"type": "ownDetails", "address": encode_base58(OWN)}


class Connectable(Protocol):
    """A client with a WebSocket."""

    def connect(self) -> socket.socket:
        """Connect as an application does."""


class Application:
    """An application's side of a WebSocket; `connection` is for bytes that the library forbids."""

    def __init__(self, served: Connectable, path: str = "/", **headers: str) -> None:
        self.connection = served.connect()
        self._events: deque[Any] = deque()
        self.protocol = ClientProtocol(parse_uri(f"ws://127.0.0.1:9001{path}"), max_size=None)
        request = self.protocol.connect()
        for name, value in headers.items():
            if name in request.headers:
                del request.headers[name]
            request.headers[name] = value
        self.protocol.send_request(request)
        self.flush()
        self.response = self.next()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def flush(self) -> None:
        self.connection.sendall(b"".join(self.protocol.data_to_send()))

    def next(self) -> Any:
        """The next frame, or first the response to the handshake; None at the end."""
        while not self._events:
            data = self.connection.recv(1 << 16)
            if data:
                self.protocol.receive_data(data)
            else:
                self.protocol.receive_eof()
            self._events += self.protocol.events_received()
            if not data and not self._events:
                return None
        return self._events.popleft()

    def say(self, **body: object) -> None:
        self.protocol.send_text(json.dumps(body).encode())
        self.flush()

    def hear(self) -> Any:
        frame = self.next()
        assert frame.opcode is Opcode.TEXT
        return json.loads(frame.data)

    def ask(self, **body: object) -> Any:
        self.say(**body)
        return self.hear()

    def send_frames(self, *frames: Frame) -> None:
        for frame in frames:
            self.connection.sendall(frame.serialize(mask=True))

    def closed(self) -> int | None:
        """Read to the end, and return the code with which the server closed."""
        while self.next():
            pass
        return self.protocol.close_code


@pytest.fixture
def served() -> Iterator[Served]:
    with Served(WebSocket) as served:
        yield served


def test_every_request_is_answered_on_any_path(served: Served) -> None:
    served.deliver(b"hello")
    for path in ("/", "/mix", "/any/other?path"):
        with Application(served, path) as application:
            assert application.response.status_code == 101
            assert application.ask(type="ownDetails") == DETAILS
    with Application(served) as application:
        assert application.ask(type="getClients")["code"] == "no_network"
        served.view.topology = TOPOLOGY
        assert application.ask(type="getClients") == {
            "type": "getClients",
            "clients": [encode_base58(OWN), encode_base58(OTHER)],
        }
        assert application.ask(type="fetch") == {
            "type": "fetch",
            "messages": ["hello"],
            "sealed": [True],
        }
        sent = application.ask(type="send", recipient_address=encode_base58(OTHER), message="hi ☃")
        assert sent["type"] == "send"
        assert application.ask(type="status")["outbox"] == 1
        assert application.ask(type="nonsense")["code"] == "unknown_request"
        application.protocol.send_text(b"no JSON")
        application.flush()
        assert application.hear()["type"] == "error"
        assert application.ask(type="ownDetails") == DETAILS
    ((outgoing, _),) = served.outbox.arrivals()
    assert (outgoing.recipient, outgoing.message) == (OTHER, "hi ☃".encode())


def test_protobuf_in_json(served: Served) -> None:
    served.deliver(b"\0\xff")
    key = base64.b64encode(OTHER).decode()
    for path in ("/mix", "/"):
        with Application(served, path) as application:
            assert application.ask(details={})["details"]["details"]["pubKey"] == (
                base64.b64encode(OWN).decode()
            )
            sent = application.ask(send={"message": "aGk=", "recipient": {"pubKey": key}})
            assert sent == {"send": {}}
            assert "field" in application.ask(fetch={"all": True})["exception"]["error"]
            assert application.ask(type="ownDetails") == DETAILS
    with Application(served, "/mix") as application:
        assert application.ask(fetch={}) == {"fetch": {"messages": ["AP8="]}}
        assert application.ask(fetch={}) == {"fetch": {}}
        assert "nonsense" in application.ask(nonsense={})["exception"]["error"]
        assert application.ask(type="nonsense")["code"] == "unknown_request"
        application.protocol.send_text(b"no JSON")
        application.flush()
        assert "JSON" in application.hear()["exception"]["error"]
    assert len(served.outbox) == 2


def test_protobuf_in_binary_messages(served: Served) -> None:
    served.deliver(b"\0\xff")

    def ask(data: bytes) -> mix_pb2.Response:
        application.protocol.send_binary(data)
        application.flush()
        frame = application.next()
        assert frame.opcode is Opcode.BINARY
        return mix_pb2.Response.FromString(frame.data)

    nothing = mix_pb2.Nothing()
    with Application(served, "/mix") as application:
        fetched = ask(mix_pb2.Request(fetch=nothing).SerializeToString())
        assert list(fetched.fetch.messages) == [b"\0\xff"]
        assert ask(b"\xff\xff").exception.error
        assert ask(b"").exception.error
        details = ask(mix_pb2.Request(details=nothing).SerializeToString())
        assert details.details.details.pub_key == OWN
        assert application.ask(details={})["details"]


def test_a_subscriber_gets_messages_as_they_come(served: Served) -> None:
    served.deliver(b"before")
    with Application(served) as application:
        assert application.ask(type="subscribe") == {"type": "subscribe"}
        before = application.hear()
        assert before["data"] == base64.b64encode(b"before").decode()
        served.deliver(b"after")
        after = application.hear()
        assert application.ask(type="ack", id=after["id"]) == {"type": "ack", "id": after["id"]}
    with Application(served) as application:
        assert application.ask(type="subscribe") == {"type": "subscribe"}
        assert application.hear() == before
        assert application.ask(type="ack", id=before["id"])["type"] == "ack"
    assert len(served.inbox) == 0


def test_a_fetch_gives_what_a_message_has_room_for(served: Served) -> None:
    messages = [bytes([i % 256]) * 975 for i in range(2500)]
    served.deliver(*messages)
    received: list[bytes] = []
    with Application(served) as application:
        while len(received) < len(messages):
            application.say(type="fetch", format="base64")
            frame = application.next()
            assert len(frame.data) <= LONGEST_FRAME
            received += map(base64.b64decode, json.loads(frame.data)["messages"])
    assert received == messages


def test_messages_that_could_not_be_handed_over_stay(
    served: Served, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(moving, "WRITE_TIMEOUT", 0.1)
    messages = [bytes([i % 256]) * 975 for i in range(9000)]
    served.deliver(*messages)
    with Application(served) as application:
        for _ in range(20):
            application.say(type="fetch")
        wait_until(lambda: len(served.inbox) < len(messages))
        wait_until(lambda: not served.socket._server.pool)  # type: ignore[union-attr]
        buffered = 0
        while frame := application.next():
            buffered += len(json.loads(frame.data)["messages"])
    # The messages of an answer that was cut short are in the inbox again. Those of whole answers
    # have arrived. Some may be in both places.
    assert len(served.inbox) + buffered >= len(messages)
    assert capfd.readouterr() == ("", "")


# Frames and codes of RFC 6455.


def text(data: bytes, fin: bool = True) -> Frame:
    return Frame(Opcode.TEXT, data, fin)


def continued(data: bytes, fin: bool = True) -> Frame:
    return Frame(Opcode.CONT, data, fin)


QUESTION = b'{"type":"ownDetails"}'
SNOW = '{"type":"ownDetails","☃":0}'.encode()


@pytest.mark.parametrize(
    "frames",
    [
        [text(QUESTION)],
        [text(QUESTION[:5], fin=False), continued(QUESTION[5:])],
        [text(b"", fin=False), continued(b"", fin=False), continued(QUESTION)],
        [
            text(bytes([b]), fin=False) if i == 0 else continued(bytes([b]), fin=i == len(SNOW) - 1)
            for i, b in enumerate(SNOW)
        ],
        [text(QUESTION.ljust(LONGEST_FRAME))],
        [Frame(Opcode.PONG, b"unasked"), text(QUESTION)],
    ],
)
def test_messages_come_whole_or_in_fragments(served: Served, frames: list[Frame]) -> None:
    with Application(served) as application:
        application.send_frames(*frames)
        assert application.hear() == DETAILS


def test_a_ping_is_answered_within_fragments(served: Served) -> None:
    with Application(served) as application:
        application.send_frames(
            text(QUESTION[:5], fin=False), Frame(Opcode.PING, b"p" * 125), continued(QUESTION[5:])
        )
        pong = application.next()
        assert (pong.opcode, pong.data) == (Opcode.PONG, b"p" * 125)
        assert application.hear() == DETAILS


def test_frames_byte_by_byte(served: Served) -> None:
    with Application(served) as application:
        for byte in text(SNOW).serialize(mask=True):
            application.connection.sendall(bytes([byte]))
            gevent.sleep(0)
        assert application.hear() == DETAILS


def close(code: int, reason: bytes = b"") -> Frame:
    return Frame(Opcode.CLOSE, struct.pack("!H", code) + reason)


def rsv(frame: Frame, bit: int) -> bytes:
    data = bytearray(frame.serialize(mask=True))
    data[0] |= bit
    return bytes(data)


def masked(*frames: Frame) -> bytes:
    return b"".join(frame.serialize(mask=True) for frame in frames)


ENDS = {
    "normal": (masked(close(1000, b"bye")), 1000),
    "going away": (masked(close(1001)), 1001),
    "a code of one's own": (masked(close(4999)), 4999),
    "no code": (masked(Frame(Opcode.CLOSE, b"")), 1005),
    "half a code": (masked(Frame(Opcode.CLOSE, b"x")), 1002),
    **{
        f"the code {code}": (masked(close(code)), 1002) for code in (0, 999, 1004, 1005, 1006, 1015)
    },
    **{f"the code {code}": (masked(close(code)), 1002) for code in (1016, 2000, 2999, 5000, 65535)},
    "a reason that is no text": (masked(close(1000, b"\xff")), 1007),
    "no mask": (text(QUESTION).serialize(mask=False), 1002),
    "RSV1": (rsv(text(QUESTION), 0x40), 1002),
    "RSV2": (rsv(text(QUESTION), 0x20), 1002),
    "RSV3": (rsv(text(QUESTION), 0x10), 1002),
    "a continuation of nothing": (masked(continued(QUESTION)), 1002),
    "a message within another": (masked(text(b"{", fin=False), text(b"}")), 1002),
    "no data opcode": (b"\x83\x80\0\0\0\0", 1002),
    "no control opcode": (b"\x8b\x80\0\0\0\0", 1002),
    "a ping in fragments": (b"\x09\x80\0\0\0\0", 1002),
    "a long ping": (b"\x89\xfe\x00\x7e\0\0\0\0" + bytes(126), 1002),
    # These are refused as soon as the length is announced, before the bytes come.
    "a length of 2^32": (b"\x82\xff" + (1 << 32).to_bytes(8, "big"), 1009),
    "a negative length": (b"\x81\xff" + b"\xff" * 8, 1009),
    "just too long": (b"\x81\xff" + (LONGEST_FRAME + 1).to_bytes(8, "big"), 1009),
    "no UTF-8": (masked(text(b"\xff")), 1007),
    "half a character": (masked(text(b"\xe2\x98")), 1007),
    "a character that breaks off": (masked(text(b"\xe2", fin=False), continued(b"x")), 1007),
    "too long": (masked(text(b" " * (LONGEST_FRAME + 1))), 1009),
    "too long in parts": (masked(text(b" " * LONGEST_FRAME, fin=False), continued(b" ")), 1009),
    "too many bytes": (masked(text("☃".encode() * (LONGEST_FRAME // 3 + 1))), 1009),
}


@pytest.mark.parametrize("name", ENDS)
def test_an_end_has_its_code(served: Served, name: str) -> None:
    data, code = ENDS[name]
    with Application(served) as application, Application(served) as other:
        application.connection.sendall(data)
        assert application.closed() == code
        assert other.ask(type="ownDetails") == DETAILS


@pytest.mark.parametrize("end", [close(1000), text(b"\xff"), continued(b"")])
def test_what_follows_an_end_is_not_read(served: Served, end: Frame) -> None:
    late = {"type": "send", "recipient_address": encode_base58(OTHER), "message": "late"}
    with Application(served) as application:
        application.connection.sendall(masked(end, text(json.dumps(late).encode())))
        assert application.closed() in (1000, 1002, 1007)
    assert len(served.outbox) == 0


def test_a_client_that_stops_says_so(served: Served) -> None:
    with Application(served) as application:
        assert application.ask(type="ownDetails") == DETAILS
        served.socket.stop()
        said = b""
        while part := application.connection.recv(1000):
            said += part
        assert said == Frame(Opcode.CLOSE, struct.pack("!H", 1001) + b"the client stops").serialize(
            mask=False
        )


# Which web sites may connect, and under which names of this machine.


def refused(served: Served, **headers: str) -> str:
    with Application(served, **headers) as application:
        assert application.response.status_code == 403
        return str(application.response.body, "utf-8")


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost.evil.example"]
)
def test_a_web_site_may_not_talk(served: Served, origin: str) -> None:
    assert "allowed_origins" in refused(served, origin=origin)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:9001", "192.168.1.5", "0.0.0.0"])
def test_a_name_that_somebody_let_point_here_is_not_ours(served: Served, host: str) -> None:
    assert "127.0.0.1" in refused(served, host=host)
    assert "127.0.0.1" in refused(served, host=host, origin="http://127.0.0.1")


@pytest.mark.parametrize("origin", ["file://", "http://localhost:3000", "http://127.0.0.1"])
def test_files_and_loopback_may(served: Served, origin: str) -> None:
    for host in ("localhost", "127.0.0.1:9001", "[::1]:9001"):
        with Application(served, origin=origin, host=host) as application:
            assert application.ask(type="ownDetails") == DETAILS


def test_a_web_site_that_is_listed_may() -> None:
    with Served(WebSocket, allowed_origins=["https://chat.example"]) as served:
        with Application(served, origin="https://chat.example") as application:
            assert application.ask(type="ownDetails") == DETAILS
        assert refused(served, origin="https://evil.example")


@pytest.mark.parametrize(
    ("host", "is_own"),
    [("nym.lan:9001", True), ("10.1.2.3:9001", True), ("10.1.2.4", False), ("lan", False)],
)
def test_what_it_was_told_to_listen_on_is_its_own(host: str, is_own: bool) -> None:
    protocol = new_protocol()
    protocol.receive_data(head(Host=host))
    request = received_request(protocol)
    assert request is not None
    if is_own:
        check_caller(request, {"nym.lan", "10.1.2.3"}, ())
    else:
        with pytest.raises(HandshakeError, match="Host"):
            check_caller(request, {"nym.lan", "10.1.2.3"}, ())


def test_every_address_that_it_listens_on_is_its_own() -> None:
    with Served(WebSocket, host="0.0.0.0") as served:
        with Application(served, host="127.0.0.1:1") as application:
            assert application.ask(type="ownDetails") == DETAILS
        assert refused(served, host="10.1.2.3")


# The handshake, which is HTTP.

GOOD = {
    "Host": "127.0.0.1",
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def http_answer(served: Served, request: bytes) -> tuple[int, str]:
    with served.connect() as connection:
        connection.sendall(request)
        received = b""
        while b"\r\n\r\n" not in received or (b" 101 " not in received.split(b"\r\n")[0]):
            if not (part := connection.recv(1 << 16)):
                break
            received += part
        head, _, body = received.partition(b"\r\n\r\n")
        return int(head.split()[1]), body.decode()


def head(method: str = "GET", version: str = "HTTP/1.1", **changed: str | None) -> bytes:
    headers = {**GOOD, **{name.replace("_", "-"): value for name, value in changed.items()}}
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join([f"{method} / {version}", *lines, "", ""]).encode()


def test_the_example_of_the_standard(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(head())
        answer = connection.recv(1 << 16)
    assert b"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in answer


@pytest.mark.parametrize(
    ("request_", "status", "says"),
    [
        (head(Sec_WebSocket_Key=None), 400, "Sec-WebSocket-Key"),
        (head(Sec_WebSocket_Key="dG9vIHNob3J0"), 400, "Sec-WebSocket-Key"),
        (head(Sec_WebSocket_Key="?"), 400, "Sec-WebSocket-Key"),
        (head(Sec_WebSocket_Version=None), 400, "Sec-WebSocket-Version"),
        (head(Sec_WebSocket_Version="8"), 400, "Sec-WebSocket-Version"),
        (head(Connection="close"), 426, "Connection"),
        (head(Upgrade="h2c"), 426, "Upgrade"),
        (head(Upgrade=None), 426, "You need a WebSocket client"),
        (head("POST"), 405, "POST"),
        (head(version="HTTP/1.0"), 505, "HTTP/1.0"),
        (head(Content_Length="3") + b"abc", 400, "unsupported request body"),
        (head(Host=None), 400, "Host"),
        (
            head(Host="127.0.0.1").replace(b"\r\n\r\n", b"\r\nHost: evil.example\r\n\r\n"),
            403,
            "Host",
        ),
        (head(Connection="\xe9, upgrade"), 400, "connection"),
        (head(X="x" * LONGEST_HEAD), 400, "this port takes WebSockets"),
        (head(**{f"X{i}": "x" * (LONGEST_HEAD // 9) for i in range(9)}), 431, "16384 bytes"),
        (b'{"type":"ownDetails"}\n', 400, "tcpsocket"),
        (b"\x04\r\n", 400, "tcpsocket"),
        (b"GET / HTTP/9.9\r\n\r\n", 400, "tcpsocket"),
    ],
)
def test_a_bad_handshake_is_told_what_is_wrong(
    served: Served, request_: bytes, status: int, says: str
) -> None:
    got, body = http_answer(served, request_)
    assert got == status
    assert says in body
    with Application(served) as application:
        assert application.ask(type="ownDetails") == DETAILS


@pytest.mark.parametrize("version", [None, "8", "13, 13", ""])
def test_another_version_is_told_which_one_is_spoken(served: Served, version: str | None) -> None:
    with served.connect() as connection:
        connection.sendall(head(Sec_WebSocket_Version=version))
        answer = connection.recv(1 << 16)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"\r\nSec-WebSocket-Version: 13\r\n" in answer


def test_who_is_too_slow_is_left(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "HANDSHAKE_TIME", 0.1)
    for beginning in (b"", b"GET", head()[:60]):
        assert http_answer(served, beginning) == (408, "no request within 0.1 s\n")
    with Application(served) as application:
        gevent.sleep(2 * http.HANDSHAKE_TIME)  # after its handshake, a WebSocket may be silent
        assert application.ask(type="ownDetails") == DETAILS


def test_many_connections_do_not_disturb_each_other(served: Served) -> None:
    applications = [Application(served) for _ in range(100)]
    for i, application in enumerate(applications):
        application.say(type="ack", id=str(i))
        application.say(type="ownDetails")
    for i, application in enumerate(applications):
        assert f" {i} " in application.hear()["message"]
        assert application.hear() == DETAILS
    for application in applications:
        application.connection.close()
    with Application(served) as application:
        assert application.ask(type="ownDetails") == DETAILS


def test_nothing_that_was_sent_here_is_in_a_log(
    served: Served, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0, "nym")
    http_answer(served, b'{"type":"send","message":"private"}\n')
    http_answer(served, head(Host="private"))
    with Application(served) as application:
        application.protocol.send_text(b"private")
        application.flush()
        application.hear()
        # Closing resets the connection, as if the application had died.
        application.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    wait_until(lambda: not served.socket._server.pool)  # type: ignore[union-attr]
    out, err = capfd.readouterr()
    assert "private" not in out + err + caplog.text
    assert contents(served.inbox.take()) == []
