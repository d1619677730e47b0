"""The TCP socket for applications, in each of its dialects: raw, framed, and JSON lines.

Behind the socket is a client without a network (harness.Served).
"""

import base64
import json
import socket
import tracemalloc
from collections.abc import Iterator
from itertools import product

import gevent
import pytest

from nym.errors import ContactsError, ListenError
from nym.sockets import connection as moving
from nym.sockets import conversation, tcp
from nym.sockets.tcp import TcpSocket
from nym.topology import Nodes
from nym.wire import json_answers, mix_pb2
from nym.wire import lines as lines_module
from nym.wire.framing import FrameBuffer, Framing, encode_frame
from nym.wire.keys import encode_base58
from nym.wire.pieces import PIECE
from nym.wire.requests import MOST_OFFERED
from tests.harness import OTHER, OWN, PATIENCE, TOPOLOGY, Lines, Served, contents, wait_until


@pytest.fixture
def served() -> Iterator[Served]:
    with Served(TcpSocket) as served:
        yield served


def ask(connection: socket.socket, request: bytes) -> bytes:
    connection.sendall(request)
    return connection.recv(1 << 16)


def test_every_request_is_answered_on_one_connection(served: Served) -> None:
    served.deliver(b"hello")
    with served.connect() as connection:
        assert ask(connection, b"\x04") == OWN
        assert ask(connection, b"\x03") == b"Invalid network topology"
        served.view.topology = TOPOLOGY
        assert ask(connection, b"\x03") == OWN + OTHER
        assert ask(connection, b"\x02") == b"\0\1\0\5hello"
        assert ask(connection, b"\x02") == b"\0\0"
        assert ask(connection, b"\x01" + OTHER + b"hi") == b"ok"
        assert ask(connection, b"\x01" + OTHER) == b"IncompleteDataError"
        assert ask(connection, b"\x09") == b"UnknownRequestError"
        assert b"Sent 976 bytes" in ask(connection, b"\x01" + OTHER + bytes(976))
        assert ask(connection, b"\x04") == OWN
    ((outgoing, _),) = served.outbox.arrivals()
    assert (outgoing.recipient, outgoing.message) == (OTHER, b"hi")


def test_more_than_a_request_can_be_ends_the_connection_after_its_answer(served: Served) -> None:
    with served.connect() as connection:
        answer = ask(connection, b"\x01" + OTHER + bytes(1 << 20))
        assert answer.startswith(b"too long message. Sent ")
        assert connection.recv(100) == b""
    assert len(served.outbox) == 0


def test_a_web_page_can_neither_send_nor_empty_the_inbox(served: Served) -> None:
    served.deliver(b"private")
    frame = framed(send(b"forged"), FETCH, FLUSH, framing=Framing.VARINT)
    for method, body in product(
        # A page can also choose the method, if its own name resolves to this machine. The last
        # method would be a valid frame, and the rest of the head would have another one.
        (b"POST", b"2", b"!", b"`*.z*" + b"A" * 42 + b"xA"),
        (b"\x02", b"\x01" + OTHER + b"forged", frame, b'\n{"type":"fetch"}\n'),
    ):
        with served.connect() as connection:
            header = b"%s / HTTP/1.1\r\nHost: evil.example\r\n\r\n" % method
            assert ask(connection, header) == b"UnknownRequestError"
            connection.sendall(body)  # browsers send the body separately from the head
            assert connection.recv(100) == b""
    assert contents(served.inbox.take()) == [b"private"]
    assert len(served.outbox) == 0


def test_a_peer_that_goes_on_dripping_is_left(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "LINGER", 0.1)
    with served.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")

        def drip() -> bool:
            try:
                connection.sendall(b"x")
            except OSError:
                return True
            return False

        wait_until(drip, "the end of the connection")


def test_an_answer_to_a_half_closed_connection(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(b"\x04")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == OWN
        assert connection.recv(100) == b""


def test_messages_that_could_not_be_handed_over_stay(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "WRITE_TIMEOUT", 0.1)
    messages = [bytes([i % 256]) * 975 for i in range(9000)]
    for message in messages:
        served.deliver(message)
    with served.connect() as connection:
        connection.sendall(b"\x02")
        wait_until(lambda: len(served.inbox) == 0)
        # They come back, because the answer could not be written: nobody read it.
        wait_until(lambda: len(served.inbox) == len(messages))
    assert contents(served.inbox.take()) == messages


def test_many_connections_do_not_disturb_each_other(served: Served) -> None:
    connections = [served.connect() for _ in range(100)]
    for connection in connections:
        connection.sendall(b"\x04")
    for connection in connections:
        assert connection.recv(100) == OWN
    for connection in connections:
        connection.close()
    with served.connect() as connection:
        assert ask(connection, b"\x04") == OWN


def test_a_taken_port_is_said(served: Served) -> None:
    with (
        pytest.raises(ListenError, match=f"port {served.port}.*--port"),
        Served(TcpSocket, port=served.port),
    ):
        pytest.fail("two sockets on one port")


# The framed dialect.


def framed(*requests: mix_pb2.Request, framing: Framing = Framing.FIXED) -> bytes:
    return b"".join(encode_frame(framing, request.SerializeToString()) for request in requests)


def responses(data: bytes, framing: Framing = Framing.FIXED) -> list[mix_pb2.Response]:
    return [mix_pb2.Response.FromString(message) for message in FrameBuffer(framing).feed(data)]


NOTHING = mix_pb2.Nothing()
DETAILS = mix_pb2.Request(details=NOTHING)
FETCH = mix_pb2.Request(fetch=NOTHING)
CLIENTS = mix_pb2.Request(clients=NOTHING)
FLUSH = mix_pb2.Request(flush=NOTHING)


def send(message: bytes, address_length: int = 32) -> mix_pb2.Request:
    return mix_pb2.Request(
        send=mix_pb2.Send(message=message, recipient=mix_pb2.Client(pub_key=OTHER[:address_length]))
    )


@pytest.mark.parametrize("framing", Framing)
def test_answers_wait_for_the_flush_and_leave_in_one_write(
    served: Served, framing: Framing
) -> None:
    served.deliver(b"hello")
    with served.connect() as connection:
        connection.sendall(framed(DETAILS, send(b"hi"), FETCH, framing=framing))
        wait_until(lambda: len(served.outbox) == 1)
        connection.settimeout(0.05)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(10)
        connection.sendall(framed(FLUSH, framing=framing))
        details, sent, fetched, flushed = responses(connection.recv(1 << 16), framing)
    assert details.details.details.pub_key == OWN
    assert sent.WhichOneof("value") == "send"
    assert list(fetched.fetch.messages) == [b"hello"]
    assert flushed.WhichOneof("value") == "flush"


def test_what_follows_a_flush_waits_for_the_next_one(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(framed(DETAILS, FLUSH, DETAILS, DETAILS))
        assert len(responses(connection.recv(1 << 16))) == 2
        connection.sendall(framed(FLUSH))
        assert len(responses(connection.recv(1 << 16))) == 3


def test_many_answers_before_a_flush_leave_with_it(served: Served) -> None:
    clients = frozenset(bytes([i]) * 32 for i in range(200))
    served.view.topology = TOPOLOGY._replace(
        providers=Nodes((TOPOLOGY.providers[0]._replace(clients=clients),))
    )
    with served.connect() as connection:
        connection.sendall(framed(CLIENTS, DETAILS, FLUSH))
        listed, details, flushed = responses(connection.recv(1 << 20))
    assert len(listed.clients.clients) == 200
    assert details.details.details.pub_key == OWN
    assert flushed.WhichOneof("value") == "flush"


def test_answers_do_not_pile_up(served: Served) -> None:
    clients = frozenset(bytes([i // 256, i % 256]) * 16 for i in range(2000))
    served.view.topology = TOPOLOGY._replace(
        providers=Nodes((TOPOLOGY.providers[0]._replace(clients=clients),))
    )
    received = 0
    tracemalloc.start()
    with served.connect() as connection:
        connection.sendall(framed(*[CLIENTS] * 50))  # one read brings requests for 15 MB of answers
        connection.shutdown(socket.SHUT_WR)
        while part := connection.recv(1 << 16):
            received += len(part)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert received > 10e6
    assert peak < 8e6


def test_who_never_flushes_gets_answers_when_enough_have_gathered(served: Served) -> None:
    for _ in range(5):
        served.deliver(bytes(900))
    with served.connect() as connection:
        connection.sendall(framed(FETCH))
        received = b""
        while len(received) < 5 * 900:
            received += connection.recv(1 << 16)
    (fetched,) = responses(received)
    assert list(fetched.fetch.messages) == [bytes(900)] * 5


def test_the_old_client_writes_a_length_apart(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tcp, "DETECTION_TIME", 10.0)
    with served.connect() as connection:
        for request in (DETAILS, FLUSH):  # 2 bytes each, so the length is 04, a raw request, too
            frame = framed(request, framing=Framing.VARINT)
            assert frame[:1] == b"\x04"
            connection.sendall(frame[:1])
            gevent.sleep(0.05)  # so that the socket gets the length and the message in two reads
            connection.sendall(frame[1:])
        details, _ = responses(connection.recv(1 << 16), Framing.VARINT)
    assert details.details.details.pub_key == OWN


def test_byte_by_byte(served: Served) -> None:
    with served.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in framed(DETAILS, FLUSH):
            connection.sendall(bytes([byte]))
        assert len(responses(connection.recv(1 << 16))) == 2


def test_a_wrong_request_is_answered_and_the_next_one_too(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(framed(DETAILS, send(b"", 31), mix_pb2.Request(), DETAILS, FLUSH))
        answers = responses(connection.recv(1 << 16))
    assert [answer.WhichOneof("value") for answer in answers] == [
        *("details", "exception", "exception", "details", "flush")
    ]
    assert "31 bytes instead of 32" in answers[1].exception.error
    assert "was expected" in answers[2].exception.error


@pytest.mark.parametrize(
    "data",
    [
        b"\0" + b"\xff" * 7 + bytes(100),  # a length of far more than 1 MiB
        encode_frame(Framing.FIXED, b"no protobuf"),
        b"\x16\x03\x01 the beginning of a TLS handshake",
        framed(DETAILS) + b"\xff" * 8 + framed(DETAILS, FLUSH),
    ],
)
def test_where_a_length_cannot_be_trusted_the_connection_ends(served: Served, data: bytes) -> None:
    framing = Framing.FIXED if data[0] == 0 else Framing.VARINT
    with served.connect() as connection:
        connection.sendall(data)
        received = b""
        while part := connection.recv(1 << 16):
            received += part
        assert responses(received, framing)[-1].exception.error
    with served.connect() as connection:
        assert ask(connection, b"\x04") == OWN


def test_what_was_held_back_when_a_connection_ends_stays(served: Served) -> None:
    served.deliver(b"one")
    with served.connect() as connection:
        connection.sendall(framed(FETCH))
        wait_until(lambda: len(served.inbox) == 0)
        # Closing resets the connection, as if the application had died.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    wait_until(lambda: len(served.inbox) == 1)
    with served.connect() as connection:
        connection.sendall(framed(FETCH))
        connection.shutdown(socket.SHUT_WR)
        (fetched,) = responses(connection.recv(1 << 16))
        assert list(fetched.fetch.messages) == [b"one"]


def test_an_answer_is_never_longer_than_a_frame_may_be(served: Served) -> None:
    messages = [bytes([i % 256]) * 975 for i in range(2500)]
    for message in messages:
        served.deliver(message)
    received: list[bytes] = []
    with served.connect() as connection:
        buffer = FrameBuffer(Framing.FIXED)
        connection.sendall(framed(FETCH, FETCH, FETCH, FLUSH))
        answers = 0
        while answers < 4:
            for frame in buffer.feed(connection.recv(1 << 16)):
                answers += 1
                received += mix_pb2.Response.FromString(frame).fetch.messages
    assert received == messages


# JSON lines.


def test_a_script_needs_a_line_of_json(served: Served) -> None:
    served.deliver(b"hello")
    with Lines(served.connect()) as lines:
        assert lines.ask(type="ownDetails") == {"type": "ownDetails", "address": encode_base58(OWN)}
        assert lines.ask(type="getClients")["code"] == "no_network"
        sent = lines.ask(type="send", recipient_address=encode_base58(OTHER), message="hi")
        assert sent["type"] == "send"
        to_bob = {"type": "send", "recipient_address": encode_base58(OTHER)}
        too_long = {**to_bob, "data": "AAAA" * 400, "plain": True}
        assert lines.ask(**too_long)["message"] == (
            "too long message. Sent 1200 bytes while the maximum is 975"
        )
        assert lines.ask(**too_long, reliable=True)["code"] == "incomplete"
        nobody = encode_base58(bytes(32))
        assert lines.ask(**{**to_bob, "recipient_address": nobody}, message="hi")["code"] == (
            "bad_recipient"
        )
        assert lines.ask(type="fetch") == {"type": "fetch", "messages": ["hello"], "sealed": [True]}
        status = lines.ask(type="status")
        assert (status["outbox"], status["inbox"], status["registered"]) == (1, 0, False)
        assert lines.ask(type="nonsense")["code"] == "unknown_request"
        assert lines.ask(type="ownDetails")["type"] == "ownDetails"


def test_a_last_line_needs_no_end(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(b'{"type":"ownDetails"}\n\n{"type":"ownDetails"}')
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while part := connection.recv(1000):
            received += part
    assert received.count(b"\n") == 2


def test_a_subscriber_gets_messages_as_they_come_and_keeps_asking(served: Served) -> None:
    served.deliver(b"before")
    with Lines(served.connect()) as lines:
        lines.say(type="ownDetails")
        assert lines.hear()["type"] == "ownDetails"
        assert lines.ask(type="subscribe") == {"type": "subscribe"}
        before = lines.hear()
        assert before["data"] == base64.b64encode(b"before").decode()
        served.deliver(b"after")
        after = lines.hear()
        assert after["data"] == base64.b64encode(b"after").decode()
        assert lines.ask(type="ack", id=after["id"]) == {"type": "ack", "id": after["id"]}
        assert lines.ask(type="ack", id=after["id"])["code"] == "no_such_message"
        assert lines.ask(type="fetch") == {"type": "fetch", "messages": [], "sealed": []}
    with Lines(served.connect()) as lines:  # the subscriber left, and returns
        assert lines.ask(type="subscribe") == {"type": "subscribe"}
        assert lines.hear() == before
        assert lines.ask(type="ack", id=before["id"])["type"] == "ack"
    assert len(served.inbox) == 0


def test_a_subscriber_that_does_not_read_is_dropped_and_its_messages_kept(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "WRITE_TIMEOUT", 0.1)
    with Lines(served.connect()) as lines:
        lines.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        assert lines.ask(type="subscribe") == {"type": "subscribe"}
        served.deliver(*[bytes(100_000)] * 100)
        wait_until(lambda: served.inbox._offered)
        wait_until(lambda: not served.inbox._subscribers)
    assert len(served.inbox) == 100
    assert len(served.inbox.take()) == 100


@pytest.mark.parametrize("error", [MemoryError, ValueError, ContactsError])
def test_a_subscriber_who_cannot_be_told_loses_its_connection_and_no_message(
    served: Served,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: type[Exception],
) -> None:
    def fail(*_: object) -> Iterator[str]:
        yield "{" * PIECE
        yield ""
        raise error

    monkeypatch.setattr(json_answers, "encode_news", fail)
    with Lines(served.connect()) as lines:
        assert lines.ask(type="subscribe") == {"type": "subscribe"}
        served.deliver(b"1", b"2")
        received = b""
        while some := lines.connection.recv(1 << 16):
            received += some
        assert received == b"{" * PIECE
    wait_until(lambda: not served.inbox._subscribers)
    assert contents(served.inbox.take()) == [b"1", b"2"]
    assert caplog.text.count("a subscriber could not be told") == 1


@pytest.mark.parametrize("error", [MemoryError, ValueError, ContactsError])
def test_an_answer_that_fails_ends_its_connection_and_loses_no_message(
    served: Served,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: type[Exception],
) -> None:
    def fail(*_: object) -> Iterator[str]:
        yield "{"
        yield ""
        raise error

    served.deliver(b"1", b"2")
    monkeypatch.setattr(json_answers, "encode_response", fail)
    with Lines(served.connect()) as lines:
        lines.say(type="fetch")
        assert lines.connection.recv(10) == b"{"
        assert lines.connection.recv(10) == b""
    wait_until(served.inbox.has_free)
    assert contents(served.inbox.take()) == [b"1", b"2"]
    assert caplog.text.count("a connection to the TCP socket was ended") == 1


def test_who_does_not_follow_hears_when_there_is_no_more(served: Served) -> None:
    with Lines(served.connect()) as lines, Lines(served.connect()) as other:
        assert lines.ask(type="subscribe", follow=False) == {"type": "subscribe"}
        assert lines.hear() == {"type": "end"}
        served.deliver(b"1", b"2")
        assert [lines.receive().message for _ in range(2)] == [b"1", b"2"]
        served.deliver(b"3", b"4")
        assert lines.receive().message == b"3"
        assert other.ask(type="subscribe", follow=False, window=1) == {"type": "subscribe"}
        assert other.hear() == {"type": "end"}, (
            "messages that are offered to another subscriber must not delay the end"
        )


def test_no_more_than_the_window_is_ahead_and_the_end_comes_last(served: Served) -> None:
    served.deliver(b"1", b"2", b"3")
    with Lines(served.connect()) as lines:
        assert lines.ask(type="subscribe", follow=False, window=1) == {"type": "subscribe"}
        heard = []
        while (said := lines.hear())["type"] != "end":
            heard.append(said["type"])
            if said["type"] == "message":
                lines.say(type="ack", id=said["id"])
        served.deliver(b"4")
        assert lines.receive().message == b"4"
        lines.say(type="status")
        assert lines.hear()["type"] == "status", "the end was sent a second time"
    assert heard == ["message", "ack"] * 3


def test_answers_and_messages_do_not_mix(served: Served) -> None:
    clients = frozenset(bytes([i // 256, i % 256]) * 16 for i in range(4000))
    served.view.topology = TOPOLOGY._replace(
        providers=Nodes((TOPOLOGY.providers[0]._replace(clients=clients),))
    )
    with Lines(served.connect()) as lines:
        assert lines.ask(type="subscribe") == {"type": "subscribe"}
        lines.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 17)
        for _ in range(40):
            lines.say(type="getClients")  # 7 MB of answers in all, more than buffers hold
        for i in range(50):
            served.deliver(b"%d" % i)
            gevent.sleep(0)
        heard = [lines.hear()["type"] for _ in range(90)]
    assert heard.count("getClients") == 40
    assert heard.count("message") == 50


def test_news_behind_an_answer_do_not_wait_for_its_acknowledgement(served: Served) -> None:
    with Lines(served.connect()) as application:
        application.ask(type="ownDetails")
        (visit,) = served.socket._visits
        assert visit._connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_two_subscribers_share_and_lose_nothing(served: Served) -> None:
    with Lines(served.connect()) as one, Lines(served.connect()) as other:
        for lines in (one, other):
            assert lines.ask(type="subscribe") == {"type": "subscribe"}
        heard = []
        for i in range(10):
            served.deliver(b"%d" % i)
        for lines in (one, other):
            lines.connection.settimeout(0.2)
            try:
                while True:
                    heard.append(lines.hear()["data"])
            except TimeoutError:
                continue
    assert sorted(heard) == sorted(base64.b64encode(b"%d" % i).decode() for i in range(10))


def test_an_endless_line_ends_the_connection(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines_module, "LONGEST_LINE", 1 << 20)
    with served.connect() as connection:
        connection.sendall(b"{" * ((1 << 20) + 1))
        received = b""
        while part := connection.recv(1000):
            received += part
    assert json.loads(received)["type"] == "error"


def commits(served: Served) -> list[str]:
    """A list that gets a COMMIT each time that the database waits for the disk."""
    seen: list[str] = []
    served.journal._database._connection.set_trace_callback(
        lambda statement: seen.append(statement) if statement == "COMMIT" else None
    )
    return seen


def test_a_thousand_sends_are_not_a_thousand_commits(served: Served) -> None:
    seen = commits(served)
    send_line = json.dumps(
        {"type": "send", "recipient_address": encode_base58(OTHER), "message": "hi"}
    )
    with Lines(served.connect()) as lines:
        lines.connection.sendall(f"{send_line}\n".encode() * 1000)
        answers = [lines.hear() for _ in range(1000)]
    assert {answer["type"] for answer in answers} == {"send"}
    assert len({answer["id"] for answer in answers}) == len(served.outbox) == 1000
    # Requests that are read together are written together; how many are read at once varies.
    assert len(seen) < 50


def test_messages_that_are_acknowledged_together_take_few_commits(served: Served) -> None:
    served.deliver(*[b"hello"] * MOST_OFFERED)
    with Lines(served.connect()) as lines:
        assert lines.ask(type="subscribe") == {"type": "subscribe"}
        ids = [lines.hear()["id"] for _ in range(MOST_OFFERED)]
        seen = commits(served)
        wanted = [*ids[:50], "nonsense", *ids[50:]]
        acks = "".join(json.dumps({"type": "ack", "id": one}) + "\n" for one in wanted)
        lines.connection.sendall(acks.encode())
        answers = [lines.hear() for _ in wanted]
    assert answers.pop(50)["type"] == "error"
    assert answers == [{"type": "ack", "id": one} for one in ids]
    assert len(served.inbox) == 0
    # As for sends.
    assert len(seen) < 10


def test_messages_that_came_together_take_few_writes(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[int] = []

    def write(connection: socket.socket, data: bytes) -> None:
        writes.append(len(data))
        connection.sendall(data)

    monkeypatch.setattr(moving, "write", write)
    served.deliver(*[b"hello"] * MOST_OFFERED)
    with Lines(served.connect()) as lines:
        lines.ask(type="subscribe")
        came = [lines.hear()["data"] for _ in range(MOST_OFFERED)]
    assert came == [base64.b64encode(b"hello").decode()] * MOST_OFFERED
    assert len(writes) < 5


def test_sends_that_are_read_together_are_answered_one_by_one(served: Served) -> None:
    with served.connect() as connection:
        requests = [send(b"one"), send(b"two", 31), send(b"three"), DETAILS, send(b"four"), FLUSH]
        connection.sendall(framed(*requests))
        answers = responses(connection.recv(1 << 16))
    assert [answer.WhichOneof("value") for answer in answers] == [
        *("send", "exception", "send", "details", "send", "flush")
    ]
    assert [outgoing.message for outgoing, _ in served.outbox.arrivals()] == [
        *(b"one", b"three", b"four")
    ]


def test_a_full_disk_is_said_and_what_waits_is_kept(served: Served) -> None:
    served.deliver(b"kept")
    served.journal.flush()
    served.journal._database._connection.execute("PRAGMA max_page_count = 1")
    with Lines(served.connect()) as lines:
        request = {"type": "send", "recipient_address": encode_base58(OTHER)}
        refused = lines.ask(**request, message="x" * 100_000)
        assert refused["code"] == "storage"
        assert "disk is full" in refused["message"]
        assert lines.ask(type="fetch")["messages"] == ["kept"]
        assert lines.ask(type="status")["outbox"] == 0


def test_what_was_fetched_is_gone_from_the_disk_when_it_was_written(served: Served) -> None:
    served.deliver(b"hello")
    with Lines(served.connect()) as lines:
        assert lines.ask(type="fetch")["messages"] == ["hello"]
        lines.ask(type="ownDetails")
        served.journal.flush()
    entries = served.journal._database._connection.execute("SELECT count(*) FROM entry").fetchone()
    assert entries == (0,)


def test_long_messages_come_and_go(served: Served) -> None:
    message = bytes(range(256)) * (1 << 16)
    with Lines(served.connect()) as lines:
        lines.send(OTHER, message)
        ((outgoing, _),) = served.outbox.arrivals()
        assert outgoing.message == message
        too_long = {"type": "send", "recipient_address": encode_base58(OTHER)}
        answer = lines.ask(**too_long, data=base64.b64encode(message + b"x").decode())
        assert answer["code"] == "too_long"
        served.deliver(message)
        fetched = lines.ask(type="fetch", format="base64")["messages"]
        assert [base64.b64decode(one) for one in fetched] == [message]
        served.deliver(message)
        lines.say(type="subscribe")
        assert lines.receive().message == message


def test_the_raw_dialect_leaves_what_its_lengths_cannot_say(served: Served) -> None:
    for size in (65_536, 65_535, 1):
        served.deliver(bytes(size))
    with served.connect() as connection:
        connection.sendall(b"\x02")
        received = b""
        while len(received) < 2 + 4 + 65_535 + 1:
            received += connection.recv(1 << 17)
        assert received[:6] == b"\0\2\xff\xff\0\1"
    assert len(served.inbox) == 1


# Fetches that find nothing, in the framed dialect.


def framed_fetch_after(seconds: float, connection: socket.socket, served: Served) -> list[bytes]:
    """The messages that a fetch gets, if one arrives so many seconds later.

    Published applications write the fetch and the flush separately.
    """
    connection.sendall(framed(FETCH))
    connection.sendall(framed(FLUSH))
    gevent.spawn_later(seconds, served.deliver, b"hello")
    fetched, flushed = responses(connection.recv(1 << 16))
    assert flushed.WhichOneof("value") == "flush"
    return list(fetched.fetch.messages)


def test_a_fetch_waits_for_a_message(served: Served) -> None:
    with served.connect() as connection:
        assert framed_fetch_after(0.3, connection, served) == [b"hello"]
        connection.sendall(framed(FETCH, FLUSH))
        fetched, _ = responses(connection.recv(1 << 16))
        assert list(fetched.fetch.messages) == []


def test_it_waits_for_so_long_and_longer_after_a_send(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "FETCH_PATIENCE", 0.1)
    monkeypatch.setattr(conversation, "SENT_PATIENCE", 30.0)
    with served.connect() as connection:
        assert framed_fetch_after(1.0, connection, served) == []
        wait_until(lambda: len(served.inbox) == 1)
        served.inbox.take()
        connection.sendall(framed(send(b"hi"), FLUSH))
        assert len(responses(connection.recv(1 << 16))) == 2
        assert framed_fetch_after(1.0, connection, served) == [b"hello"]


@pytest.mark.parametrize(
    ("more", "answers"),
    [
        (framed(DETAILS, FLUSH), ["fetch", "flush", "details", "flush"]),
        (framed(send(b"hi"), FLUSH), ["fetch", "flush", "send", "flush"]),
        (framed(FETCH), ["fetch", "flush"]),
        (b"\xff" * 8, ["fetch", "flush", "exception"]),
        (None, ["fetch", "flush"]),
    ],
)
def test_whatever_else_is_asked_ends_the_waiting(
    served: Served, monkeypatch: pytest.MonkeyPatch, more: bytes | None, answers: list[str]
) -> None:
    monkeypatch.setattr(conversation, "FETCH_PATIENCE", PATIENCE)
    with served.connect() as connection:
        connection.sendall(framed(FETCH, FLUSH))
        connection.settimeout(0.1)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(PATIENCE / 2)
        if more is None:
            connection.shutdown(socket.SHUT_WR)
        else:
            connection.sendall(more)
        buffer = FrameBuffer(Framing.FIXED)
        heard: list[mix_pb2.Response] = []
        while len(heard) < len(answers):
            frames = buffer.feed(connection.recv(1 << 16))
            heard.extend(map(mix_pb2.Response.FromString, frames))
    assert [response.WhichOneof("value") for response in heard] == answers


def test_a_message_is_not_given_to_an_application_that_died_waiting(served: Served) -> None:
    with served.connect() as connection:
        connection.sendall(framed(FETCH, FLUSH))
        wait_until(lambda: served.inbox._watchers)
    wait_until(lambda: not served.inbox._watchers)
    served.deliver(b"hello")
    assert contents(served.inbox.take()) == [b"hello"]


# Several raw requests in one read.


def test_raw_requests_of_one_byte_are_answered_one_after_the_other(served: Served) -> None:
    served.view.topology = TOPOLOGY
    served.deliver(b"hello")
    answers = {b"\x02": b"\0\1\0\5hello", b"\x03": OWN + OTHER, b"\x04": OWN}
    for together in (b"\x04\x04", b"\x04\x03\x02", b"\x03\x04\x04"):
        with served.connect() as connection:
            connection.sendall(together)
            connection.shutdown(socket.SHUT_WR)
            received = b""
            while part := connection.recv(1 << 16):
                received += part
            assert received == b"".join(answers[bytes([byte])] for byte in together)


def test_no_fetch_happens_out_of_a_packet_s_bytes(served: Served) -> None:
    served.deliver(b"precious")
    for packet in (b"\x02" + bytes(1371), b"\x02\n", b"\x02\x04\x05", b"\x04\x02\x01"):
        with served.connect() as connection:
            connection.sendall(packet)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):
                pass
    assert contents(served.inbox.take()) == [b"precious"]
