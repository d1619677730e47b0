"""Received messages as applications and people see them: marked as plain, and without escapes."""

import base64
import json
import os
import pty
import shlex
import socket
import subprocess
import unicodedata
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import gevent
import pytest
from websockets.sync.client import connect

from nym.config import Config, SocketSettings
from nym.sockets.http import WebSocket
from nym.sockets.tcp import TcpSocket
from nym.wire.framing import FrameBuffer, Framing, encode_frame
from nym.wire.mix_pb2 import Nothing, Request, Response
from tests.harness import PATIENCE, PROGRAM, beside, read_terminal, wait_until
from tests.test_shell import Shell

HOSTILE = "\x1b[31mred\x9b2J\u202e\u2066\u200b\x7f\r\x00\u2028é\ud7ff"


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    with ExitStack() as stack:
        yield Shell(tmp_path, stack)


def send(shell: Shell, text: str, *options: str) -> None:
    command = " ".join(["nym-client send --id alice", *options, "bob"])
    assert shell.run(command, text.encode()) == (0, b"", b"")


def arrived(shell: Shell, count: int) -> None:
    wait_until(lambda: len(shell.bob.client._commands.inbox) == count, "messages")


def on_terminal(shell: Shell, command: str) -> str:
    """Run a command whose standard output is a pseudo-terminal, and return what appears there."""
    here, there = pty.openpty()
    reading = gevent.get_hub().threadpool.spawn(read_terminal, here)
    with os.fdopen(there, "wb") as terminal:
        beside(
            subprocess.run,
            shlex.split(command.replace("nym-client", PROGRAM)),
            stdout=terminal,
            env=shell.environment(),
            timeout=PATIENCE,
            check=True,
        )
    return bytes(reading.get() or b"").decode()


def hidden(text: str) -> set[str]:
    return {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp", "Cn", "Co")}


def test_a_terminal_carries_nothing_out_and_shows_what_was_plain(shell: Shell) -> None:
    send(shell, HOSTILE)
    arrived(shell, 1)
    send(shell, HOSTILE, "--plain")
    arrived(shell, 2)
    sealed, plain = on_terminal(shell, "nym-client receive --id bob").splitlines()
    assert not hidden(sealed + plain)
    assert sealed.startswith(r"\x1b[31mred\x9b2J\u202e\u2066\u200b")
    assert plain == f"(plain) {sealed}"


def test_json_is_escaped_and_says_what_was_sealed(shell: Shell) -> None:
    send(shell, HOSTILE)
    arrived(shell, 1)
    send(shell, HOSTILE, "--plain")
    arrived(shell, 2)
    shown = on_terminal(shell, "nym-client receive --id bob --json")
    assert not hidden(shown.replace("\r\n", ""))
    said = [json.loads(line) for line in shown.splitlines()]
    assert [(one["text"], one["sealed"]) for one in said] == [(HOSTILE, True), (HOSTILE, False)]


def test_pipes_get_the_bytes(shell: Shell) -> None:
    send(shell, HOSTILE, "--plain")
    assert shell.run("nym-client receive --id bob --count 1") == (0, HOSTILE.encode(), b"")


def test_plain_messages_are_refused_where_that_is_set(
    shell: Shell, caplog: pytest.LogCaptureFixture
) -> None:
    bob = shell.bob.client
    config = Config()
    bob.reload(replace(config, client=replace(config.client, accept_plain=False)))
    for text in ("first", "second"):
        send(shell, text, "--plain")
    wait_until(lambda: status(shell)["plain_refused"] == 2, "two to be refused")
    send(shell, "sealed")
    arrived(shell, 1)
    (line,) = [r.message for r in caplog.records if "plain" in r.message]
    assert "client.accept_plain is false" in line
    _, table, _ = shell.run("nym-client status --id bob")
    assert b"2 plain" in table

    bob.reload(config)
    send(shell, "third", "--plain")
    arrived(shell, 2)
    assert status(shell)["plain_refused"] == 2


def status(shell: Shell) -> dict[str, Any]:
    _, out, _ = shell.run("nym-client status --id bob --json")
    report: dict[str, Any] = json.loads(out)
    return report


def test_every_dialect_with_room_says_it(shell: Shell) -> None:
    """Each dialect fetches a plain message and a sealed one, and says which is which."""
    service = shell.bob.client._applications
    tcp, web = (kind(service, SocketSettings(port=0)) for kind in (TcpSocket, WebSocket))
    ports = tcp.start(), web.start()
    try:
        for fetch, expected in FETCHES.items():
            service.inbox.deliver(b"plain", is_sealed=False)
            service.inbox.deliver(b"sealed", is_sealed=True)
            service.inbox.settle()
            assert beside(fetch, *ports) == expected
            wait_until(lambda: not service.inbox, "the inbox to be empty")
    finally:
        tcp.stop()
        web.stop()


def lines(tcp: int, web: int) -> Any:
    return said_in_lines(tcp, b'{"type":"fetch"}\n')


def subscription(tcp: int, web: int) -> Any:
    with socket.create_connection(("127.0.0.1", tcp), timeout=PATIENCE) as connection:
        file = connection.makefile("rw")
        file.write('{"type":"subscribe","follow":false}\n')
        file.flush()
        told = []
        for line in file:
            said = json.loads(line)
            if said["type"] == "end":
                break
            if said["type"] == "message":
                told.append((base64.b64decode(said["data"]), said["sealed"]))
                connection.sendall(json.dumps({"type": "ack", "id": said["id"]}).encode() + b"\n")
        return told


def said_in_lines(port: int, request: bytes) -> Any:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(request)
        return json.loads(connection.makefile().readline())


def framed(tcp: int, web: int) -> Any:
    asked = (Request(fetch=Nothing()), Request(flush=Nothing()))
    with socket.create_connection(("127.0.0.1", tcp), timeout=PATIENCE) as connection:
        for request in asked:
            connection.sendall(encode_frame(Framing.FIXED, request.SerializeToString()))
        (first, *_) = FrameBuffer(Framing.FIXED).feed(connection.recv(1 << 16))
    messages = Response.FromString(first).fetch
    return list(messages.messages), list(messages.sealed)


def objects(tcp: int, web: int) -> Any:
    with connect(f"ws://127.0.0.1:{web}/") as connection:
        connection.send('{"type":"fetch"}')
        return json.loads(connection.recv())


def mix_binary(tcp: int, web: int) -> Any:
    with connect(f"ws://127.0.0.1:{web}/mix") as connection:
        connection.send(Request(fetch=Nothing()).SerializeToString())
        answer = connection.recv()
    assert isinstance(answer, bytes)
    messages = Response.FromString(answer).fetch
    return list(messages.messages), list(messages.sealed)


def mix_json(tcp: int, web: int) -> Any:
    with connect(f"ws://127.0.0.1:{web}/mix") as connection:
        connection.send('{"fetch":{}}')
        return json.loads(connection.recv())


def raw(tcp: int, web: int) -> Any:
    with socket.create_connection(("127.0.0.1", tcp), timeout=PATIENCE) as connection:
        connection.sendall(b"\x02")
        return connection.recv(1 << 16)


OBJECT = {"type": "fetch", "messages": ["plain", "sealed"], "sealed": [False, True]}
BOTH = [b"plain", b"sealed"], [False, True]
FETCHES = {
    lines: OBJECT,
    subscription: list(zip(*BOTH, strict=True)),
    framed: BOTH,
    objects: OBJECT,
    mix_binary: BOTH,
    # These two answer as published. Applications' JSON libraries may refuse a field that they don't
    # know, and the raw dialect has no room for one.
    mix_json: {"fetch": {"messages": ["cGxhaW4=", "c2VhbGVk"]}},
    raw: b"\0\x02\0\x05\0\x06plainsealed",
}
