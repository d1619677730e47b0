"""Applications of nym-client 1.1 on a WebSocket, which speak as the published examples do.

They get what comes without asking for it, and acknowledge nothing.
"""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from websockets.frames import Opcode

from nym.localnet.network import Network
from nym.sockets import connection as moving
from nym.sockets.http import WebSocket
from nym.wire.keys import encode_base58
from tests import harness
from tests.harness import OTHER, OWN, PATIENCE, TOPOLOGY, Served, running, wait_until
from tests.test_sockets_websocket import Application

IDENTITY = b"i" * 32
HERE = bytes(32) + OWN + bytes(32)  # 96 bytes for a client whose provider isn't known
THERE = bytes(32) + OTHER + IDENTITY
TO = encode_base58(OTHER)


def u64(number: int) -> bytes:
    return number.to_bytes(8, "big")


class Today(Application):
    """An application that speaks as those of nym-client 1.1."""

    def say_binary(self, *parts: bytes) -> None:
        self.protocol.send_binary(b"".join(parts))
        self.flush()

    def hear_binary(self) -> bytes:
        frame = self.next()
        assert frame.opcode is Opcode.BINARY
        return bytes(frame.data)

    def greet(self) -> str:
        """The client's address, which is a text."""
        answer = self.ask(type="selfAddress")
        assert answer.keys() == {"type", "address"}
        return str(answer["address"])

    def greet_binary(self, request: bytes = b"\x03") -> bytes:
        """The client's address, 96 bytes."""
        self.say_binary(request)
        answer = self.hear_binary()
        assert answer[:1] == b"\x02"
        assert len(answer) == 97
        return answer[1:]

    def hear_message(self) -> bytes:
        """The message that comes next, as a binary one that can't be answered."""
        received = self.hear_binary()
        assert received[:2] == b"\x01\x00"
        assert received[2:10] == u64(len(received) - 10)
        return received[10:]


@pytest.fixture
def served() -> Iterator[Served]:
    with Served(WebSocket) as served:
        yield served


def sent(served: Served) -> list[tuple[bytes, bytes]]:
    """The messages that were accepted: (recipient, message)."""
    return [
        (outgoing.recipient, bytes(outgoing.message)) for outgoing, _ in served.outbox.arrivals()
    ]


def test_an_own_address_names_its_provider(served: Served) -> None:
    with Today(served) as application:
        assert application.greet() == encode_base58(OWN)
        assert application.greet_binary() == HERE
        (provider,) = TOPOLOGY.providers
        served.view.provider = provider._replace(public_key=b"k" * 32)
        assert application.greet() == f"{encode_base58(OWN)}@{encode_base58(b'k' * 32)}"
        assert application.greet_binary() == HERE
        served.view.provider = provider._replace(identity=IDENTITY)
        assert application.greet() == f"{encode_base58(OWN)}@{encode_base58(IDENTITY)}"
        assert application.greet_binary() == HERE[:64] + IDENTITY


def test_what_is_sent_is_answered_only_in_a_lane(served: Served) -> None:
    with Today(served) as application:
        application.say(type="send", recipient=TO, message="one ☃")
        application.say(type="send", recipient=TO, message="two", withReplySurb=False)
        application.say_binary(b"\x00", THERE, u64(0), u64(5), b"three")
        application.say_binary(b"\x00", THERE, u64(42), u64(4), b"four")
        assert application.hear_binary() == b"\x03" + u64(42) + u64(4)
        lane = {"type": "laneQueueLength", "lane": 0, "queue_length": 5}
        assert application.ask(type="send", recipient=TO, message="five", connectionId=0) == lane
        application.say_binary(b"\x04", u64(42))  # the lane is closed: no answer
        application.say_binary(b"\x05", u64(7))
        assert application.hear_binary() == b"\x03" + u64(7) + u64(5)
    messages = ["one ☃", "two", "three", "four", "five"]
    assert sent(served) == [(OTHER, message.encode()) for message in messages]


def test_many_in_one_write_are_all_accepted(served: Served) -> None:
    with Today(served) as application:
        for number in range(300):
            application.protocol.send_binary(
                b"\x00" + THERE + u64(0) + u64(1) + b"%c" % (number % 256)
            )
        application.protocol.send_text(json.dumps({"type": "selfAddress"}).encode())
        application.flush()
        assert application.hear()["type"] == "selfAddress"
    assert sent(served) == [(OTHER, b"%c" % (number % 256)) for number in range(300)]


def test_messages_come_unasked_in_the_form_of_the_last_request(served: Served) -> None:
    with Today(served) as application:
        # Other applications ask for their messages, so nothing comes as long as it may be one.
        assert application.ask(type="ownDetails")["type"] == "ownDetails"
        application.say_binary(b"\xff")
        assert application.hear_binary()[:2] == b"\x00\x03"
        served.deliver(b"early \xff")
        assert application.ask(type="status")["inbox"] == 1
        application.greet()
        assert application.hear() == {
            "type": "received",
            "message": "early \ufffd",
            "senderTag": None,
        }
        served.deliver(b"two", b"three")
        assert [application.hear()["message"] for _ in range(2)] == ["two", "three"]
        application.greet_binary()
        served.deliver(b"four \xff")
        assert application.hear_message() == b"four \xff"
        application.greet()
        served.deliver(b"five")
        assert application.hear()["message"] == "five"
        wait_until(lambda: not len(served.inbox))
        # What is asked for in another dialect is answered between them.
        assert application.ask(type="fetch") == {"type": "fetch", "messages": [], "sealed": []}


def test_a_message_that_can_be_answered_has_a_tag(served: Served) -> None:
    tag = b"t" * 16
    with Today(served) as application:
        application.greet()

        def deliver() -> None:
            kept = served.inbox.deliver(b"hi", is_sealed=True, reply_to=tag, account=b"a" * 32)
            assert kept
            served.inbox.settle()

        deliver()
        assert application.hear()["senderTag"] == encode_base58(tag)
        application.greet_binary()
        deliver()
        assert application.hear_binary() == b"\x01\x01" + tag + u64(2) + b"hi"


def test_a_long_message_is_one_frame(served: Served) -> None:
    long = os.urandom(1 << 20)
    with Today(served) as application:
        application.greet_binary()
        served.deliver(long)
        assert application.hear_message() == long
        application.greet()
        served.deliver(b"a\xe2\x98\x83" * (1 << 18))
        assert application.hear()["message"] == "a☃" * (1 << 18)


def test_each_message_goes_to_one_connection(served: Served) -> None:
    with Today(served) as one, Today(served) as two, Today(served) as other:
        one.greet_binary()
        two.greet_binary()
        served.deliver(*(b"%c" % number for number in range(20)))
        wait_until(lambda: not len(served.inbox))
        assert other.ask(type="fetch")["messages"] == []
        received = []
        for application in (one, two):
            application.say_binary(b"\x03")
            while (heard := application.hear_binary())[:1] == b"\x01":
                received.append(heard[10:])
        assert sorted(received) == [b"%c" % number for number in range(20)]


def test_what_was_not_written_stays(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "WRITE_TIMEOUT", 0.1)
    messages = [bytes([number]) * (1 << 20) for number in range(40)]
    served.deliver(*messages)
    with Today(served) as deaf:
        deaf.say_binary(b"\x03")
        wait_until(lambda: not served.socket._server.pool)  # type: ignore[union-attr]
        left = len(served.inbox)
        assert 0 < left < len(messages)
    with Today(served) as application:
        application.greet_binary()
        # Perhaps one came twice, but none is lost, and they keep their order.
        assert [application.hear_message() for _ in range(left)] == messages[-left:]


def test_a_bad_request_has_an_error_and_the_connection_stays(served: Served) -> None:
    with Today(served) as application:
        for body in (
            {"type": "send", "recipient": "nobody", "message": "hi"},
            {"type": "send", "recipient": encode_base58(b"\xff" * 32), "message": "hi"},
            {"type": "reply", "senderTag": encode_base58(b"t" * 16), "message": "hi"},
            {"type": "sendAnonymous", "recipient": TO, "message": "hi", "replySurbs": 5},
            {"type": "unknown"},
        ):
            error = application.ask(**body)
            assert error["type"] == "error"
            assert error["message"]
        for request, kind in (
            (b"", 0x01),
            (b"\x00", 0x02),
            (b"\x09", 0x03),
            (b"\x00" + bytes(32) + b"\xff" * 32 + bytes(32) + u64(0) + u64(1) + b"x", 0x04),
            (b"\x02" + b"t" * 16 + u64(0) + u64(1) + b"x", 0xFF),
        ):
            application.say_binary(request)
            error = application.hear_binary()
            assert error[:2] == bytes([0, kind])
            assert error[2:10] == u64(len(error) - 10)
            assert error[10:].decode()
        assert application.greet_binary() == HERE
    assert len(served.outbox) == 0


def test_there_is_room_for_so_many_that_are_told_unasked() -> None:
    with Served(WebSocket, connections=8) as served, ExitStack() as stack:
        applications = [stack.enter_context(Today(served)) for _ in range(8)]
        for application in applications[:7]:
            application.greet()
        assert applications[7].ask(type="selfAddress")["code"] == "busy"
        applications[7].say_binary(b"\x00", THERE, u64(0), u64(2), b"hi")
        assert applications[7].hear_binary()[:2] == b"\x00\xff"
        assert applications[7].ask(type="ownDetails")["type"] == "ownDetails"
    assert len(served.outbox) == 0


def test_applications_from_before_1_1_are_understood(served: Served) -> None:
    tag = b"t" * 16
    with Today(served) as text, Today(served) as binary:
        text.greet()
        text.say(type="send", recipient=TO, message="hi", withReplySurb=False)
        text.greet()
        assert text.ask(type="ownDetails")["type"] == "ownDetails"
        served.deliver(b"hello")
        assert text.hear() == {"type": "received", "message": "hello", "replySurb": None}
        assert (
            text.ask(type="reply", replySurb=encode_base58(tag), message="x")["code"]
            == "no_such_tag"
        )
        text.connection.close()

        assert binary.greet_binary(b"\x02") == HERE
        binary.say_binary(b"\x00\x00", THERE, u64(2), b"ho")
        binary.say_binary(b"\x01", u64(16), tag, u64(1), b"x")
        assert binary.hear_binary()[:2] == b"\x00\xff"
        assert binary.greet_binary(b"\x02") == HERE
        served.inbox.deliver(b"hi", is_sealed=True, reply_to=tag, account=b"a" * 32)
        served.inbox.settle()
        assert binary.hear_binary() == b"\x01\x01" + u64(16) + tag + u64(2) + b"hi"
    assert sent(served) == [(OTHER, b"hi"), (OTHER, b"ho")]


def test_a_lone_02_is_a_broken_reply_once_1_1_was_spoken(served: Served) -> None:
    with Today(served) as application:
        application.greet_binary()
        application.say_binary(b"\x02")
        assert application.hear_binary()[:2] == b"\x00\x02"


class Client(harness.Application):
    """A client on a network, with a WebSocket, and with addresses for answers."""

    def __init__(self, network: Network) -> None:
        super().__init__(network.url, kind=WebSocket, reply_addresses=2)

    def connect(self) -> socket.socket:
        """Connect as an application does."""
        return socket.create_connection(self.connection.getpeername(), timeout=PATIENCE)

    def wait_for_addresses(self) -> None:
        """Wait until two addresses are free."""
        with Today(self) as application:
            wait_until(lambda: application.ask(type="status")["reply_addresses"]["free"] == 2)


@pytest.fixture(scope="module")
def clients() -> Iterator[tuple[Client, Client]]:
    """Two clients on a network, the first of which has free addresses for answers."""
    with running(Network()) as network, Client(network) as alice, Client(network) as bob:
        alice.wait_for_addresses()
        yield alice, bob


def test_an_answer_comes_back(clients: tuple[Client, Client]) -> None:
    with Today(clients[0]) as alice, Today(clients[1]) as bob:
        alice.greet()
        alice.say(type="sendAnonymous", recipient=bob.greet(), message="who am I?", replySurbs=100)
        question = bob.hear()
        assert question["message"] == "who am I?"
        bob.say(type="reply", senderTag=question["senderTag"], message="somebody")
        assert alice.hear() == {"type": "received", "message": "somebody", "senderTag": None}


def test_a_binary_answer_comes_back(clients: tuple[Client, Client]) -> None:
    with Today(clients[0]) as alice, Today(clients[1]) as bob:
        alice.greet_binary()
        to, lane, length = bob.greet_binary(), u64(0), u64(2)
        assert len(to.strip(b"\0")) > 32  # the provider is in it
        alice.say_binary(b"\x01", bytes(4), to, lane, length, b"\xff?")
        question = bob.hear_binary()
        assert (question[:2], question[18:]) == (b"\x01\x01", length + b"\xff?")
        bob.say_binary(b"\x02", question[2:18], lane, length, b"\xff!")
        assert alice.hear_message() == b"\xff!"


def test_the_example_in_text_from_before_1_1(clients: tuple[Client, Client]) -> None:
    with Today(clients[0]) as alice:
        alice.say(type="send", recipient=alice.greet(), message="Hello Nym!", withReplySurb=True)
        question = alice.hear()
        assert question["message"] == "Hello Nym!"
        alice.say(type="reply", replySurb=question["replySurb"], message="Hello again!")
        assert alice.hear() == {"type": "received", "message": "Hello again!", "replySurb": None}


def test_the_example_in_binary_from_before_1_1(clients: tuple[Client, Client]) -> None:
    with Today(clients[0]) as alice:
        own, file = alice.greet_binary(b"\x02"), os.urandom(3000)
        alice.say_binary(b"\x00\x01", own, u64(len(file)), file)
        question = alice.hear_binary()
        assert question[:10] == b"\x01\x01" + u64(16)
        assert question[26:] == u64(len(file)) + file
        alice.say_binary(b"\x01", question[2:26], u64(2), b"ok")
        assert alice.hear_message() == b"ok"
