"""Long messages don't hold up the event loop: all work on them is done in short pieces.

The longest hold is measured (tests/hub.py) while an application sends or receives 16 MiB. The
application is a process of its own, so that its work isn't counted as the client's.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile

import gevent
import pytest

from nym.client.assembly import Assembly
from nym.envelope import fragment, fragment_count
from nym.sockets.tcp import TcpSocket
from nym.store.inbox import Inbox
from nym.store.journal import Journal
from nym.wire.keys import encode_base58
from nym.wire.pieces import Pieces, cut, gather
from nym.wire.sizes import LONGEST_SEALED
from tests.harness import OTHER, PATIENCE, Served, beside
from tests.hub import nobody_is_held_up

LONG = os.urandom(1 << 20) * (LONGEST_SEALED >> 20)
HASH = sha256(LONG).hexdigest()
APPLICATION = """
import base64, hashlib, json, socket, sys
host, port, what = sys.argv[1], int(sys.argv[2]), sys.argv[3]
connection = socket.create_connection((host, port), timeout=60)
file = connection.makefile("rb")

def say(**request):
    connection.sendall(json.dumps(request).encode() + b"\\n")
    return json.loads(file.readline())

def send(message):
    return {"type": "send", "recipient_address": sys.argv[4],
            "data": base64.b64encode(message).decode()}

def digest(data):
    return hashlib.sha256(data).hexdigest()

match what:
    case "send":
        message = sys.stdin.buffer.read()
        print(say(**send(message))["type"])
    case "text":
        message = sys.stdin.buffer.read()
        print(say(type="send", recipient_address=sys.argv[4], message=message.hex())["type"])
    case "many":
        line = json.dumps(send(b"short")).encode() + b"\\n"
        connection.sendall(line * 1000)
        print(*{json.loads(file.readline())["type"] for _ in range(1000)})
    case "subscribe":
        say(type="subscribe")
        message = json.loads(file.readline())
        print(digest(base64.b64decode(message["data"])))
        assert say(type="ack", id=message["id"])["type"] == "ack"
    case "fetch":
        print(digest(base64.b64decode(say(type="fetch", format="base64")["messages"][0])))
    case "fetch text":
        print(digest(say(type="fetch")["messages"][0].encode()))
"""


@pytest.fixture
def served() -> Iterator[Served]:
    with Served(TcpSocket) as served:
        yield served


def application(served: Served, what: str, message: bytes = b"") -> str:
    """Run APPLICATION with this task and input, and return what it prints."""
    assert isinstance(served.place, int)
    arguments = ["127.0.0.1", str(served.place), what, encode_base58(OTHER)]
    return beside(run_application, arguments, message)


def run_application(arguments: list[str], message: bytes) -> str:
    # The input is a file. A pipe would be fed by this process, whose work would count, too.
    with TemporaryFile() as file:
        file.write(message)
        file.seek(0)
        ran = subprocess.run(
            [sys.executable, "-c", APPLICATION, *arguments],
            stdin=file,
            stdout=subprocess.PIPE,
            timeout=PATIENCE,
            check=True,
        )
    return ran.stdout.decode().strip()


def test_sending(served: Served) -> None:
    with nobody_is_held_up():
        assert application(served, "send", LONG) == "send"
    ((outgoing, _),) = served.outbox.arrivals()
    assert outgoing.message == LONG


def test_sending_text(served: Served) -> None:
    with nobody_is_held_up():
        assert application(served, "text", LONG[: LONGEST_SEALED // 2]) == "send"
    ((outgoing, _),) = served.outbox.arrivals()
    assert outgoing.message == LONG[: LONGEST_SEALED // 2].hex().encode()


def test_sending_a_thousand_at_once(served: Served) -> None:
    with nobody_is_held_up():
        assert application(served, "many") == "send"
    assert len(served.outbox) == 1000


def delivered(served: Served, message: bytes) -> None:
    assert served.inbox.deliver(gather(cut(message)), is_sealed=True)
    served.inbox.settle()


@pytest.mark.parametrize("how", ["subscribe", "fetch"])
def test_handing_over(served: Served, how: str) -> None:
    delivered(served, LONG)
    with nobody_is_held_up():
        assert application(served, how) == HASH
        served.journal.flush()
    assert len(served.inbox) == 0


def test_handing_over_text(served: Served) -> None:
    text = LONG[: LONGEST_SEALED // 2].hex().encode()
    delivered(served, text)
    with nobody_is_held_up():
        assert application(served, "fetch text") == sha256(text).hexdigest()


@pytest.mark.parametrize("sender", [None, OTHER])
def test_receiving(journal: Journal, sender: bytes | None) -> None:
    inbox = Inbox(journal)
    assembly = Assembly(journal, inbox, 0.0)
    count = fragment_count(len(LONG), reliable=sender is not None)
    whole = gather(cut(LONG))

    def receive() -> None:
        for index in range(count):
            assembly.add(fragment(whole, bytes(16), index, sender), 0.0)
            if index % 500 == 0:
                inbox.settle()
            gevent.sleep(0)
        inbox.settle()

    with nobody_is_held_up():
        gevent.spawn(receive).get()
    (received,) = inbox.take()
    assert received.message == LONG


def test_a_message_of_many_pieces_is_there_at_the_next_start(
    journal: Journal, tmp_path: Path
) -> None:
    inbox = Inbox(journal)
    assert inbox.deliver(gather(cut(LONG)), OTHER, is_sealed=True)
    journal.close()
    again = Journal(tmp_path, bytes(32))
    (received,) = Inbox(again).take()
    assert isinstance(received.message, Pieces)
    assert received.message == LONG
    assert received.sender == OTHER
    again.close()
