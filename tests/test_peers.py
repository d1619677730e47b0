"""Control sockets talk with their owner and with root only, whatever the mode of the file says."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from nym.net.peers import OwnerOnly
from nym.sockets import CONTROL_SOCKET, NODE_SOCKET
from tests.harness import Program, run_program

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be several users")

OWNER, STRANGER = 12345, 54321
# As the stranger: connect twice, ask each time, and print all that comes. The folder is entered
# before, because only root has a way to it.
ASK = f"""
import os, socket, sys
os.setgid({STRANGER})
os.setuid({STRANGER})
for _ in range(2):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(sys.argv[1])
        connection.shutdown(socket.SHUT_WR)
        print(connection.recv(1000).decode(), end="")
"""


@contextmanager
def as_user(number: int) -> Iterator[None]:
    os.seteuid(number)
    try:
        yield
    finally:
        os.seteuid(0)


def refused(owner: int, peer: int) -> str | None:
    """Why a program of `owner` refuses a peer; None if it doesn't."""
    with as_user(peer):
        here, there = socket.socketpair()
    with here, there, as_user(owner):
        refusal = OwnerOnly(Path("client.sock")).refusal(here)
    return str(refusal) if refusal else None


def test_the_owner_and_root_are_let_in_and_nobody_else() -> None:
    assert refused(OWNER, OWNER) is None
    assert refused(OWNER, 0) is None
    assert refused(0, 0) is None
    assert refused(OWNER, STRANGER) == f"only {OWNER} and root may use this socket"
    assert refused(0, OWNER) == "only root may use this socket"


@pytest.mark.parametrize(
    ("command", "folder", "file"),
    [
        (
            ("tcpsocket", "--port", "0", "--directory", "http://127.0.0.1:1"),
            "clients",
            CONTROL_SOCKET,
        ),
        (("directory", "--listen", "127.0.0.1:0"), "directories", NODE_SOCKET),
    ],
)
def test_a_running_program_refuses_others_at_a_socket_that_is_open_to_them(
    tmp_path: Path, command: Sequence[str], folder: str, file: str
) -> None:
    if folder == "clients":
        assert run_program(tmp_path, "init", "--id", "one")[0] == 0
    with Program(tmp_path, *command, "--id", "one") as program:
        program.line("^(Listening|directory)")
        place = tmp_path / "nym" / folder / "one"
        place.chmod(0o711)
        (place / file).chmod(0o666)
        asked = subprocess.run(
            [sys.executable, "-c", ASK, file], cwd=place, check=True, capture_output=True, text=True
        )
        answers = [json.loads(line) for line in asked.stdout.splitlines()]
        assert run_program(tmp_path, "status", "--id", "one")[0] == 0  # root's own command
        code, _, log = program.end(signal.SIGTERM)
    assert code == 0
    assert answers == 2 * [
        {"type": "error", "code": "access", "message": "only root may use this socket"}
    ]
    assert log.count(f"{STRANGER} may not use {place / file} and was refused") == 1
