"""SIGHUP, and terminals that are closed: clients and networks end in good order, or reload."""

import fcntl
import os
import pty
import signal
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness import FAST, Program, run_program

NOWHERE = "http://127.0.0.1:1"  # no directory is there


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a client, alice, whose traffic is fast."""
    run_program(tmp_path, "init", "--id", "alice", "--directory", NOWHERE)
    traffic = "\n".join(f"{name} = {value}" for name, value in vars(FAST).items())
    config = tmp_path / "nym" / "clients" / "alice" / "config.toml"
    config.write_text(f'[client]\ndirectory = "{NOWHERE}"\n[traffic]\n{traffic}\n')
    return tmp_path


class Terminal:
    """A pseudo-terminal, in which programs can be started."""

    def __init__(self) -> None:
        self._here, self._there = pty.openpty()

    def start(self, home: Path, *arguments: str, is_nohup: bool = False) -> Program:
        """Start the program in a session of its own, whose controlling terminal is this one."""

        def take_terminal() -> None:
            fcntl.ioctl(self._there, termios.TIOCSCTTY, 0)
            # Set in both cases: if the tests themselves run under nohup, programs inherit that.
            signal.signal(signal.SIGHUP, signal.SIG_IGN if is_nohup else signal.SIG_DFL)

        return Program(home, *arguments, start_new_session=True, preexec_fn=take_terminal)

    def close(self) -> None:
        """Close both sides; the kernel sends SIGHUP to the session."""
        for side in (self._there, self._here):
            if side >= 0:
                os.close(side)
        self._here = self._there = -1


@contextmanager
def terminal() -> Iterator[Terminal]:
    opened = Terminal()
    try:
        yield opened
    finally:
        opened.close()


@pytest.mark.parametrize("command", ["tcpsocket", "websocket"])
def test_a_client_ends_in_good_order_with_its_terminal(home: Path, command: str) -> None:
    with terminal() as shown, shown.start(home, command, "--id", "alice", "-p", "0") as program:
        program.logged("Using directory server")
        shown.close()
        code, _, err = program.end()
    assert code == 0
    assert "Traceback" not in err
    assert not (home / "nym" / "clients" / "alice" / "client.sock").exists()


def test_a_network_ends_in_good_order_with_its_terminal(tmp_path: Path) -> None:
    with terminal() as shown, shown.start(tmp_path, "localnet", "-p", "0") as program:
        program.line("^directory")
        shown.close()
        assert program.end()[0] == 0


def test_a_client_that_was_started_with_nohup_outlives_its_terminal(home: Path) -> None:
    with terminal() as shown:
        options = ("tcpsocket", "--id", "alice", "-p", "0")
        with shown.start(home, *options, is_nohup=True) as program:
            program.logged("Using directory server")
            shown.close()
            assert run_program(home, "status", "--id", "alice")[0] == 0
            assert program.end(signal.SIGTERM)[0] == 0


def test_a_client_reloads_while_its_terminal_is_there(home: Path) -> None:
    options = ("tcpsocket", "--id", "alice", "-p", "0")
    with terminal() as shown, shown.start(home, *options) as program:
        program.logged("Using directory server")
        wait_for_commands(home)
        program.process.send_signal(signal.SIGHUP)
        program.logged("no setting has changed")
        assert program.end(signal.SIGTERM)[0] == 0


def wait_for_commands(home: Path) -> None:
    while run_program(home, "status", "--id", "alice")[0] != 0:
        pass
