"""Commands whose standard streams are closed, full or without a reader, or whose client hangs.

Every command ends with a clear error, and none with a traceback or a crash report.
"""

import errno
import os
import pty
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gevent.monkey import get_original

from nym.cli import control as control_module
from nym.cli.control import Control, control
from nym.cli.homes import CLIENT, Home
from nym.cli.progress import COLUMNS, bar
from nym.cli.receive import shown
from nym.cli.usage import COMMANDS
from nym.errors import NotRunningError
from tests.harness import (
    PATIENCE,
    PROGRAM,
    Program,
    run_program,
    running_python,
    wait_until,
    waits,
)

NOWHERE = "http://127.0.0.1:1"  # no directory is there
# For each command, arguments with which it ends by itself while alice's client runs, which knows no
# network.
ONCE = {
    "init": "init --id new",
    "tcpsocket": "tcpsocket --id alice -p 0",
    "websocket": "websocket --id alice -p 0",
    "send": "send --id alice EkA4Dhmj325XUjpwRvJCu8McmUuGJZncWBbQGVSD7gye",
    "reply": "reply --id alice 1111111111111111",
    "receive": "receive --id alice",
    "status": "status --id alice",
    "page": "page --id alice",
    "clients": "clients --id alice",
    "address": "address --id alice --qr",
    "contacts": "contacts list",
    "outbox": "outbox list --id alice",
    "check": "check --id alice",
    "observe": "observe --id alice --seconds 1",
    "network": "network view --id alice",
    "config": "config show --id alice",
    "localnet": "localnet --layers 9",
    "directory": "directory --id alice",
    "mixnode": "mixnode --id new",
    "provider": "provider --id new",
    "demo": "demo nothing",
    "completion": "completion bash",
    "chat": "chat --id alice EkA4Dhmj325XUjpwRvJCu8McmUuGJZncWBbQGVSD7gye",
    "list": "list",
    "delete": "delete --id alice",
    "version": "version",
}
# The commands that print something on standard output, whatever happens.
PRINTING = ("status", "address", "config", "completion", "check", "list", "version")
CLOSED = ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"]
in_bare = pytest.mark.skipif(
    "/bare " in PROGRAM, reason="what starts the program there opens something in a stream's place"
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home where the client alice runs."""
    home = tmp_path_factory.mktemp("home")
    run_program(home, "init", "--id", "alice", "--directory", NOWHERE)
    with running(home) as program:
        yield home
        program.end(signal.SIGTERM)


def running(home: Path, *options: str) -> Program:
    program = Program(home, "tcpsocket", "--id", "alice", "-p", "0", "--quiet", *options)
    wait_until(lambda: run_program(home, "status", "--id", "alice")[0] == 0)
    return program


def shell(home: Path, command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["bash", "-c", command.replace("nym-client", PROGRAM)],  # noqa: S607
        env={**os.environ, "XDG_CONFIG_HOME": str(home), "PYTHONPATH": os.getcwd()},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@in_bare
@pytest.mark.parametrize("closed", CLOSED)
def test_any_stream_may_be_closed(home: Path, closed: str) -> None:
    assert ONCE.keys() >= COMMANDS.keys(), (
        "add to ONCE how a new command is called so that it ends by itself"
    )
    for name in COMMANDS:
        ran = shell(home, f"nym-client {ONCE[name]} {closed}")
        said = f"{name} {closed}: {ran}"
        assert ran.returncode in range(6), said
        assert "Traceback" not in ran.stderr, said
        assert "should not happen" not in ran.stderr, said
        assert len(ran.stderr.splitlines()) <= 2, said
        assert not list(home.glob("nym/crash-*")), said
        if ">&-" in closed.split() and name in PRINTING:
            assert ran.returncode == 1, said
            assert "2>&-" in closed or "standard output is closed" in ran.stderr, said


@pytest.mark.parametrize("name", PRINTING)
def test_a_full_disk_behind_standard_output_is_said(home: Path, name: str) -> None:
    ran = shell(home, f"nym-client {ONCE[name]} > /dev/full")
    assert ran.returncode == 1
    assert ran.stderr == ("nym-client: standard output can't be written: No space left on device\n")


@in_bare
@pytest.mark.parametrize("closed", CLOSED)
@pytest.mark.parametrize("command", ["tcpsocket", "websocket"])
def test_a_client_runs_whatever_is_closed(tmp_path: Path, command: str, closed: str) -> None:
    run_program(tmp_path, "init", "--id", "alice", "--directory", NOWHERE)
    line = f"exec {PROGRAM} {command} --id alice -p 0 --quiet {closed}"
    client = subprocess.Popen(
        ["bash", "-c", line],  # noqa: S607
        env={**os.environ, "XDG_CONFIG_HOME": str(tmp_path), "PYTHONPATH": os.getcwd()},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: run_program(tmp_path, "status", "--id", "alice")[0] == 0)
        client.send_signal(signal.SIGTERM)
        assert client.wait(PATIENCE) == 0
    finally:
        client.kill()
        client.wait()
    assert not list(tmp_path.glob("nym/crash-*"))


@pytest.mark.parametrize("command", ["send --id alice bob", "receive --id alice", "demo"])
def test_a_directory_as_standard_input_is_a_clear_error(home: Path, command: str) -> None:
    ran = shell(home, f"nym-client {command} < /")
    assert ran.returncode == 1
    assert "is a directory" in ran.stderr


def pipe() -> tuple[int, Callable[[], None]]:
    reader, writer = os.pipe()
    return writer, lambda: os.close(reader)


def socket_pair() -> tuple[int, Callable[[], None]]:
    reader, writer = socket.socketpair()
    return writer.detach(), reader.close


def terminal() -> tuple[int, Callable[[], None]]:
    reader, writer = pty.openpty()
    return writer, lambda: os.close(reader)


@pytest.mark.parametrize("output", [pipe, socket_pair, terminal])
@pytest.mark.parametrize("command", ["receive --id alice --follow", "receive --id alice --count 1"])
def test_a_reader_that_goes_is_noticed_without_a_message(
    home: Path, output: Callable[[], tuple[int, Callable[[], None]]], command: str
) -> None:
    writer, go = output()
    process = subprocess.Popen(
        [*shlex.split(PROGRAM), *shlex.split(command)],
        env={**os.environ, "XDG_CONFIG_HOME": str(home), "PYTHONPATH": os.getcwd()},
        stdin=subprocess.DEVNULL,
        stdout=writer,
        stderr=subprocess.PIPE,
    )
    os.close(writer)
    try:
        wait_until(lambda: waits(running_python(process.pid)))
        assert process.poll() is None
        go()
        _, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, err) == (-signal.SIGPIPE, b"")


def test_what_was_taken_is_acknowledged_though_its_reader_has_gone() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    here, there = socket.socketpair()
    with open(writer, "wb", buffering=0), here, there, get_original("select", "epoll")() as watch:
        watch.register(writer, 0)
        client = Control(here, Home(CLIENT, Path("alice")), [watch.fileno()])
        with pytest.raises(BrokenPipeError):
            client.say(type="status")
        client.owes_word = True
        client.say(type="ack", id="1")
        assert there.recv(100) == b'{"type": "ack", "id": "1"}\n'


class Standing:
    """Stops a client's process inside the block, as if it hung."""

    def __init__(self, client: Program) -> None:
        self._client = client

    def __enter__(self) -> None:
        os.kill(self._client.pid, signal.SIGSTOP)

    def __exit__(self, *_: object) -> None:
        os.kill(self._client.pid, signal.SIGCONT)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Program]:
    run_program(tmp_path, "init", "--id", "alice", "--directory", NOWHERE)
    with running(tmp_path) as program:
        yield program
        program.end(signal.SIGTERM)


@in_bare
@pytest.mark.parametrize("name", ["status", "clients", "send", "receive"])
def test_a_client_that_stands_is_told_of_within_five_seconds(
    tmp_path: Path, client: Program, name: str
) -> None:
    assert control_module.ALIVE + control_module.SILENCE < 5
    with Standing(client):
        command = Program(tmp_path, *shlex.split(ONCE[name]))
        command.logged('^the client "alice" does not answer; waiting for it$')
    command.logged('^the client "alice" answers again$')
    # The client knows no network, which `clients` needs.
    assert command.end()[0] == (4 if name == "clients" else 0)


@in_bare
def test_a_client_that_stands_later_is_told_of_too(tmp_path: Path, client: Program) -> None:
    with Program(tmp_path, "receive", "--id", "alice", "--follow") as command:
        wait_until(lambda: waits(command.pid))
        with Standing(client):
            command.logged('^the client "alice" does not answer; waiting for it$')
        command.logged('^the client "alice" answers again$')
        command.process.send_signal(signal.SIGINT)
        assert command.end()[0] == 130


@in_bare
def test_what_only_asks_gives_up_and_send_hands_nothing_over(
    tmp_path: Path, client: Program, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(control_module, "SILENCE", 0.1)
    monkeypatch.setattr(control_module, "PATIENCE", 0.5)
    began = time.monotonic()
    with Standing(client):
        with control("alice") as client_there, pytest.raises(NotRunningError, match="is stopped"):
            client_there.ask(type="status")
        connections = [socket.socket(socket.AF_UNIX) for _ in range(5000)]
        path = str(tmp_path / "nym" / "clients" / "alice" / "client.sock")
        for connection in connections:
            connection.setblocking(False)
            if connection.connect_ex(path) == errno.EAGAIN:
                break
        else:
            pytest.fail("the kernel takes as many as there are")
        with pytest.raises(NotRunningError, match="no more connections"), control("alice"):
            pass
    for connection in connections:
        connection.close()
    assert time.monotonic() - began < PATIENCE
    assert capfd.readouterr().err.count("does not answer; waiting for it") == 2
    wait_until(lambda: run_program(tmp_path, "status", "--id", "alice")[0] == 0)


@in_bare
@pytest.mark.parametrize(("hard", "code"), [(1024, 0), (16, 0), (15, 1), (12, 1)])
def test_few_descriptors_are_raised_or_said(home: Path, hard: int, code: int) -> None:
    limits = f"ulimit -Sn 12; ulimit -Hn {hard}"
    ran = shell(home, f"{limits}; exec nym-client status --id alice")
    assert ran.returncode == code, f"with a hard limit of {hard} descriptors: {ran}"
    assert len(ran.stderr.splitlines()) == code, f"an error must be one line: {ran}"
    assert ("ulimit -n" in ran.stderr) == bool(code), f"the error must name the limit: {ran}"


def test_a_terminal_shows_what_it_would_carry_out() -> None:
    assert shown(b"one\r\ntwo\n\x1b[31mred\x07") == b"one\ntwo\n\\x1b[31mred\\x07"
    assert shown("naïve \u202e".encode() + b"\xff") == "naïve \\u202e\\xff".encode()


def test_a_bar_has_a_width_where_the_terminal_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    there, here = pty.openpty()  # a new terminal has 0 columns
    with os.fdopen(here, "w") as stderr:
        monkeypatch.setattr("sys.stderr", stderr)
        monkeypatch.setenv("TERM", "xterm")
        with bar(100) as bar_shown:
            assert bar_shown.ncols == COLUMNS
    os.close(there)
