"""Recipients that get plain messages: those that contacts.toml or a socket's settings name.

A plain message fits into one packet, so the longest accepted message shows which kind it would be.
"""

import base64
import json
import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from nym.contacts import Contact, CurrentContacts, add_contact, remove_contact
from nym.errors import ContactsError
from nym.identity import generate_identity
from nym.wire.framing import Framing, encode_frame
from nym.wire.keys import encode_base58
from nym.wire.mix_pb2 import Client as MixClient
from nym.wire.mix_pb2 import Nothing, Request
from nym.wire.mix_pb2 import Send as MixSend
from tests.harness import PATIENCE, Program, run_program

OLD, NEW = generate_identity().public_key, generate_identity().public_key
TOO_LONG = b"too long message. Sent 976 bytes while the maximum is 975"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    run_program(tmp_path, "init", "--id", "alice", "--directory", "http://127.0.0.1:1")
    add_contact(tmp_path / "nym", "old", Contact(OLD, is_plain=True))
    return tmp_path


def say(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(data)
        return connection.recv(1 << 16)


def send_lines(port: int, recipient: bytes, message: bytes, **flags: bool) -> Any:
    data = base64.b64encode(message).decode()
    body = {"type": "send", "recipient_address": encode_base58(recipient), "data": data, **flags}
    return json.loads(say(port, json.dumps(body).encode() + b"\n"))


def send_framed(port: int, recipient: bytes, message: bytes) -> bytes:
    requests = (
        Request(send=MixSend(message=message, recipient=MixClient(pub_key=recipient))),
        Request(flush=Nothing()),
    )
    return say(port, b"".join(encode_frame(Framing.FIXED, r.SerializeToString()) for r in requests))


def is_plain(port: int, recipient: bytes, **flags: bool) -> bool:
    """Whether a message to this recipient would be plain: then 976 bytes are too long."""
    answer = send_lines(port, recipient, bytes(976), **flags)
    assert answer.get("code", "too_long") == "too_long", f"another error than the length: {answer}"
    return bool(answer["type"] == "error")


def test_every_dialect_and_command_sends_plain_messages_to_a_plain_contact(home: Path) -> None:
    with Program(home, "tcpsocket", "--id", "alice", "-p", "0") as program:
        port = int(program.line(r"on port: (\d+)$")[1])
        assert say(port, b"\x01" + OLD + b"hi") == b"ok"
        assert TOO_LONG in send_framed(port, OLD, bytes(976))
        assert TOO_LONG not in send_framed(port, NEW, bytes(976))
        assert is_plain(port, OLD)
        assert is_plain(port, OLD, reliable=False)
        assert not is_plain(port, OLD, plain=False)
        assert not is_plain(port, NEW)
        assert is_plain(port, NEW, plain=True)
        refused = send_lines(port, OLD, b"hi", reliable=True)
        assert refused["code"] == "incomplete"
        assert "published client" in refused["message"]
        assert send_lines(port, OLD, b"hi", reliable=True, plain=False)["type"] == "send"

        file = home / "message"
        file.write_bytes(bytes(976))
        for recipient in ("old", encode_base58(OLD)):
            code, _, err = run_program(home, "send", "--id", "alice", recipient, str(file))
            assert (code, TOO_LONG.decode() in err) == (1, True)

        # Changes of contacts take effect at once, in a client that runs.
        add_contact(home / "nym", "new", Contact(NEW, is_plain=True))
        assert is_plain(port, NEW)
        remove_contact(home / "nym", "old")
        assert not is_plain(port, OLD)


def test_a_socket_whose_messages_are_all_plain(home: Path) -> None:
    with Program(home, "tcpsocket", "--id", "alice", "-p", "0", "--plain") as program:
        port = int(program.line(r"on port: (\d+)$")[1])
        assert TOO_LONG in send_framed(port, NEW, bytes(976))
        assert is_plain(port, NEW)
        assert not is_plain(port, NEW, plain=False)
        assert not is_plain(port, NEW, reliable=True)
        # The setting is for applications on the socket. Commands don't use that one.
        file = home / "message"
        file.write_bytes(bytes(976))
        sent = run_program(home, "send", "--id", "alice", encode_base58(NEW), str(file))
        assert sent[0] == 0, f"a command's message is refused as if it were plain: {sent}"


def test_a_reload_takes_over_whether_all_are_plain(home: Path) -> None:
    with Program(home, "tcpsocket", "--id", "alice", "-p", "0") as program:
        port = int(program.line(r"on port: (\d+)$")[1])
        assert not is_plain(port, NEW)
        run_program(home, "config", "set", "--id", "alice", "socket.plain", "true")
        os.kill(program.process.pid, signal.SIGHUP)
        program.logged("socket.plain is True now")
        assert is_plain(port, NEW)


def test_plain_and_reliable_exclude_each_other(home: Path) -> None:
    code, _, err = run_program(home, "tcpsocket", "--id", "alice", "--plain", "--reliable")
    assert code == 2, f"both options together are accepted: {err}"
    run_program(home, "config", "set", "--id", "alice", "client.reliable", "true")
    code, _, err = run_program(home, "tcpsocket", "--id", "alice", "--plain")
    assert (code, "client.reliable is true" in err) == (2, True)


def test_a_broken_file_is_an_obstacle_to_those_in_it_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    contacts = CurrentContacts(tmp_path)
    assert not contacts.is_plain(OLD)  # there is no contacts.toml yet
    path = tmp_path / "contacts.toml"
    path.write_text(f'[old]\naddress = "{encode_base58(OLD)}"\nplain = perhaps\n')
    with pytest.raises(ContactsError, match=r"contacts\.toml.*plain messages"):
        contacts.is_plain(OLD)
    assert not contacts.is_plain(NEW)
    assert len(caplog.records) == 1
    path.write_text(f'[old]\naddress = "{encode_base58(OLD)}"\nplain = true\n')
    assert contacts.is_plain(OLD)
    assert not contacts.is_plain(NEW)
    path.unlink()
    assert not contacts.is_plain(OLD)
