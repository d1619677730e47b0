"""The line to a PostgreSQL server: who gets a password, what errors say, and that it ends."""

import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import gevent
import pytest
from gevent import socket
from pg8000.exceptions import DatabaseError, InterfaceError

from nym.errors import StoreError
from nym.net import postgresql
from nym.net.postgresql import Connection, DatabaseLineError, ServerError
from nym.net.threads import beside_the_hub
from nym.wire.postgresql import parse_database_url
from tests.harness import serving, wait_until
from tests.postgres import PASSWORD, USER, Line, Postgres

NAME = "127.0.0.1"  # in the certificate


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate, which is its own authority, and beside it `key.pem`."""
    folder = tmp_path_factory.mktemp("tls")
    make = "openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -subj /CN=test"
    names = ["-addext", f"subjectAltName=IP:{NAME}"]
    files = ["-out", str(folder / "certificate.pem"), "-keyout", str(folder / "key.pem")]
    subprocess.run([*make.split(), *names, *files], check=True, capture_output=True)
    return folder / "certificate.pem"


@pytest.fixture(scope="module")
def secure(certificate: Path, postgres: Postgres) -> Postgres:
    """The server, from now on with TLS on its port."""
    postgres.secure(certificate, certificate.with_name("key.pem"))
    return postgres


def connect(url: str) -> Connection:
    return Connection(parse_database_url(url))


def ask(url: str) -> list[object]:
    """What the database at this URL says about the connection."""
    connection = connect(url)
    try:
        return list(
            connection.execute(
                "SELECT current_user, current_database(), "
                "(SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid())"
            )[0]
        )
    finally:
        connection.close()


def test_values_are_the_same_when_they_come_back(postgres: Postgres) -> None:
    connection = connect(postgres.url("postgres"))
    values = {"number": 2**63 - 1, "content": bytes(range(256)), "text": "ü'\\:x", "nothing": None}
    assert connection.execute(
        "SELECT CAST(:number AS bigint), CAST(:content AS bytea), CAST(:text AS text), "
        "CAST(:nothing AS bytea)",
        **values,
    ) == [[*values.values()]]
    assert connection.execute("SELECT 1 WHERE false") == []
    assert connection.execute("SET search_path TO public") == []
    connection.close()


def test_a_session_waits_for_no_one_for_long_and_for_the_disk_always(postgres: Postgres) -> None:
    connection = connect(postgres.url("postgres"))
    for name, value in postgresql._SETTINGS.items():
        shown = connection.execute(f"SHOW {name}")
        # The server's word for a setting of TCP, which a UNIX socket doesn't have.
        assert shown == [["0" if name.startswith("tcp") else value]]
    connection.close()


def test_errors_say_what_to_do(postgres: Postgres, tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=r"does not exist \(make it with createdb\)$") as caught:
        connect(postgres.url("nowhere"))
    assert caught.value.code == "3D000"
    assert caught.value.is_final
    with pytest.raises(
        DatabaseLineError, match=r"the database inboxes at .*: No such file or directory$"
    ):
        connect(f"postgresql://nym@{str(tmp_path).replace('/', '%2F')}/inboxes")
    connection = connect(postgres.url("postgres"))
    with pytest.raises(ServerError, match="syntax error") as caught:
        connection.execute("SELECT :one FROM", one=1)
    assert not caught.value.is_final
    assert connection.execute("SELECT 1") == [[1]]
    connection.close()
    connection.close()
    with pytest.raises(DatabaseLineError):
        connection.execute("SELECT 1")


def test_what_the_server_said_counts_whatever_failed_after_it(postgres: Postgres) -> None:
    def fail() -> None:
        try:
            raise DatabaseError({"V": "FATAL", "C": "3D000", "M": "there is no database"})
        finally:
            try:
                line.sendall(b"good-bye")  # as the driver does
            except OSError as error:
                raise InterfaceError("network error") from error

    line, other = socket.socketpair()
    other.close()
    connection = connect(postgres.url("postgres"))
    with line, pytest.raises(ServerError, match="with createdb"), connection._translated():
        fail()
    connection.close()


@pytest.mark.parametrize("way", ["variable", "file", "usual file"])
def test_a_password_comes_from_a_variable_or_a_file(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    url = f"postgresql://{USER}@127.0.0.1:{postgres.port}/postgres"
    file = tmp_path / ".pgpass"
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ServerError, match="put the password into"):
        ask(url)
    if way == "variable":
        monkeypatch.setenv("PGPASSWORD", PASSWORD)
    else:
        file.write_text(f"*:*:*:other:wrong\n*:*:*:{USER}:{PASSWORD}\n")
        file.chmod(0o640)
        url += f"?passfile={file}" if way == "file" else ""
        with pytest.raises(StoreError, match=f"can read the passwords in {file}: chmod 600 {file}"):
            ask(url)
        file.chmod(0o600)
    assert ask(url) == [USER, "postgres", False]


def test_a_file_that_is_named_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=f"there is no file {tmp_path}/pass"):
        connect(f"postgresql://nym@localhost/inboxes?passfile={tmp_path}/pass")
    (tmp_path / "pass").write_bytes(b"\xff")
    (tmp_path / "pass").chmod(0o600)
    with pytest.raises(StoreError, match=f"{tmp_path}/pass can't be read: it is not UTF-8"):
        connect(f"postgresql://nym@localhost/inboxes?passfile={tmp_path}/pass")


def test_a_server_that_asks_for_the_password_in_clear_text_gets_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    heard = bytearray()

    def imposter(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(b"R" + (8).to_bytes(4, "big") + (3).to_bytes(4, "big"))
        while piece := connection.recv(1 << 16):
            heard.extend(piece)

    with (
        serving(imposter) as place,
        pytest.raises(DatabaseLineError, match="a form that it could keep"),
    ):
        connect(f"postgresql://nym@{place}/inboxes")
    assert PASSWORD.encode() not in heard


@pytest.mark.parametrize(
    "said", [b"", b"\0" * 9, b"R\xff\xff\xff\xff", b"E\0\0\0\5\0", b"HTTP/1.1"]
)
def test_what_is_no_server_is_an_error(said: bytes) -> None:
    def other(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(said)

    with serving(other) as place, pytest.raises(StoreError, match=r"^the database inboxes at "):
        connect(f"postgresql://nym@{place}/inboxes")


def test_a_server_that_falls_silent_is_given_up(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "ANSWER_TIMEOUT", 0.2)
    connections: list[Connection] = []

    def connects() -> bool:
        with suppress(DatabaseLineError):  # on a busy machine, the server takes longer than that
            connections.append(connect(postgres.url("postgres")))
        return bool(connections)

    wait_until(connects, "a connection")
    (connection,) = connections
    with pytest.raises(DatabaseLineError, match="timed out"):
        connection.execute("SELECT pg_sleep(:much)", much=60)
    connection.close()


def test_a_line_that_is_cut_is_an_error_in_a_thread_too(postgres: Postgres) -> None:
    def used(url: str, ready: Callable[[], None]) -> str:
        connection = connect(url)
        assert connection.execute("SELECT :one + 1", one=1) == [[2]]
        ready()
        try:
            connection.execute("SELECT pg_sleep(:much)", much=60)
        except DatabaseLineError as error:
            return str(error)
        finally:
            connection.close()
        return ""

    with Line(postgres).laid() as line:
        hub = gevent.get_hub()
        began = hub.loop.async_()
        began.start(line.cut)
        said = beside_the_hub(used, line.url("postgres"), began.send)
    assert said.startswith("the database postgres at 127.0.0.1, port ")


def test_passwords_and_messages_go_over_tls(
    secure: Postgres, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    url = f"postgresql://{USER}@{NAME}:{secure.port}/postgres"
    assert ask(f"{url}?sslmode=require") == [USER, "postgres", True]
    assert ask(f"{url}?sslmode=verify-full&sslrootcert={certificate}") == [USER, "postgres", True]
    monkeypatch.setenv("PGPASSWORD", "wrong")
    with pytest.raises(ServerError, match="password authentication failed"):
        ask(f"{url}?sslmode=require")


@pytest.mark.parametrize(
    ("host", "parameters", "error"),
    [
        (NAME, "", "self-signed certificate"),
        ("localhost", "&sslrootcert={certificate}", "certificate is not valid for 'localhost'"),
        (NAME, "&sslrootcert=/nowhere.pem", "^/nowhere.pem can't be used: No such file"),
    ],
)
def test_a_certificate_that_is_not_the_servers_is_refused(
    secure: Postgres, certificate: Path, host: str, parameters: str, error: str
) -> None:
    url = f"postgresql://{USER}@{host}:{secure.port}/postgres?sslmode=verify-full{parameters}"
    with pytest.raises(StoreError, match=error):
        ask(url.format(certificate=certificate))


def test_a_server_without_tls_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    heard = bytearray()

    def refusing(connection: socket.socket) -> None:
        connection.recv(8, socket.MSG_WAITALL)
        connection.sendall(b"N")
        while piece := connection.recv(1 << 16):
            heard.extend(piece)

    for mode in ("require", "verify-full"):
        with (
            serving(refusing) as place,
            pytest.raises(DatabaseLineError, match="Server refuses SSL"),
        ):
            connect(f"postgresql://nym@{place}/inboxes?sslmode={mode}")
    assert not heard
