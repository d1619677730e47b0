"""What the library does when the client restarts, when a connection breaks, and when it is closed.

Where it has to break at one moment, a server that speaks line by line takes the client's place.
"""

import base64
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import gevent
import pytest

import nym
from nym.application import files, line
from tests.documents import ROOT
from tests.harness import PATIENCE, Served, beside, serving, wait_until
from tests.test_library import BOB, client, logged, received, served

__all__ = ["client", "logged", "served"]  # fixtures


# Restarts.


def test_after_a_restart_questions_and_messages_go_on(
    served: Served, client: nym.Connection, logged: pytest.LogCaptureFixture
) -> None:
    served.restart()
    assert client.send(BOB, "hello")
    title = f"the client at 127.0.0.1:{served.port}"
    assert [record.getMessage() for record in logged.records] == [
        f"the connection to {title} has broken; connecting again",
        f"connected to {title}",
    ]


def test_a_loop_waits_for_the_client(served: Served, client: nym.Connection) -> None:
    served.deliver(b"one")
    heard: list[str] = []

    def listen() -> None:
        with client.messages() as messages:
            heard.extend(message.text for message in messages)

    listening = gevent.spawn(listen)
    wait_until(lambda: heard)
    wait_until(lambda: len(served.inbox) == 0)
    served.restart()
    served.deliver(b"two")
    wait_until(lambda: len(heard) == 2)
    client.close()
    listening.get()
    assert heard == ["one", "two"]


def test_what_is_in_hand_during_a_restart_is_acknowledged_all_the_same(
    served: Served, client: nym.Connection
) -> None:
    served.deliver(b"one", b"two")
    with client.messages() as messages:
        assert next(messages).text == "one"
        served.restart()
        assert next(messages).text == "two"
        served.restart()
    assert len(served.inbox) == 0


def test_a_loop_with_a_message_in_hand_waits_as_long(
    served: Served, logged: pytest.LogCaptureFixture
) -> None:
    served.deliver(b"one", b"two")
    with nym.connect(port=served.port, patience=0) as client, client.messages() as messages:
        assert next(messages).text == "one"
        served.socket.stop()
        following = gevent.spawn(next, messages)
        wait_until(lambda: "connecting again" in logged.text)
        served.restart()
        assert following.get().text == "two"
        assert len(served.inbox) == 1


def test_a_message_stays_in_hand_until_it_is_acknowledged(served: Served) -> None:
    served.deliver(b"one", b"two")
    with nym.connect(port=served.port) as client, client.messages(timeout=0.1) as messages:
        assert next(messages).text == "one"
        served.socket.stop()
        with pytest.raises(nym.NotRunningError):
            next(messages)
        served.restart()
        assert next(messages).text == "two"
        assert len(served.inbox) == 1


def test_a_client_that_stays_away(served: Served) -> None:
    with nym.connect(port=served.port, patience=0.1) as client:
        served.socket.stop()
        with pytest.raises(nym.NotRunningError, match="doesn't run; start it with"):
            client.status()
        with pytest.raises(nym.NotRunningError), client.messages(timeout=0.1):
            pass


@pytest.mark.parametrize("kind", ["messages", "failures"])
def test_the_beginning_of_a_loop_waits_for_the_client(
    served: Served, kind: str, logged: pytest.LogCaptureFixture
) -> None:
    with nym.connect(port=served.port, patience=0) as client:
        served.socket.stop()

        def listen() -> None:
            with getattr(client, kind)():
                pass

        listening = gevent.spawn(listen)
        wait_until(lambda: "waiting for it" in logged.text)
        # Longer than between two attempts, which is the patience of all other calls.
        gevent.sleep(2 * line.RETRY)
        assert not listening.ready()
        served.restart()
        listening.get()


def test_the_end_of_a_connection_ends_the_wait_for_a_client(
    served: Served, logged: pytest.LogCaptureFixture
) -> None:
    with nym.connect(port=served.port) as client:
        served.socket.stop()
        listening = gevent.spawn(received, client, 1)
        wait_until(lambda: "waiting for it" in logged.text)
        client.close()
        with pytest.raises(nym.ClosedError):
            listening.get()


# Connections that break at one moment.

Said = dict[str, Any]
Answers = Callable[[Said], list[Said | None]]
SUBSCRIBED = {"type": "subscribe"}


@contextmanager
def scripted(*connections: Answers) -> Iterator[tuple[int, list[Said]]]:
    """A server whose connections answer each request as these say, in turn; None ends one.

    Gives its port, and what it was asked.
    """
    asked: list[Said] = []
    left = list(connections)

    def serve(connection: socket.socket) -> None:
        answers = left.pop(0)
        for request in map(json.loads, connection.makefile("rb")):
            asked.append(request)
            for one in answers(request):
                if one is None:
                    return
                connection.sendall(json.dumps(one).encode() + b"\n")

    with serving(serve) as address:
        yield address.port, asked


def polite(request: Said) -> list[Said | None]:
    """Answers everything."""
    return [{**request, "address": "own", "id": "1", "state": "running"}]


def ends_at(kind: str) -> Answers:
    """Answers everything but this request, at which it ends the connection."""
    return lambda request: [None] if request["type"] == kind else polite(request)


def types(asked: list[Said]) -> list[str]:
    return [request["type"] for request in asked if request["type"] != "ownDetails"]


def test_nobody_knows_whether_a_message_was_accepted() -> None:
    with scripted(ends_at("send"), polite) as (port, asked), nym.connect(port=port) as client:
        with pytest.raises(
            nym.UnknownOutcomeError, match="nobody knows whether this send was done: "
        ):
            client.send(BOB, "hello")
        assert types(asked) == ["send"]
        assert client.send(BOB, "hello") == "1"


def test_questions_are_asked_again() -> None:
    with scripted(ends_at("status"), polite) as (port, asked), nym.connect(port=port) as client:
        assert client.status()["state"] == "running"
        assert types(asked) == ["status", "status"]


def test_a_question_that_breaks_every_connection_is_not_asked_for_ever() -> None:
    broken = [ends_at("status")] * 3
    with scripted(*broken) as (port, asked), nym.connect(port=port) as client:
        with pytest.raises(nym.NotRunningError, match="has stopped"):
            client.status()
        assert types(asked) == ["status", "status"]


def offered(message_id: str) -> Said:
    data = base64.b64encode(message_id.encode()).decode()
    about = {"sender": None, "sealed": True, "received": 0.0}
    return {"type": "message", "id": message_id, "data": data, **about}


def test_a_message_whose_acknowledgement_got_lost_does_not_come_twice() -> None:
    def first(request: Said) -> list[Said | None]:
        return [SUBSCRIBED, offered("a")] if request["type"] == "subscribe" else [None]

    def second(request: Said) -> list[Said | None]:
        if request["type"] == "subscribe":
            return [SUBSCRIBED, offered("a")]  # offered again before the acknowledgement
        return [{"type": "ack", "id": "a"}, offered("b")]

    with (
        scripted(polite, first, second) as (port, asked),
        nym.connect(port=port) as client,
        client.messages() as messages,
    ):
        assert [next(messages).id, next(messages).id] == ["a", "b"]
        assert types(asked) == ["subscribe", "ack", "subscribe", "ack"]


def test_nor_one_that_was_acknowledged_when_the_client_restarted() -> None:
    def first(request: Said) -> list[Said | None]:
        return [SUBSCRIBED, offered("a")] if request["type"] == "subscribe" else [None]

    def second(request: Said) -> list[Said | None]:
        if request["type"] == "subscribe":
            return [SUBSCRIBED]
        return [{"type": "error", "code": "no_such_message", "message": "none"}]

    with scripted(polite, first, second) as (port, asked), nym.connect(port=port) as client:
        with client.messages() as messages:
            assert next(messages).id == "a"
        assert types(asked) == ["subscribe", "ack", "subscribe", "ack"]


def test_an_acknowledgement_is_repeated_as_often_as_connections_break() -> None:
    def breaks(request: Said) -> list[Said | None]:
        return [SUBSCRIBED, offered("a")] if request["type"] == "subscribe" else [None]

    def at_last(request: Said) -> list[Said | None]:
        if request["type"] == "subscribe":
            return [SUBSCRIBED, offered("a")]
        return [{"type": "ack", "id": request["id"]}, offered("b")]

    with (
        scripted(polite, breaks, breaks, breaks, at_last) as (port, asked),
        nym.connect(port=port, patience=0) as client,
        client.messages() as messages,
    ):
        assert [next(messages).id, next(messages).id] == ["a", "b"]
        assert types(asked) == ["subscribe", "ack"] * 4


def test_what_was_offered_over_a_connection_that_broke_does_not_count() -> None:
    def first(request: Said) -> list[Said | None]:
        if request["type"] == "subscribe":
            return [SUBSCRIBED, offered("a")]
        return [offered("b"), None]

    def second(request: Said) -> list[Said | None]:
        if request["type"] == "subscribe":
            return [SUBSCRIBED, offered("c")]  # another subscriber has b now
        return [{"type": "ack", "id": request["id"]}, offered("d")]

    with (
        scripted(polite, first, second) as (port, _),
        nym.connect(port=port) as client,
        client.messages() as messages,
    ):
        assert [next(messages).id for _ in range(3)] == ["a", "c", "d"]


def test_a_subscription_that_is_refused_is_tried_again() -> None:
    def first(request: Said) -> list[Said | None]:
        return [SUBSCRIBED, offered("a")] if request["type"] == "subscribe" else [None]

    def second(request: Said) -> list[Said | None]:
        if request["type"] == "subscribe":
            return [{"type": "error", "code": "storage", "message": "the disk is full"}]
        return [{"type": "ack", "id": "a"}]  # and nothing more would ever come

    def third(request: Said) -> list[Said | None]:
        if request["type"] == "subscribe":
            return [SUBSCRIBED]
        return [{"type": "ack", "id": "a"}, offered("b")]

    with (
        scripted(polite, first, second, third) as (port, _),
        nym.connect(port=port) as client,
        client.messages(timeout=PATIENCE) as messages,
    ):
        assert next(messages).id == "a"
        with pytest.raises(nym.StorageError, match="the disk is full"):
            next(messages)
        assert next(messages).id == "b"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"type": "status"}, "answers progress with status"),
        ({"type": "progress", "state": "done"}, '"progress" came without "left"'),
    ],
)
def test_an_answer_of_another_version(answer: Said, said: str) -> None:
    def odd(request: Said) -> list[Said | None]:
        return [answer] if request["type"] == "progress" else polite(request)

    with scripted(odd, odd) as (port, _), nym.connect(port=port) as client:
        with pytest.raises(nym.ProtocolError, match=said):
            client.progress("1")
        assert client.status()["state"] == "running"


def test_half_an_answer_does_not_count() -> None:
    left = [b'{"type":"status","state":"cut o', b'{"type":"status","state":"running"}\n']

    def serve(connection: socket.socket) -> None:
        lines = connection.makefile("rb")
        for answer in (b'{"type":"ownDetails","address":"own"}\n', left[0]):
            lines.readline()
            connection.sendall(answer)
        left.pop(0)

    with serving(serve) as address, nym.connect(port=address.port) as client:
        assert client.status()["state"] == "running"


def test_a_file_of_which_a_part_got_lost_is_not_sent(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"photo")
    parts = [files.head("photo.jpg"), b"photo"]

    def ends_at_the_second(request: Said) -> list[Said | None]:
        is_second = base64.b64decode(request.get("data", "")) == parts[1]
        return [None] if is_second else polite(request)

    connections = (polite, ends_at_the_second, ends_at("send"))
    with scripted(*connections) as (port, asked), nym.connect(port=port) as client:
        with pytest.raises(nym.NotRunningError, match="has stopped"):
            client.send_file(BOB, path)
        assert types(asked) == ["part", "part"]
        with pytest.raises(nym.UnknownOutcomeError):
            client.send_file(BOB, path)
        assert types(asked) == ["part", "part", "part", "part", "send"]
        assert [base64.b64decode(request["data"]) for request in asked[-3:-1]] == parts


def test_a_client_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    def hangs(request: Said) -> list[Said | None]:
        return polite(request) if request["type"] == "ownDetails" else []

    with scripted(*[hangs] * 3) as (port, _), nym.connect(port=port, patience=0) as client:
        monkeypatch.setattr(line, "ANSWER_TIME", 0.1)
        with pytest.raises(nym.UnknownOutcomeError):
            client.send(BOB, "hello")
        with pytest.raises(nym.NotRunningError, match="doesn't answer; it is stopped, or hangs"):
            client.status()


def within(seconds: float, ask: Callable[[], object]) -> None:
    """The client doesn't answer, and this is said in time."""
    began = time.monotonic()
    with pytest.raises(nym.NotRunningError, match="doesn't answer"):
        ask()
    assert seconds <= time.monotonic() - began < seconds + 2


def test_whoever_has_little_time_does_not_wait_longer_for_a_client_that_hangs() -> None:
    def hangs(request: Said) -> list[Said | None]:
        return polite(request) if request["type"] == "ownDetails" else []

    with (
        scripted(*[hangs] * 3) as (port, _),
        nym.connect(port=port) as client,
        socket.create_server(("127.0.0.1", 0)) as silent,
    ):
        within(1.2, lambda: client.wait("1", timeout=1.2))
        within(1.2, client.messages(timeout=1.2).__enter__)
        within(1.2, lambda: nym.connect(port=silent.getsockname()[1], patience=1.2))


def test_a_wait_for_a_client_that_is_away_ends_in_time(served: Served) -> None:
    with nym.connect(port=served.port, patience=PATIENCE) as client:
        served.socket.stop()
        began = time.monotonic()
        with pytest.raises(nym.NotRunningError, match="doesn't run"):
            client.wait("1", timeout=0.3)
        assert time.monotonic() - began < PATIENCE


def test_an_answer_that_nobody_waited_for_is_not_taken_for_the_next(
    logged: pytest.LogCaptureFixture,
) -> None:
    said = gevent.event.Event()

    def slow(request: Said) -> list[Said | None]:
        if request["type"] == "progress":
            said.wait()
        return [{**request, "address": "own", "state": request["type"]}]

    with scripted(slow, slow) as (port, _), nym.connect(port=port) as client:
        with pytest.raises(gevent.Timeout), gevent.Timeout(0.05):
            client.progress("1")
        said.set()
        assert client.status()["state"] == "status"
    # This program ended that connection, so nothing is wrong.
    assert logged.text == ""


# Threads, and the end.


def test_the_end_of_a_connection(served: Served, client: nym.Connection) -> None:
    with client.messages() as messages:
        listening = gevent.spawn(list, messages)
        gevent.sleep(0)  # now it waits
        client.close()
        assert listening.get() == []
    for ask in (client.status, lambda: client.send(BOB, ""), lambda: received(client, 1)):
        with pytest.raises(nym.ClosedError):
            ask()


def test_what_is_in_hand_at_the_end_is_acknowledged(served: Served, client: nym.Connection) -> None:
    served.deliver(b"one", b"two")
    with client.messages() as messages:
        assert next(messages).text == "one"
        client.close()
        assert list(messages) == []
    assert len(served.inbox) == 1


def test_what_can_not_be_acknowledged_after_the_end_comes_again(
    served: Served, client: nym.Connection
) -> None:
    served.deliver(b"one")
    with client.messages() as messages:
        assert next(messages).text == "one"
        client.close()
        served.restart()
        assert list(messages) == []
    assert len(served.inbox) == 1


THREADS = """
import queue, sys, threading
import nym

def work(client, number):
    for again in range(20):
        sent = client.send(client.address, f"{number} {again}")
        assert client.progress(sent).state == "waiting"
        client.cancel(sent)
        assert client.progress(sent).state == "cancelled"

def listen(client, heard):
    with client.messages() as messages:
        for message in messages:
            heard.put(message.text)

with nym.connect(port=int(sys.argv[1])) as client:
    heard = queue.Queue()
    listeners = [threading.Thread(target=listen, args=(client, heard)) for _ in range(3)]
    workers = [threading.Thread(target=work, args=(client, number)) for number in range(8)]
    for thread in [*listeners, *workers]:
        thread.start()
    for thread in workers:
        thread.join()
    print(sorted([heard.get() for _ in range(50)], key=int))
for thread in listeners:
    thread.join()
"""


def test_threads_share_a_connection(served: Served) -> None:
    served.deliver(*(str(number).encode() for number in range(50)))
    command = [sys.executable, "-c", THREADS, str(served.port)]
    ran = beside(
        subprocess.run,
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (ran.stderr, ran.stdout) == ("", f"{[str(number) for number in range(50)]}\n")


WAITERS = """
import sys, threading, time
import nym

def ask(client):
    try:
        client.status()
    except nym.NotRunningError:
        refused.append(client)

with nym.connect(port=int(sys.argv[1]), patience=1) as client:
    print("connected", flush=True)
    sys.stdin.readline()
    refused, began = [], time.monotonic()
    threads = [threading.Thread(target=ask, args=(client,)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(len(refused), time.monotonic() - began)
"""


def test_threads_that_wait_for_a_client_wait_for_it_together(served: Served) -> None:
    """Not one after the other, for the patience of each."""
    with subprocess.Popen(
        [sys.executable, "-c", WAITERS, str(served.port)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as waiting:
        assert waiting.stdout is not None
        assert beside(waiting.stdout.readline) == "connected\n"
        served.socket.stop()
        out, _ = beside(waiting.communicate, "\n", PATIENCE)
    refused, took = map(float, out.split())
    assert refused == 20
    assert 1 <= took < 10


LISTENER = """
import sys, threading
import nym

def listen(client):
    with client.messages() as messages:
        for message in messages:
            sys.stdout.write(message.text + " ")

with nym.connect(port=int(sys.argv[1])) as client:
    listeners = [threading.Thread(target=listen, args=(client,)) for _ in range(2)]
    for thread in listeners:
        thread.start()
    sys.stdin.read()
"""
ASYNC_LISTENER = """
import asyncio, sys
import nym.aio

async def listen(client):
    async with client.messages() as messages:
        async for message in messages:
            sys.stdout.write(message.text + " ")

async def main():
    async with nym.aio.connect(port=int(sys.argv[1])) as client, asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(listen(client))
        await asyncio.to_thread(sys.stdin.read)
        await client.close()

asyncio.run(main())
"""


@pytest.mark.parametrize("program", [LISTENER, ASYNC_LISTENER], ids=["threads", "asyncio"])
def test_no_restart_loses_a_message(served: Served, program: str) -> None:
    sent = 0
    with ExitStack() as stack:
        listening = subprocess.Popen(
            [sys.executable, "-c", program, str(served.port)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        stack.callback(listening.kill)
        for left in (0, 4, 1, 3, 2) * 6:  # so many are in the inbox when the client restarts
            served.deliver(*(str(number).encode() for number in range(sent, sent + 5)))
            sent += 5
            wait_until(partial(has_at_most, served, left, listening))
            served.restart()
        wait_until(partial(has_at_most, served, 0, listening))
        out, err = beside(listening.communicate, "", PATIENCE)
    assert listening.returncode == 0, err
    assert {*map(int, out.split())} == {*range(sent)}


def has_at_most(served: Served, left: int, listening: subprocess.Popen[str]) -> bool:
    """Whether so many messages are left, or nobody listens any more."""
    return len(served.inbox) <= left or listening.poll() is not None
