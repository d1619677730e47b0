"""The library's calls, against a client's socket.

tests/test_library_aio.py has the same with asyncio, where that is different, and
tests/test_library_restarts.py what happens when connections break.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from math import nan
from pathlib import Path
from typing import Any

import gevent
import pytest

import nym
from nym import service
from nym._secrets import Secret
from nym.application import core, line, requests
from nym.contacts import Contact, add_contact
from nym.sockets.control import ControlSocket
from nym.sockets.http import WebSocket
from nym.sockets.tcp import TcpSocket
from nym.sockets.token import Token
from nym.store.outbox import Manner
from nym.wire.keys import encode_base58
from tests.harness import (
    OTHER,
    OWN,
    PATIENCE,
    Lines,
    Served,
    deliver,
    free_port,
    onlookers,
    wait_until,
)

BOB = encode_base58(OTHER)


@pytest.fixture
def served() -> Iterator[Served]:
    with Served(TcpSocket) as served:
        yield served


@pytest.fixture
def client(served: Served) -> Iterator[nym.Connection]:
    with nym.connect(port=served.port) as client:
        yield client


@pytest.fixture(autouse=True)
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.WARNING, "nym.application")
    return caplog


def waiting(served: Served) -> list[Any]:
    return served.outbox.waiting(0, 1000)


def received(client: nym.Connection, count: int) -> list[bytes]:
    """So many messages, each of which is acknowledged."""
    with client.messages() as messages:
        return [next(messages).data for _ in range(count)]


# Requests.


def test_a_message_is_on_disk_once_it_has_an_id(served: Served, client: nym.Connection) -> None:
    assert client.address == encode_base58(OWN)
    sent = [client.send(BOB, "né"), client.send(BOB, b"\xff", reliable=True)]
    sent += [client.send(BOB, "plain", plain=True), client.send(BOB, "", reliable=False)]
    found = [(m.id, m.recipient, bytes(m.message[:]), m.manner) for m in waiting(served)]
    assert found == [
        (sent[0], OTHER, "né".encode(), Manner.SEALED),
        (sent[1], OTHER, b"\xff", Manner.RELIABLE),
        (sent[2], OTHER, b"plain", Manner.PLAIN),
        (sent[3], OTHER, b"", Manner.SEALED),
    ]


def test_contacts_have_names(served: Served, client: nym.Connection) -> None:
    assert client.contacts() == []
    with pytest.raises(nym.ContactsError, match="nym-client contacts add bob ADDRESS") as caught:
        client.send("bob", "hello")
    assert caught.value.code == "contacts"
    add_contact(Path(served.folder.name), "bob", Contact(OTHER, is_plain=True))
    assert client.contacts() == [nym.Contact("bob", BOB, is_plain=True)]
    add_contact(Path(served.folder.name), "carol", Contact(OWN, provider=OTHER))
    assert client.contacts()[1].address == f"{client.address}@{BOB}"
    assert client.name_of(client.address) == "carol"
    assert client.name_of("nobody's") is None
    with pytest.raises(nym.ContactsError, match=r"nor a contact \(known: bob, carol\)"):
        client.send("bo", "hello")
    with pytest.raises(nym.ContactsError, match="nym-client contacts add 'Bob B' ADDRESS"):
        client.send("Bob B", "hello")
    client.send("bob", "hello")
    (message,) = waiting(served)
    assert (message.recipient, message.manner) == (OTHER, Manner.PLAIN)
    assert client.cancel_all("bob") == [message.id]


def test_refusals(client: nym.Connection) -> None:
    refused: list[tuple[type[nym.RefusedError], Callable[[], object]]] = [
        (nym.TooLongError, lambda: client.send(BOB, bytes(976), plain=True)),
        (nym.IncompleteError, lambda: client.send(BOB, "", plain=True, reliable=True)),
        (nym.BadRecipientError, lambda: client.send(encode_base58(bytes(32)), "")),
        (nym.NoNetworkError, client.clients),
        (nym.NoSuchMessageError, lambda: client.cancel("none")),
    ]
    for kind, ask in refused:
        with pytest.raises(kind) as caught:
            ask()
        assert caught.value.code == kind.code
    # The connection is as good as before.
    assert client.status()["outbox"] == 0


def test_mistakes_in_calls(served: Served, client: Any) -> None:
    with pytest.raises(nym.TooLongError, match="16777216 are allowed"):
        client.send(BOB, bytes(requests.LONGEST_MESSAGE + 1))
    with pytest.raises(TypeError, match="the name of a contact, not None"):
        client.send(None, "to the sender of an anonymous message")

    async def told(_: object) -> None:
        pass

    mistakes: list[tuple[str, Callable[[], object]]] = [
        ("message must be a str or bytes, not int", lambda: client.send(BOB, 1)),
        ("reliable must be a bool, not str", lambda: client.send(BOB, "", reliable="no")),
        ("anonymous_reply must be a bool", lambda: client.reply("tag", "", anonymous_reply=1)),
        ("question must be a Message or its tag", lambda: client.reply(None, "")),
        ("int", lambda: client.send_file(BOB, 0)),
        ("async function", lambda: client.send_file(BOB, "/", on_progress=told)),
        ("on_progress must be a function", lambda: client.wait("id", on_progress=1)),
        ("async function", lambda: client.wait("id", on_progress=told)),
        ("message_id must be a str, not NoneType", lambda: client.wait(None)),
        ("message_id must be a str, not int", lambda: client.progress(5)),
        ("message_id must be a str", lambda: client.cancel(None)),
        ("timeout must be a number of seconds, not str", client.messages(timeout="1").__enter__),
        ("timeout must be a number", lambda: client.wait("id", timeout=True)),
    ]
    for said, call in mistakes:
        with pytest.raises(TypeError, match=said):
            call()
    with pytest.raises(ValueError, match="timeout must be a number of seconds, not nan"):
        client.wait("id", timeout=nan)
    # The connection is as good as before. What was due already is asked about all the same.
    client.wait("id", timeout=-1)
    assert len(waiting(served)) == 0


def test_mistakes_in_connecting(served: Served) -> None:
    connect: Any = nym.connect
    mistakes: list[tuple[type[Exception], str, dict[str, object]]] = [
        (TypeError, "port must be an int, not str", {"port": "9001"}),
        (TypeError, "port must be an int, not bool", {"port": True}),
        (ValueError, "port must be between 1 and 65535, not 70000", {"port": 70000}),
        (TypeError, "id must be a str, not int", {"id": 5}),
        (TypeError, "host must be a str, not bytes", {"host": b"::1", "port": 1}),
        (ValueError, "needs no token; leave it out", {"id": "alice", "token": "x"}),
        (TypeError, "patience must be a number", {"port": served.port, "patience": "1"}),
    ]
    for kind, said, given in mistakes:
        with pytest.raises(kind, match=said):
            connect(**given)


def test_a_long_request_is_written_in_pieces(
    served: Served, client: nym.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "LONGEST_WRITE", 7)
    client.send(BOB, bytes(range(256)))
    assert [message.message[:] for message in waiting(served)] == [bytes(range(256))]


def test_the_outbox(served: Served, client: nym.Connection) -> None:
    sent = [client.send(BOB, str(number)) for number in range(120)]
    assert [message["id"] for message in client.outbox()] == sent
    assert client.outbox()[0]["waits_for"] == "network"
    assert client.status()["outbox"] == 120
    assert client.status()["address"] == client.address
    client.cancel(sent[0])
    assert client.progress(sent[0]).state == "cancelled"
    assert client.progress(sent[1]) == (*("waiting", 1, 1, "network", "no network is known yet"),)
    assert client.cancel_all() == sent[1:]
    assert client.outbox() == []


def test_waiting_for_the_end_of_a_message(served: Served, client: nym.Connection) -> None:
    done, failed, cancelled, late = (client.send(BOB, "") for _ in range(4))
    told: list[nym.Progress] = []

    def end(progress: nym.Progress) -> None:
        told.append(progress)
        served.outbox.done(done)

    client.wait(done, on_progress=end)
    assert [progress.state for progress in told] == ["waiting", "done"]
    served.outbox.give_up(failed)
    client.cancel(cancelled)
    for message, state in [(failed, "failed"), (cancelled, "cancelled")]:
        with pytest.raises(nym.DeliveryError, match=message) as caught:
            client.wait(message)
        assert (caught.value.id, caught.value.state) == (message, state)
    with pytest.raises(TimeoutError, match="still on its way: no network is known yet"):
        client.wait(late, timeout=0.0)


def test_failures_are_told(served: Served, client: nym.Connection) -> None:
    sent = client.send(BOB, "")
    with client.failures(timeout=0.0) as failures:
        served.deliver(b"a message, which is no failure")
        assert list(failures) == []
        served.outbox.give_up(sent)
    with client.failures() as failures:
        other = client.send(BOB, "")
        served.outbox.give_up(other)
        assert next(failures) == other
    assert received(client, 1) == [b"a message, which is no failure"]


def test_a_file(
    served: Served, client: nym.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core, "PART", 1000)
    path = tmp_path / "photo.jpg"
    path.write_bytes(bytes(2500))
    told: list[tuple[int, int]] = []
    sent = client.send_file(
        BOB, path, reliable=True, on_progress=lambda *so_far: told.append(so_far)
    )
    assert told == [(1000, 2500), (2000, 2500), (2500, 2500)]
    (message,) = waiting(served)
    assert (message.id, message.manner) == (sent, Manner.RELIABLE)
    served.deliver(message.message[:])
    with client.messages() as messages:
        assert next(messages).file == nym.File("photo.jpg", bytes(2500))
    with pytest.raises(FileNotFoundError):
        client.send_file(BOB, tmp_path / "none")


def test_files_that_are_refused(
    served: Served, client: nym.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(bytes(2500))
    tag = "8FfEMxt4vNJCDSGDxvLa2R"
    with pytest.raises(nym.NoAnswersError, match="reply_addresses is 0"):
        client.send_file(BOB, path, anonymous_reply=True)
    with pytest.raises(nym.NoSuchTagError):
        client.reply_file(tag, path)
    with pytest.raises(FileNotFoundError):
        client.reply_file(tag, tmp_path / "none")
    monkeypatch.setattr(service, "LONGEST_ANSWERABLE", 2500)
    with pytest.raises(nym.TooLongError):
        client.reply_file(tag, path)
    monkeypatch.setattr(requests, "LONGEST_MESSAGE", 2500)
    with pytest.raises(nym.TooLongError, match=r"photo\.jpg has 2500 bytes; 2467 are allowed"):
        client.send_file(BOB, path)
    served.deliver(b"from somebody who can't be answered")
    with client.messages() as messages, pytest.raises(ValueError, match="nobody can be answered"):
        client.reply_file(next(messages), path)
    assert len(waiting(served)) == 0


def test_who_has_shown_an_address_is_answered_there(served: Served, client: nym.Connection) -> None:
    assert deliver(served.inbox, b"who is there?", OTHER)
    with client.messages() as messages:
        message = next(messages)
        assert message.correspondent == message.sender == BOB
        client.reply(message, "me")
    assert [one["recipient"] for one in client.outbox()] == [BOB]


def test_a_message_that_is_no_text(served: Served, client: nym.Connection) -> None:
    served.deliver(b"\xff")
    with client.messages() as messages:
        message = next(messages)
    with pytest.raises(UnicodeDecodeError):
        _ = message.text
    assert (message.sender, message.is_sealed, message.file) == (None, True, None)


# Acknowledgement.


def test_a_message_leaves_when_the_next_one_is_asked_for(
    served: Served, client: nym.Connection
) -> None:
    served.deliver(b"one", b"two")
    with client.messages() as messages:
        assert next(messages).text == "one"
        assert len(served.inbox) == 2
        assert next(messages).text == "two"
        assert len(served.inbox) == 1
    assert len(served.inbox) == 0


def test_or_when_the_block_is_left(served: Served, client: nym.Connection) -> None:
    served.deliver(b"one", b"two")
    with client.messages() as messages:
        for message in messages:
            assert message.data == b"one"
            break
    assert len(served.inbox) == 1


def test_after_an_exception_it_comes_again(served: Served, client: nym.Connection) -> None:
    served.deliver(b"one", b"two", b"three")

    def work() -> None:
        with client.messages() as messages:
            for message in messages:
                if message.data == b"two":
                    raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert len(served.inbox) == 2
    assert sorted(received(client, 2)) == [b"three", b"two"]


def test_what_was_not_acknowledged_in_the_block_is_not_acknowledged_behind_it(
    served: Served, client: nym.Connection
) -> None:
    served.deliver(b"one", b"two")
    left: list[Iterator[nym.Message]] = []

    def work() -> None:
        with client.messages() as messages:
            left.append(messages)
            raise ZeroDivisionError(next(messages).text)

    with pytest.raises(ZeroDivisionError, match="one"):
        work()
    assert list(left[0]) == []
    assert len(served.inbox) == 2


def test_a_generator_around_a_loop_may_end_before_it(
    served: Served, client: nym.Connection
) -> None:
    def texts() -> Iterator[str]:
        with client.messages() as messages:
            for message in messages:
                yield message.text

    served.deliver(b"one", b"two")
    generator = texts()
    assert [next(generator), next(generator)] == ["one", "two"]
    generator.close()  # type: ignore[attr-defined]
    assert len(served.inbox) == 1


def test_a_loop_ends_when_nothing_comes(served: Served, client: nym.Connection) -> None:
    with client.messages(timeout=0.1) as messages:
        assert list(messages) == []
        # It may be asked again.
        served.deliver(b"one")
        assert [message.text for message in messages] == ["one"]
    with pytest.raises(StopIteration), client.messages(timeout=0.0) as messages:
        next(messages)


def test_a_look_finds_what_is_there(served: Served, client: nym.Connection) -> None:
    served.deliver(b"one", b"two", b"three")
    with client.messages(timeout=0) as messages:
        assert [message.text for message in messages] == ["one", "two", "three"]
        served.deliver(b"four")
        assert [message.text for message in messages] == ["four"]
    assert len(served.inbox) == 0
    with client.failures(timeout=0) as failures:
        sent = client.send(BOB, "")
        served.outbox.give_up(sent)
        assert list(failures) == [sent]


def test_loops_share_the_messages(served: Served, client: nym.Connection) -> None:
    served.deliver(b"one", b"two")
    with client.messages() as some, client.messages() as others:
        assert {next(some).text, next(others).text} == {"one", "two"}
    assert len(served.inbox) == 0


def test_what_no_loop_has_in_hand_is_free_for_others(
    served: Served, client: nym.Connection
) -> None:
    served.deliver(b"one", b"two", b"three")
    with client.messages() as messages, Lines(served.connect()) as other:
        next(messages)
        assert len(other.ask(type="fetch")["messages"]) == 2


# Where the client is.


def test_the_control_socket(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its path is longer than a UNIX socket's address.
    home = tmp_path / ("x" * 100)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
    folder = home / "nym/clients/alice"
    folder.mkdir(parents=True)
    with pytest.raises(nym.NotRunningError) as caught:
        nym.connect("alice", patience=0)
    assert str(caught.value) == (
        'the client "alice" doesn\'t run; start it with: nym-client tcpsocket --id alice'
    )
    control = ControlSocket(served._service, onlookers(), lambda: None, folder / "client.sock", 10)
    control.start()
    with nym.connect(id="alice") as client:
        assert client.address == encode_base58(OWN)
    control.stop()


def test_a_socket_in_the_file_system(tmp_path: Path) -> None:
    place = f"unix:{tmp_path}/alice.sock"
    with Served(TcpSocket, host=place) as served, nym.connect(host=place) as client:
        served.deliver(b"one")
        assert received(client, 1) == [b"one"]


def test_a_token(served: Served) -> None:
    key = bytes(range(32))
    with Served(TcpSocket, Token(Secret(key))) as served:
        for token in (None, "0" * 64):
            with pytest.raises(nym.AccessError):
                nym.connect(port=served.port, token=token)
        for wrong in (f"{key.hex()}\n{{}}", "", "\n"):
            with pytest.raises(ValueError, match="token must be one word"):
                nym.connect(port=served.port, token=wrong)
        for odd in (key, 5):
            with pytest.raises(TypeError, match="token must be a str"):
                nym.connect(port=served.port, token=odd)  # type: ignore[arg-type]
        # As it stands in the client's file, with the end of its line.
        with nym.connect(port=served.port, token=f"{key.hex()}\n") as client:
            served.deliver(b"one")
            assert received(client, 1) == [b"one"]


def test_what_is_no_client() -> None:
    with Served(WebSocket) as served, pytest.raises(nym.ProtocolError, match=r"says b'HTTP/1\.1"):
        nym.connect(port=served.port)


def test_a_client_that_starts_later(logged: pytest.LogCaptureFixture) -> None:
    port = free_port()
    connecting = gevent.spawn(nym.connect, port=port, patience=PATIENCE)
    wait_until(lambda: "waiting for it" in logged.text)
    assert f"the client at 127.0.0.1:{port} doesn't run" in logged.text
    with Served(TcpSocket, port=port), closing(connecting.get()) as client:
        assert client.address == encode_base58(OWN)
    assert f"connected to the client at 127.0.0.1:{port}" in logged.text


def test_a_client_that_has_no_room_for_another_subscriber(
    served: Served, client: nym.Connection, logged: pytest.LogCaptureFixture
) -> None:
    served.socket._may_listen = lambda: False  # type: ignore[method-assign]
    waiting = gevent.spawn(received, client, 1)
    wait_until(lambda: "no more connections can subscribe here" in logged.text)
    served.socket._may_listen = lambda: True  # type: ignore[method-assign]
    served.deliver(b"one")
    assert waiting.get() == [b"one"]
