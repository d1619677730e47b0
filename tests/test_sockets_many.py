"""Many connections at once: what each costs, and how connections beyond the limit are refused."""

import json
import logging
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from nym import files
from nym.errors import LockedError
from nym.net.listening import UnixListener
from nym.sockets import conversation, local
from nym.sockets.control import ControlSocket
from nym.sockets.http import WebSocket
from nym.sockets.tcp import TcpSocket
from nym.wire import mix_pb2
from nym.wire.framing import FrameBuffer, Framing, encode_frame
from tests.harness import (
    OWN,
    PATIENCE,
    Lines,
    Program,
    Served,
    onlookers,
    read_all,
    run_program,
    wait_until,
)
from tests.test_sockets_websocket import DETAILS, Application, head

MOST = 1000  # connections
PLACES = MOST * 8 // 7 + 1  # seven of eight may be subscribers, so MOST of these may
SUBSCRIBE = b'{"type":"subscribe"}\n'
LONGEST = 30_000  # bytes of memory that an idle connection may cost


def ask(connection: socket.socket, request: bytes) -> bytes:
    connection.sendall(request)
    return connection.recv(1 << 16)


@pytest.fixture
def full(served: Served) -> Iterator[Served]:
    """A socket with its limit of two connections; both subscribe, so neither makes room."""
    with served.connect() as one, served.connect() as two:
        for connection in (one, two):
            assert ask(connection, SUBSCRIBE) == SUBSCRIBE
        yield served


@pytest.fixture
def served() -> Iterator[Served]:
    with Served(TcpSocket, connections=2) as served:
        yield served


BUSY = "busy: 2 connections are open here, as many as socket.connections in config.toml allows"


def as_json(data: bytes) -> str:
    answer = json.loads(data)
    assert (answer["type"], answer["code"]) == ("error", "busy")
    return str(answer["message"])


def as_frame(data: bytes) -> str:
    (message,) = FrameBuffer(Framing.FIXED).feed(data)
    return str(mix_pb2.Response.FromString(message).exception.error)


@pytest.mark.parametrize(
    ("said", "read"),
    [
        (b'{"type":"ownDetails"}\n', as_json),
        (b'{"type":"send","data":"' + bytes(1 << 20), as_json),
        (b"\x04", bytes.decode),
        (b"\x01" + bytes(100), bytes.decode),
        (
            encode_frame(
                Framing.FIXED, mix_pb2.Request(details=mix_pb2.Nothing()).SerializeToString()
            ),
            as_frame,
        ),
        (b"", lambda data: data.decode().rstrip("\n")),
    ],
)
def test_one_too_many_is_told_in_its_own_dialect(
    full: Served, said: bytes, read: Callable[[bytes], str]
) -> None:
    with full.connect() as connection:
        connection.sendall(said)
        assert read(read_all(connection)) == BUSY


def test_a_websocket_too_many_is_told() -> None:
    with (
        Served(WebSocket, connections=2) as served,
        Application(served) as one,
        Application(served) as two,
    ):
        assert one.ask(type="subscribe") == two.ask(type="subscribe") == {"type": "subscribe"}
        for headers in ({}, {"origin": "https://evil.example"}):
            refused = Application(served, **headers)
            assert refused.response.status_code == 503
            assert refused.response.body.decode() == BUSY + "\n"
        with served.connect() as silent:
            assert read_all(silent).startswith(b"HTTP/1.1 503 ")
        assert one.ask(type="ownDetails") == two.ask(type="ownDetails") == DETAILS


def test_when_one_ends_the_next_is_served_and_the_log_stays_short(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "nym")
    with Lines(served.connect()) as one, Lines(served.connect()) as two:
        assert one.ask(type="subscribe") == two.ask(type="subscribe") == {"type": "subscribe"}
        for _ in range(40):
            with Lines(served.connect()) as three:
                assert three.ask(type="ownDetails")["code"] == "busy"

    def is_served() -> bool:
        with Lines(served.connect()) as lines:
            return bool(lines.ask(type="ownDetails") == DETAILS)

    wait_until(is_served)
    assert [record.getMessage() for record in caplog.records] == [
        f"TCP socket: {BUSY}; others are refused until some of them end",
        "TCP socket: works again",
    ]


def test_the_longest_idle_makes_room_but_no_subscriber(served: Served) -> None:
    with Lines(served.connect()) as subscriber, served.connect() as idle:
        assert subscriber.ask(type="subscribe") == {"type": "subscribe"}
        assert ask(idle, b"\x04") == OWN
        with Lines(served.connect()) as lines:
            assert lines.ask(type="ownDetails") == DETAILS
            assert idle.recv(1) == b""
        assert subscriber.ask(type="ownDetails") == DETAILS


def test_who_has_said_nothing_in_time_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "FIRST_BYTE_TIME", 0.2)
    with Served(TcpSocket, connections=3) as served, served.connect() as idle:
        assert ask(idle, b"\x04") == OWN
        with served.connect() as silent, served.connect() as new:
            wait_until(lambda: len(served.socket._visits) == 3)
            # Longer than FIRST_BYTE_TIME. All three are idle, but two have never said anything.
            time.sleep(0.3)
            with Lines(served.connect()) as lines:
                assert lines.ask(type="ownDetails") == DETAILS
                assert silent.recv(1) == b""
            assert ask(idle, b"\x04") == OWN
            assert ask(new, b"\x04") == OWN


@pytest.mark.parametrize("held", [b"", b"\x04", b'{"type":', SUBSCRIBE, b"\0", b"\x7b" * 2000])
def test_nobody_locks_the_owner_out(held: bytes) -> None:
    """Whatever a program says on many connections that it opens, the owner is still served."""
    with Served(TcpSocket, connections=64) as served, ExitStack() as open_ones:
        for _ in range(80):
            connection = open_ones.enter_context(served.connect())
            connection.sendall(held)
            if held == SUBSCRIBE:
                connection.recv(1 << 16)
        with Lines(served.connect()) as owner:
            assert owner.ask(type="ownDetails") == DETAILS


def test_answers_that_nobody_reads_hold_no_place_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "FIRST_BYTE_TIME", 0.1)
    with Served(TcpSocket, connections=1) as served, served.connect() as deaf:
        for _ in range(20):
            served.deliver(bytes(750_000))
        deaf.sendall(b'{"type":"fetch","format":"base64"}\n' * 20)
        wait_until(lambda: len(served.inbox) < 20)

        def is_served() -> bool:
            with Lines(served.connect()) as lines:
                return bool(lines.ask(type="ownDetails") == DETAILS)

        wait_until(is_served)


def test_places_are_left_for_those_that_do_not_subscribe() -> None:
    with Served(TcpSocket, connections=16) as served, ExitStack() as open_ones:
        said = []
        for _ in range(16):
            connection = open_ones.enter_context(served.connect())
            said.append(json.loads(ask(connection, SUBSCRIBE)))
        assert [one["type"] for one in said] == ["subscribe"] * 14 + ["error"] * 2
        assert (said[-1]["code"], "socket.connections" in said[-1]["message"]) == ("busy", True)
        # A fetch may usually wait for a message. Here no place is left for one more connection that
        # waits, so it is answered at once.
        connection.close()
        connection = open_ones.enter_context(served.connect())
        began = time.monotonic()
        for request in (
            mix_pb2.Request(fetch=mix_pb2.Nothing()),
            mix_pb2.Request(flush=mix_pb2.Nothing()),
        ):
            connection.sendall(encode_frame(Framing.FIXED, request.SerializeToString()))
        assert connection.recv(1 << 16)
        assert time.monotonic() - began < conversation.FETCH_PATIENCE


def test_a_websocket_that_makes_room_is_told() -> None:
    with Served(WebSocket, connections=1) as served, Application(served) as silent:
        wait_until(lambda: Application(served).response.status_code == 101)
        assert silent.closed() == 1001


# The whole program, with its limits on memory and descriptors.


@pytest.fixture
def home(tmp_path: Path) -> Path:
    run_program(tmp_path, "init", "--id", "alice", "--directory", "http://127.0.0.1:1")
    return tmp_path


def resident(process: int) -> int:
    """Bytes of memory that belong to the process alone, without files that it maps."""
    status = Path(f"/proc/{process}/status").read_text()
    (kilobytes,) = re.findall(r"^RssAnon:\s+(\d+) kB$", status, re.MULTILINE)
    return int(kilobytes) << 10


def websocket(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    assert ask(connection, head()).startswith(b"HTTP/1.1 101 ")
    return connection


def lines(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    assert b"ownDetails" in ask(connection, b'{"type":"ownDetails"}\n')
    return connection


def silent(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


def subscriber(port: int) -> socket.socket:
    connection = silent(port)
    assert ask(connection, b'{"type":"subscribe"}\n') == b'{"type":"subscribe"}\n'
    return connection


@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("command", "connect"),
    [
        ("tcpsocket", silent),
        ("tcpsocket", lines),
        ("tcpsocket", subscriber),
        ("websocket", websocket),
    ],
)
def test_a_thousand_idle_connections_cost_little(
    home: Path, command: str, connect: Callable[[int], socket.socket]
) -> None:
    run_program(home, "config", "--id", "alice", "set", "socket.connections", str(PLACES))
    with Program(home, command, "--id", "alice", "-p", "0") as program, ExitStack() as open_ones:
        port = int(program.line(r"on port: (\d+)$")[1])
        open_ones.enter_context(connect(port))
        before = resident(program.process.pid)
        for _ in range(MOST - 1):
            open_ones.enter_context(connect(port))
        cost = (resident(program.process.pid) - before) / (MOST - 1)
        assert cost < LONGEST
        with websocket(port) if command == "websocket" else lines(port):
            pass


@pytest.mark.no_cover
def test_a_thousand_commands_at_once(home: Path) -> None:
    with (
        Program(home, "tcpsocket", "--id", "alice", "-p", "0") as program,
        ExitStack() as open_ones,
    ):
        program.line("^Listening")
        before = resident(program.process.pid)
        for _ in range(MOST):
            connection = open_ones.enter_context(socket.socket(socket.AF_UNIX))
            connection.connect(str(home / "nym" / "clients" / "alice" / "client.sock"))
            assert b"ownDetails" in ask(connection, b'{"type":"ownDetails"}\n')
        assert (resident(program.process.pid) - before) / MOST < LONGEST
        assert run_program(home, "address", "--id", "alice")[0] == 0


@pytest.mark.no_cover
def test_few_descriptors(home: Path) -> None:
    """Connections are refused or served later, and one log line says which limit to raise."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))

    with Program(home, "tcpsocket", "--id", "alice", "-p", "0", preexec_fn=limit) as program:
        port = int(program.line(r"on port: (\d+)$")[1])
        with ExitStack() as open_ones:
            many = [open_ones.enter_context(silent(port)) for _ in range(40)]
            for connection in many:
                connection.sendall(b'{"type":"ownDetails"}\n')
            heard = [connection.recv(1 << 16) for connection in many[1:]]
            assert any(b"ulimit -n" in answer for answer in heard)
            assert all(b"busy" in answer or b"ownDetails" in answer for answer in heard)
        with lines(port):
            pass
        code, _, err = program.end(signal.SIGTERM)
    assert code == 0
    assert err.count("ulimit -n") == 1, f"the limit must be named in one line of the log: {err}"
    assert "Traceback" not in err
    assert "should not happen" not in err


RACE = """
import sys
from pathlib import Path
from nym.errors import ListenError
from nym import files
from nym.errors import LockedError
from nym.net.listening import UnixListener
print("ready", flush=True)
sys.stdin.readline()
try:
    listener = UnixListener(Path(sys.argv[1]))
except ListenError as error:
    print(error, flush=True)
else:
    print("listens", flush=True)
    sys.stdin.readline()
    listener.close()
"""


def test_of_many_starts_at_one_place_one_succeeds(tmp_path: Path) -> None:
    path = tmp_path / "nym.sock"
    for _ in range(5):
        with socket.socket(socket.AF_UNIX) as dead:  # leaves its file, as a killed client does
            dead.bind(str(path))
        racers = [
            subprocess.Popen(
                [sys.executable, "-c", RACE, path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(6)
        ]
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("go\n")
            racer.stdin.flush()
        said = sorted(racer.stdout.readline() for racer in racers if racer.stdout)
        assert said[-1] == "listens\n"
        assert all("another program listens there" in line for line in said[:-1]), (
            f"not exactly one of the starts succeeded: {said}"
        )
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
        for racer in racers:
            racer.communicate()
        assert not path.exists()


def test_the_control_socket_has_a_limit_of_its_own(tmp_path: Path) -> None:
    with Served(TcpSocket) as served:
        control = ControlSocket(
            served._service, onlookers(), lambda: None, tmp_path / "client.sock", 1
        )
        control.start()
        with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as two:
            one.connect(str(tmp_path / "client.sock"))
            assert ask(one, SUBSCRIBE) == SUBSCRIBE
            two.connect(str(tmp_path / "client.sock"))
            assert as_json(read_all(two)).startswith("busy: 1 connections")
        control.stop()


def test_a_folder_that_somebody_keeps_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "LOCK_PATIENCE", 0.1)
    with files.locked(tmp_path), pytest.raises(LockedError, match="is locked by"):
        UnixListener(tmp_path / "nym.sock")
    UnixListener(tmp_path / "nym.sock").close()
    assert not list(tmp_path.iterdir())
