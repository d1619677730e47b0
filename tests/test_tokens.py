"""Tokens: where a file names one, an application has to show it first, in every dialect."""

import json
import logging
import os
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from nym._secrets import Secret
from nym.errors import ConfigError
from nym.sockets import tcp
from nym.sockets.http import WebSocket
from nym.sockets.local import ApplicationSocket
from nym.sockets.tcp import TcpSocket
from nym.sockets.token import Token, load_token
from nym.wire import mix_pb2
from nym.wire.framing import FrameBuffer, Framing, encode_frame
from tests.harness import OWN, PATIENCE, Lines, Program, Served, read_all, run_program, wait_until
from tests.test_sockets_websocket import DETAILS, Application

KEY = bytes(range(32))
TOKEN, WRONG = KEY.hex(), bytes(32).hex()
LINE = f"token {TOKEN}\n".encode()
FRAMES = b"".join(
    encode_frame(Framing.FIXED, request.SerializeToString())
    for request in (
        mix_pb2.Request(details=mix_pb2.Nothing()),
        mix_pb2.Request(flush=mix_pb2.Nothing()),
    )
)


@pytest.fixture
def served() -> Iterator[Served]:
    with Served(TcpSocket, Token(Secret(KEY))) as served:
        yield served


def said(served: Served, *pieces: bytes) -> bytes:
    """All that an application hears that writes these pieces, and then no more."""
    with served.connect() as connection:
        for piece in pieces:
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_WR)
        return read_all(connection)


def responses(data: bytes) -> list[mix_pb2.Response]:
    return [mix_pb2.Response.FromString(one) for one in FrameBuffer(Framing.FIXED).feed(data)]


@pytest.mark.parametrize("line", [LINE, LINE.upper().replace(b"TOKEN", b"token")])
def test_behind_the_token_every_dialect_is_spoken_as_ever(served: Served, line: bytes) -> None:
    assert said(served, line + b"\x04") == OWN
    assert said(served, line.replace(b"\n", b"\r\n"), b"\x04") == OWN
    assert json.loads(said(served, line + b'{"type":"ownDetails"}\n')) == DETAILS
    details, _ = responses(said(served, line + FRAMES))
    assert details.details.details.pub_key == OWN
    # However it is cut.
    pieces = [bytes([byte]) for byte in line + b'{"type":"ownDetails"}\n']
    assert json.loads(said(served, *pieces)) == DETAILS


@pytest.mark.parametrize("line", [b"", f"token {WRONG}\n".encode(), b"token \xff\n"])
def test_without_it_the_error_is_in_the_application_s_dialect(
    served: Served, line: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    served.deliver(b"private")
    as_json = json.loads(said(served, line + b'{"type":"fetch"}\n' * 2))
    assert (as_json["type"], as_json["code"]) == ("error", "access")
    text = as_json["message"]
    assert 'the first line of a connection has to be "token TOKEN"' in text
    assert "socket.token_file" in text
    assert text.startswith("this is not" if line else "this client asks for a token")
    assert said(served, line + b"\x02") == text.encode()
    (framed,) = responses(said(served, line + FRAMES))
    assert framed.exception.error == text
    assert len(served.inbox) == 1
    warnings = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert TOKEN not in caplog.text
    assert WRONG not in caplog.text


def test_each_connection_has_one_attempt_and_little_time(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert b"this is not the client's token" in said(served, f"token {WRONG}\n".encode() + LINE)
    assert b"this client asks for a token" in said(served)
    # A line without an end is not read for ever, neither in bytes nor in seconds.
    assert b"this is not the client's token" in said(served, b"token " + b"0" * 1000)
    monkeypatch.setattr(tcp, "FIRST_BYTE_TIME", 0.1)
    monkeypatch.setattr(tcp, "REFUSAL_TIME", 0.1)
    with served.connect() as connection:
        assert b"this client asks for a token" in read_all(connection)


def test_those_without_it_do_not_take_the_place_of_those_with_it() -> None:
    with (
        Served(TcpSocket, Token(Secret(KEY)), connections=2) as served,
        Lines(served.connect()) as application,
        served.connect() as stranger,
    ):
        application.connection.sendall(LINE)
        assert application.ask(type="ownDetails") == DETAILS
        wait_until(lambda: len(served.socket._visits) == 2)
        # The application was idle for longer, but it has shown the token.
        assert said(served, LINE + b"\x04") == OWN
        assert stranger.recv(1000) == b""
        assert application.ask(type="ownDetails") == DETAILS


def test_a_web_socket_takes_it_in_a_header_or_in_the_url() -> None:
    with Served(WebSocket, Token(Secret(KEY))) as served:
        for path, headers in (
            ("/", {"Authorization": f"Bearer {TOKEN}"}),
            (f"/?token={TOKEN}", {}),
            (f"/mix?token={TOKEN}", {}),
        ):
            with Application(served, path, **headers) as application:
                assert application.response.status_code == 101
                assert application.ask(type="ownDetails") == DETAILS
                if path.startswith("/mix"):
                    application.say(details={})
                    assert "details" in application.hear()
        for path, headers in (
            ("/", {}),
            ("/", {"Authorization": f"Bearer {WRONG}"}),
            ("/", {"Authorization": f"Basic {TOKEN}"}),
            (f"/?token={TOKEN}", {"Authorization": f"Bearer {WRONG}"}),
            (f"/?token={WRONG}&token={TOKEN}", {}),
        ):
            with Application(served, path, **headers) as application:
                response = application.response
                assert response.status_code == 401
                assert response.headers["WWW-Authenticate"] == "Bearer"
                assert "?token=TOKEN" in response.body.decode()
                assert TOKEN not in response.body.decode()
        # A page of a web site isn't let in by a token.
        page = Application(served, f"/?token={TOKEN}", Origin="https://evil.example")
        assert page.response.status_code == 403


@pytest.mark.parametrize("kind", [TcpSocket, WebSocket])
def test_a_unix_socket_asks_for_it_as_well(tmp_path: Path, kind: type[ApplicationSocket]) -> None:
    with Served(kind, Token(Secret(KEY)), host=f"unix:{tmp_path / 'nym.sock'}") as served:
        if kind is TcpSocket:
            assert b"this client asks for a token" in said(served, b"\x04")
            assert said(served, LINE + b"\x04") == OWN
        else:
            assert Application(served).response.status_code == 401


# The file.


def test_the_file_is_made_for_its_owner_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "token"
    before = os.umask(0)
    try:
        token = load_token(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == f"{bytes(token._secret).hex()}\n"
    assert load_token(path) == token
    assert load_token(tmp_path / "other") != token


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
def test_a_file_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "token"
    load_token(path)
    path.chmod(mode)
    with pytest.raises(ConfigError, match=f"others can read or change .*mode {mode:04o}.*remove"):
        load_token(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "token"
    load_token(path)
    os.chown(path, 54321, 54321)
    here = os.getcwd()
    os.chdir(tmp_path)  # while there is a way to it
    tmp_path.chmod(0o711)
    os.seteuid(12345)
    try:
        with pytest.raises(ConfigError, match=r"belongs to another user \(54321\)"):
            load_token(Path("token"))
    finally:
        os.seteuid(0)
        os.chdir(here)


@pytest.mark.parametrize("content", ["", "secret", f"{TOKEN}0", f"{TOKEN}\n{TOKEN}", "x" * 2000])
def test_a_file_with_something_else_is_refused_and_not_shown(tmp_path: Path, content: str) -> None:
    path = tmp_path / "token"
    path.touch(0o600)
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"token: .*remove the file") as error:
        load_token(path)
    assert not content or content not in str(error.value)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    for path, why in (
        (tmp_path / "pipe", "is not a file"),
        (tmp_path, "is not a file"),
        (tmp_path / "none" / "token", "No such file"),
    ):
        with pytest.raises(ConfigError, match=why):
            load_token(path)


# The whole program.


def test_a_client_asks_for_it_and_its_own_commands_do_not_need_it(tmp_path: Path) -> None:
    where = ("--directory", "http://127.0.0.1:1")
    assert run_program(tmp_path, "init", "--id", "one", *where)[0] == 0
    folder = tmp_path / "nym" / "clients" / "one"
    file = folder / "token"
    assert run_program(tmp_path, "config", "set", "socket.token_file", "token")[0] == 0
    with Program(tmp_path, "tcpsocket", "--port", "0", "--verbose") as program:
        port = int(program.line(r"port: (\d+)")[1])
        program.logged("Using directory")

        def ask(line: str) -> bytes:
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
                connection.sendall(line.encode() + b'{"type":"ownDetails"}\n')
                connection.shutdown(socket.SHUT_WR)
                return read_all(connection)

        def reloaded() -> None:
            program.process.send_signal(signal.SIGHUP)

        first = file.read_text()
        assert b'"ownDetails"' in ask(f"token {first}")
        assert b'"access"' in ask("")
        wait_until(lambda: run_program(tmp_path, "status")[0] == 0, "a client that reloads")
        _, shown, _ = run_program(tmp_path, "config", "show")
        # Another token counts from SIGHUP on.
        file.write_text(f"{TOKEN}\n")
        reloaded()
        program.logged("the new token")
        assert b'"access"' in ask(f"token {first}")
        assert b'"ownDetails"' in ask(f"token {TOKEN}\n")
        # A mistake in the file changes nothing.
        file.write_text("nonsense")
        reloaded()
        program.logged("the settings stay as they were: .*token")
        assert b'"ownDetails"' in ask(f"token {TOKEN}\n")
        assert run_program(tmp_path, "config", "unset", "socket.token_file")[0] == 0
        reloaded()
        program.logged("socket.token_file is")
        assert b'"ownDetails"' in ask("")
        code, out, log = program.end(signal.SIGTERM)
    assert code == 0
    for token in (first.strip(), TOKEN, "nonsense"):
        assert token not in out + log + shown


def test_a_client_does_not_start_with_a_file_that_others_can_read(tmp_path: Path) -> None:
    assert run_program(tmp_path, "init", "--id", "one")[0] == 0
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(0o644)
    code, _, error = run_program(tmp_path, "websocket", "--port", "0", "--token-file", str(file))
    assert code == 5
    assert "others can read or change the token" in error
    assert TOKEN not in error
