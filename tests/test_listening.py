"""Servers that listen on UNIX sockets and TCP ports, and the errors that say why they can't."""

import os
import socket
import stat
from pathlib import Path

import pytest

from nym.errors import ListenError
from nym.net.listening import UnixListener
from nym.sockets.http import WebSocket
from nym.sockets.local import ApplicationSocket
from nym.sockets.tcp import TcpSocket
from tests.harness import OWN, Served
from tests.test_sockets_websocket import DETAILS, Application


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.parametrize("kind", [TcpSocket, WebSocket])
def test_a_unix_socket_is_for_one_user_and_leaves_nothing(
    tmp_path: Path, kind: type[ApplicationSocket]
) -> None:
    path = tmp_path / "nym.sock"
    before = os.umask(0)
    try:
        with Served(kind, host=f"unix:{path}") as served:
            assert served.place == path
            assert mode(path) == 0o600
            served.connect().close()
    finally:
        os.umask(before)
    assert not path.exists()


def test_every_dialect_is_spoken_on_it(tmp_path: Path) -> None:
    with (
        Served(TcpSocket, host=f"unix:{tmp_path / 'nym.sock'}") as served,
        served.connect() as connection,
    ):
        connection.sendall(b"\x04")
        assert connection.recv(100) == OWN
    with (
        Served(WebSocket, host=f"unix:{tmp_path / 'nym.sock'}") as served,
        Application(served) as application,
    ):
        assert application.ask(type="ownDetails") == DETAILS
        assert Application(served, host="evil.example").response.status_code == 403


def test_what_a_dead_client_left_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "nym.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with Served(TcpSocket, host=f"unix:{path}") as served, served.connect() as connection:
        connection.sendall(b"\x04")
        assert connection.recv(100) == OWN


def test_a_living_one_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "nym.sock"
    with Served(TcpSocket, host=f"unix:{path}") as served:
        with pytest.raises(ListenError, match=f"unix:{path}: another program listens there"):
            UnixListener(path)
        with served.connect() as connection:
            connection.sendall(b"\x04")
            assert connection.recv(100) == OWN


def test_another_program_s_socket_is_not_removed_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "nym.sock"
    listener = UnixListener(path)
    path.unlink()
    other = UnixListener(path)
    listener.close()
    assert path.exists()
    other.close()
    assert not path.exists()


def test_why_it_cannot_listen_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    for path, says in (
        (tmp_path / "file", "no socket"),
        (tmp_path / "missing" / "nym.sock", "No such file"),
        (tmp_path / ("x" * 200), "too long"),
        (tmp_path, "no socket"),
    ):
        with pytest.raises(ListenError, match=f"can't listen on unix:.*{says}"):
            UnixListener(path)
    assert (tmp_path / "file").read_text() == "precious"


def test_an_address_that_is_not_here_is_said() -> None:
    for host, says in (("192.0.2.1", "doesn't have that address"), ("no.such.invalid", "[Nn]ame")):
        with (
            pytest.raises(ListenError, match=f"can't listen on {host}, port 0: .*{says}"),
            Served(TcpSocket, host=host),
        ):
            pytest.fail("it listens")
