"""Text of peers, wherever it can reach a person, neither controls the terminal nor forges lines.

PLACES lists those places, each as an HTTP answer with a hostile text there. A change that shows
another text of peers adds its place to the list.
"""

import json
import re
import signal
import socket
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from nym.wire.keys import encode_base58
from tests.harness import Program, beside, run_program, serving, wait_until

pytestmark = pytest.mark.no_cover  # hundreds of programs, all on one way through the code

HOSTILE = "\x1b[31mred\nok    forged    line:5\r\x9b2J\u202e\u2028\u200b"
HEADER = HOSTILE.replace("\n", "").encode()
KEYS = [encode_base58(bytes([9 + number]).ljust(32, b"\0")) for number in range(5)]


def mixnode(number: int, **fields: Any) -> dict[str, Any]:
    node = {"host": f"127.0.0.1:{number}", "pubKey": KEYS[number], "layer": 1, "version": "0.5.0"}
    return {**node, **fields}


def provider(**fields: Any) -> dict[str, Any]:
    return {
        "mixnetListener": "127.0.0.1:1",
        "clientListener": "127.0.0.1:2",
        "pubKey": KEYS[4],
        "registeredClients": [],
        "version": "0.5.0",
        **fields,
    }


def ok(body: object) -> bytes:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + text


def topology(*mixnodes: object, providers: object = ()) -> bytes:
    return ok({"mixNodes": [*mixnodes], "mixProviderNodes": providers})


PLACES = {
    "a status line": HEADER + b"\r\n\r\n",
    "a reason phrase": b"HTTP/1.1 404 " + HEADER + b"\r\n\r\n",
    "a header's name": b"HTTP/1.1 200 OK\r\n" + HEADER + b": x\r\n\r\n",
    "a header without a colon": b"HTTP/1.1 200 OK\r\n" + HEADER + b"\r\nmore\r\n\r\n",
    "a redirect's target": b"HTTP/1.1 302 Found\r\nLocation: http://h/" + HEADER + b"\r\n\r\n",
    "a redirect's broken target": b"HTTP/1.1 302 Found\r\nLocation: //[" + HEADER + b"\r\n\r\n",
    "a chunk's length": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + HEADER + b"\r\n",
    "an encoding": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + HEADER,
    "a cookie": b"HTTP/1.1 200 OK\r\nSet-Cookie: a=" + HEADER + b"; max-age=x\r\n\r\n{}",
    "a body that is no JSON": ok(HOSTILE.encode()),
    "the name of a field": ok({HOSTILE: HOSTILE}),
    "lists that are none": ok({"mixNodes": HOSTILE, "mixProviderNodes": []}),
    "a mixnode's host": topology(mixnode(1, host=HOSTILE + ":5")),
    "a mixnode's version": topology(mixnode(1, version=HOSTILE)),
    "a mixnode's key": topology(mixnode(1, pubKey=HOSTILE)),
    "a mixnode's layer": topology(mixnode(1, layer=HOSTILE)),
    "a name that has no address": topology(mixnode(1, host="no-such.invalid:5", version="0.4.0")),
    "a provider's hosts": topology(providers=[provider(mixnetListener=HOSTILE)]),
    "a provider's version": topology(providers=[provider(version=HOSTILE)]),
    "a provider's clients": topology(providers=[provider(registeredClients=[{"pubKey": HOSTILE}])]),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("home")
    assert run_program(path, "init", "--id", "alice")[0] == 0
    return path


@pytest.mark.parametrize("place", PLACES)
def test_nothing_of_a_directory_moves_the_cursor_or_forges_a_line(home: Path, place: str) -> None:
    asked: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        asked.append(connection.recv(65536))
        connection.sendall(PLACES[place])

    with serving(serve) as address:
        url = f"http://{address}"
        run_program(home, "config", "set", "--id", "alice", "client.directory", url)
        # In a thread: the directory, which answers in this one, must not wait for the program.
        code, out, err = beside(run_program, home, "check", "--id", "alice")
    assert asked
    assert code == 4
    assert "did not answer" not in out
    assert [line.split()[0] for line in out.splitlines()][:3] == ["ok", "ok", "FAIL"]
    assert "Traceback" not in err
    for text in (out, err):
        check_visible(text)


@pytest.mark.parametrize("place", PLACES)
def test_nothing_of_a_directory_forges_a_line_of_a_network(home: Path, place: str) -> None:
    with serving(lambda connection: answer(connection, PLACES[place])) as address:
        url = f"http://{address}"
        code, out, err = beside(run_program, home, "network", "check", "--directory", url)
    assert code in (1, 4)
    assert "wrong  " in out
    assert "did not answer" not in out
    assert "Traceback" not in err
    for text in (out, err):
        check_visible(text)


def answer(connection: socket.socket, what: bytes) -> None:
    """Read a request, and answer it."""
    connection.recv(65536)
    connection.sendall(what)


def test_nothing_of_a_directory_forges_a_line_in_the_log(home: Path) -> None:
    asked: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        asked.append(connection.recv(65536))
        connection.sendall(PLACES["a mixnode's version"])

    with serving(serve) as address:
        where = ("--port", "0", "--directory", f"http://{address}")
        with Program(home, "tcpsocket", "--id", "alice", *where) as program:
            wait_until(lambda: len(asked) >= 3)
            _, _, err = program.end(signal.SIGTERM)
    (line,) = [line for line in err.splitlines() if "WARNING directory: " in line]
    assert r"\x1b[31mred\nok" in line
    check_visible(err)


def check_visible(text: str) -> None:
    assert "forged" not in {word for line in text.splitlines() for word in line.split()[:2]}
    for character in text:
        assert character == "\n" or unicodedata.category(character) not in {
            *("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
        }, f"a character that a terminal may obey or hide was printed: {re.escape(text)}"
