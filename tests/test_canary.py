"""A canary: marked messages go through programs at `debug`, and the marks are searched everywhere.

A client writes to another one through a network, in every dialect and manner, and with every
mistake that an application can make. After that, no log, report, figure or file may have a mark, an
address, a private key or a password in it, in any form, except where EXPECTED says so.
"""

import base64
import json
import os
import re
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import fields
from functools import partial
from pathlib import Path

import pytest
import requests

from nym.identity import load_identity
from nym.wire import mix_pb2
from nym.wire.framing import Framing, encode_frame
from nym.wire.keys import decode_base58, encode_base58
from tests.harness import FAST, PATIENCE, Lines, Program, read_all, run_program, wait_until
from tests.test_nodes import Nodes

pytestmark = pytest.mark.no_cover  # programs of their own, of which each goes a known way

MARK = f"canary{os.urandom(12).hex()}"
PLAIN = f"plain{os.urandom(12).hex()}"  # in messages that the provider can read
USER, PASSWORD = f"user{os.urandom(8).hex()}", f"word{os.urandom(12).hex()}"

# What may be in which file, or folder, by its name: what docs/security.md says about the disk.
EXPECTED = {
    "lists": {"alice's address", "bob's address"},  # of all clients, as the directory has them
    "private.pem": {"alice's key", "bob's key"},
    "public.pem": {"alice's address", "bob's address"},
    "config.toml": {"user", "password"},  # the directory's URL, as it was given
    # The provider knows its clients, and can read plain messages.
    "inboxes.db": {"alice's address", "bob's address", "plain mark"},
    "inboxes.db-wal": {"alice's address", "bob's address", "plain mark"},
}
# A part dies, with a marked value in its error, so that there is a report.
CRASH = f"""
from gevent import monkey; monkey.patch_all()
import sys
from nym.cli import run
import nym.client.refresher
def fail(*_):
    raise KeyError("{MARK}")
nym.client.refresher.Refresher.run = fail
sys.exit(run(sys.argv[1:]))
"""


def forms(secret: bytes) -> Iterator[bytes]:
    """How the bytes could have been written down: raw, hex, base58, and inside of a base64."""
    yield secret
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    yield encode_base58(secret).encode()
    for before in range(3):
        # What is the same whatever stands before and behind: whole groups of three bytes.
        begin, end = -before % 3, len(secret) - (len(secret) + before) % 3
        encoded = base64.b64encode(secret[begin:end])
        yield encoded
        yield encoded.translate(bytes.maketrans(b"+/", b"-_"))


def found(secrets: dict[str, bytes], content: bytes) -> set[str]:
    """The names of the secrets that are in the content in some form."""
    return {
        name for name, secret in secrets.items() if any(form in content for form in forms(secret))
    }


def test_the_search_finds_every_form() -> None:
    secret = os.urandom(32)
    for form in (
        secret,
        secret.hex().encode(),
        encode_base58(secret).encode(),
        *(base64.b64encode(bytes(count) + secret + b"!") for count in range(3)),
        *(base64.urlsafe_b64encode(bytes(count) + secret + b"!") for count in range(3)),
    ):
        assert found({"it": secret}, b"before" + form + b"behind") == {"it"}
    assert not found({"it": secret}, os.urandom(1000))


class Stage(Nodes):
    """The network, and the clients alice and bob on it, all of them at `debug`."""

    def __init__(self, home: Path, stack: ExitStack) -> None:
        super().__init__(home, stack)
        self.said = b""  # what is seen of the programs, apart from their files

    def start(self, role: str, name: str, *options: str) -> Program:
        return super().start(role, name, "--verbose", *options)

    def start_client(self, name: str, command: str) -> int:
        program = self._stack.enter_context(
            Program(self.home, command, "--id", name, "--port", "0", "--verbose")
        )
        self.programs[name] = program
        return int(program.line(r"port: (\d+)")[1])

    def make_client(self, name: str) -> bytes:
        url = self.url.replace("://", f"://{USER}:{PASSWORD}@")
        assert run_program(self.home, "init", "--id", name, "--directory", url)[0] == 0
        for field in fields(FAST):
            value = str(getattr(FAST, field.name))
            run_program(self.home, "config", "set", "--id", name, f"traffic.{field.name}", value)
        return decode_base58(run_program(self.home, "address", "--id", name)[1].strip())

    def logged(self, name: str, pattern: str) -> str:
        """Read the log of a program up to a line in which the pattern is found."""
        for line in self.programs[name].process.stderr or ():
            self.said += line
            if match := re.search(pattern, line.decode()):
                return match[1]
        raise AssertionError(f"{name} logged no line like {pattern}")

    def runs(self, name: str) -> bool:
        """Whether the client runs, with a network and a provider."""
        out = run_program(self.home, "status", "--id", name, "--json")[1]
        return bool(out) and json.loads(out)["state"] == "running"

    def look(self, *arguments: str, own: bytes) -> None:
        """Note what a command prints that says how things are. It may tell the own address."""
        _, out, err = run_program(self.home, *arguments)
        self.said += f"{out}{err}".replace(encode_base58(own), "").encode()

    def end_all(self) -> None:
        for name in reversed(self.programs):
            _, _, err = self.programs[name].end(signal.SIGTERM)
            self.said += err.encode()

    def crash(self) -> None:
        """Let a part of a client die."""

        class Dying(Program):
            command = (sys.executable, "-c", CRASH)

        with Dying(self.home, "tcpsocket", "--id", "alice", "--port", "0", "-v") as program:
            self.programs["alice"] = program
            self.logged("alice", "(topology refresher died)")


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with ExitStack() as stack:
        yield Stage(tmp_path, stack)


def tell(port: int, *pieces: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        for piece in pieces:
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_WR)
        return read_all(connection)


def mistakes(port: int, to: bytes) -> None:
    """Everything that an application can do wrong, marked."""
    mark, address = MARK.encode(), encode_base58(to)
    for line in (
        b'{"type":"send","message":"%b"' % mark,  # no end
        b'{"type":"%b"}' % mark,
        b'{"%b":1}' % mark,
        b"%b" % mark,
        b'{"type":"send","recipient_address":"%b","message":"%b"}' % (mark, mark),
        json.dumps({"type": "send", "recipient_address": address, "data": f"!{MARK}"}).encode(),
        json.dumps(
            {"type": "send", "recipient_address": address, "message": MARK * 80, "plain": True}
        ).encode(),
        json.dumps(
            {"type": "send", "recipient_address": encode_base58(b"\xff" * 32), "message": MARK}
        ).encode(),
        *(b'{"type":"%b","id":"%b"}' % (kind, mark) for kind in (b"cancel", b"ack", b"progress")),
        b"\xff" + mark,
        b"token " + mark,
        b"GET /" + mark + b" HTTP/1.1\r\nHost: " + mark + b"\r\n\r",
    ):
        tell(port, line + b"\n")
    tell(port, b"\x01" + to + mark * 80)  # too long
    tell(port, b"\x01" + b"\xff" * 32 + mark)  # an address that nobody can have
    tell(port, b"\x05" + mark)
    frame = encode_frame(Framing.FIXED, mark)
    tell(port, frame)
    tell(port, frame[:-1])
    tell(port, bytes([0] * 4 + [255] * 4) + mark)


def mistakes_of_pages(port: int) -> None:
    """The same over HTTP."""
    for head in (
        f"GET /{MARK} HTTP/1.1\r\nHost: {MARK}\r\n\r\n",
        f"{MARK} / HTTP/1.1\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://{MARK}.example\r\n\r\n",
        f"GET /?token={MARK} HTTP/1.1\r\nHost: localhost\r\n{MARK}: {MARK}\r\n\r\n",
    ):
        tell(port, head.encode())


def test_no_mark_address_key_or_password_is_told(stage: Stage) -> None:
    stage.start_all()
    wait_until(stage.is_whole, "a whole network")
    alice, bob = stage.make_client("alice"), stage.make_client("bob")
    for name in ("alice", "bob"):
        run_program(stage.home, "config", "set", "--id", name, "logging.metrics", "127.0.0.1:0")
    at_alice = stage.start_client("alice", "tcpsocket")
    figures = stage.logged("alice", r"figures for Prometheus are at (\S+)")
    at_bob = stage.start_client("bob", "websocket")
    for name in ("alice", "bob"):
        wait_until(partial(stage.runs, name), f"{name} to run")
    wait_until(lambda: all(lists(at_alice, one) for one in (alice, bob)), "a list with both")

    # In each dialect and manner, to bob, who subscribes over a WebSocket.
    messages = [f"{MARK} {number}" for number in range(6)] + [PLAIN]
    tell(at_alice, b"\x01" + bob + messages[0].encode())
    request = mix_pb2.Request(
        send=mix_pb2.Send(message=messages[1].encode(), recipient=mix_pb2.Client(pub_key=bob))
    )
    tell(at_alice, encode_frame(Framing.FIXED, request.SerializeToString()))
    with Lines(socket.create_connection(("127.0.0.1", at_alice), timeout=PATIENCE)) as lines:
        lines.send(bob, messages[2].encode())
        lines.send(bob, messages[3].encode(), reliable=True)
        lines.send(bob, messages[4].encode() + bytes(5000), reliable=True)
        lines.send(bob, PLAIN.encode(), plain=True)
    run_program(stage.home, "send", "--id", "alice", encode_base58(bob), "--message", messages[5])
    mistakes(at_alice, bob)
    mistakes_of_pages(at_bob)
    for name, own in (("alice", alice), ("bob", bob)):
        stage.look("status", "--id", name, own=own)
        stage.look("network", "view", "--id", name, own=own)
    stage.said += requests.get(figures, timeout=PATIENCE).content
    came: set[bytes] = set()

    def has_all() -> bool:
        for line in run_program(stage.home, "receive", "--id", "bob", "--json")[1].splitlines():
            came.add(base64.b64decode(json.loads(line)["data"]).rstrip(b"\0"))
        return came >= {message.encode() for message in messages}

    wait_until(has_all, "all messages")
    stage.end_all()
    stage.crash()
    judge(stage, alice, bob)


def lists(port: int, address: bytes) -> bool:
    return encode_base58(address).encode() in tell(port, b'{"type":"getClients"}\n')


def judge(stage: Stage, alice: bytes, bob: bytes) -> None:
    """Search everything."""
    keys = {
        name: bytes(load_identity(stage.home / "nym" / "clients" / name).private_key)
        for name in ("alice", "bob")
    }
    secrets = {
        "mark": MARK.encode(),
        "plain mark": PLAIN.encode(),
        "user": USER.encode(),
        "password": PASSWORD.encode(),
        "alice's address": alice,
        "bob's address": bob,
        "alice's key": keys["alice"],
        "bob's key": keys["bob"],
    }
    assert b"DEBUG" in stage.said
    told = {"what is said": found(secrets, stage.said)}
    for path in [path for path in stage.home.rglob("*") if path.is_file()]:
        expected = [EXPECTED.get(name, set()) for name in (path.name, path.parent.name)]
        told[str(path)] = found(secrets, path.read_bytes()).difference(*expected)
    assert {"client.db", "inboxes.db"} <= {Path(place).name for place in told}
    assert any(Path(place).name.startswith("crash-") for place in told)
    assert not {place: names for place, names in told.items() if names}
