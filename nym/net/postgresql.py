"""A connection to a PostgreSQL server, by pg8000, which is loaded together with this module.

The thread that uses a connection waits in it for the server. Its sockets are gevent's, which give
that thread a loop of its own. So each connection belongs to one thread, which isn't the hub's.

Whatever the driver raises becomes a StoreError whose text says what to do.
"""

import os
import ssl
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import certifi
from gevent import socket
from pg8000 import native
from pg8000.exceptions import DatabaseError, InterfaceError

from nym.errors import StoreError
from nym.files import read_text
from nym.net.boundary import causes
from nym.net.descriptors import lack_of_descriptors
from nym.wire.postgresql import REQUIRE, VERIFY, DatabaseUrl
from nym.wire.text import visible

CONNECT_TIMEOUT = 5.0  # seconds
ANSWER_TIMEOUT = 30.0  # seconds of silence; longer than the server works on anything (_SETTINGS)
_LONGEST_FILE = 1 << 16  # bytes of a file with passwords
_CLEAR_TEXT = 3  # the server's code for: send the password as it is
_MD5 = 5

# Of each session. A process that hangs or that has lost its machine must not hold up the others.
_SETTINGS = {
    "client_min_messages": "error",
    "idle_in_transaction_session_timeout": "10s",
    "lock_timeout": "15s",
    "standard_conforming_strings": "on",
    "statement_timeout": "20s",
    # A commit returns when it will survive a power cut, whatever the server's default is.
    "synchronous_commit": "on",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}

# What to do about an error of the server, by its code (PostgreSQL's documentation, appendix A).
_ADVICE = {
    "25006": "it can't be written: it is a standby, so name the primary server",
    "28000": "let the user in: pg_hba.conf on the server",
    "28P01": "put the password into ~/.pgpass or PGPASSWORD",
    "3D000": "make it with createdb",
    "42501": "let the user own the database: createdb -O USER",
    "53100": "its disk is full",
    "53300": "the server has too many connections: raise max_connections there",
}


class ServerError(StoreError):
    """The server refused something. `code` is its SQLSTATE.

    `is_final`: the server has ended the connection with this error.
    """

    def __init__(self, url: DatabaseUrl, fields: dict[str, str]) -> None:
        self.code = fields.get("C", "")
        self.is_final = fields.get("V") in ("FATAL", "PANIC")
        advice = _ADVICE.get(self.code)
        says = visible(fields.get("M", "an error without a text"))
        super().__init__(f"{url}: {says}" + (f" ({advice})" if advice else ""))


class DatabaseLineError(StoreError):
    """The server can't be reached, or the connection broke, or makes no sense."""


class Connection:
    """A connection to the database at this URL.

    Raises DatabaseLineError, ServerError, StoreError.
    """

    def __init__(self, url: DatabaseUrl) -> None:
        self._url = url
        self._prepared: dict[str, native.PreparedStatement] = {}
        password = _password(url)
        context = _tls(url)
        with self._translated():
            line = _dial(url)
            try:
                self._connection = _Native(
                    url, sock=line, ssl_context=context or False, password=password
                )
            except BaseException:
                line.close()
                raise
            # The driver's own keeps only the last hundred.
            self._connection.notifications = deque()
            ((self._id,),) = self._connection.run("SELECT pg_backend_pid()")

    def execute(self, statement: str, /, **parameters: object) -> list[Any]:
        """Execute a statement; return the rows of its result. Parameters are written `:name`."""
        with self._translated():
            if not parameters:
                return self._connection.run(statement) or []
            prepared = self._prepared.get(statement)
            if prepared is None:
                prepared = self._prepared[statement] = self._connection.prepare(statement)
            return prepared.run(**parameters) or []

    def listen(self, channel: str) -> None:
        """Hear from now on what other sessions notify this channel of."""
        self.execute(f"LISTEN {channel}")

    def heard(self) -> list[str]:
        """Return what other sessions have said since the last call, as far as it has come.

        The server sends it with the answer to the next statement outside of a transaction.
        """
        told = [text for session, _, text in self._connection.notifications if session != self._id]
        self._connection.notifications.clear()
        return told

    def close(self) -> None:
        """End the connection; nothing is raised if it has ended already."""
        # Whatever is raised: the server sees that the connection has ended.
        with suppress(Exception):
            self._connection.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        # Bytes of a server can make the driver raise nearly anything.
        try:
            yield
        except (StoreError, MemoryError):
            raise
        except Exception as error:
            *_, cause = chain = list(causes(error))
            # The server may have ended the connection with an error. When the driver then says
            # good-bye on it, that fails, too, and hides what the server said.
            for inner in chain:
                if isinstance(inner, DatabaseError):
                    raise ServerError(self._url, inner.args[0]) from error
            lack = lack_of_descriptors(cause)
            said = lack or getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
            why = visible(str(said))
            raise DatabaseLineError(f"{self._url} can't be reached: {why}") from error


class _Native(native.Connection):  # type: ignore[misc] # pg8000 has no types
    """pg8000's connection, which shows no password to a server that may be somebody else."""

    def __init__(self, url: DatabaseUrl, **arguments: Any) -> None:
        self._is_trusted = url.socket is not None or url.mode == VERIFY
        super().__init__(
            url.user,
            host=url.host,
            database=url.database,
            startup_params=_SETTINGS,
            application_name="nym-client",
            **arguments,
        )

    def handle_AUTHENTICATION_REQUEST(self, data: bytes, context: Any) -> None:  # noqa: N802
        """See pg8000."""
        if int.from_bytes(data[:4], "big") in (_CLEAR_TEXT, _MD5) and not self._is_trusted:
            raise InterfaceError(
                "the server asks for the password in a form that it could keep, over a connection "
                "that doesn't show whose it is: use scram-sha-256 there, or sslmode=verify-full"
            )
        super().handle_AUTHENTICATION_REQUEST(data, context)


def _dial(url: DatabaseUrl) -> socket.socket:
    if url.socket is None:
        line = socket.create_connection((url.host, url.port), CONNECT_TIMEOUT)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    else:
        line = socket.socket(socket.AF_UNIX)
        try:
            line.settimeout(CONNECT_TIMEOUT)
            line.connect(url.socket)
        except BaseException:
            line.close()
            raise
    line.settimeout(ANSWER_TIMEOUT)
    return line


def _tls(url: DatabaseUrl) -> ssl.SSLContext | None:
    if url.mode not in (REQUIRE, VERIFY):
        return None
    try:
        context = ssl.create_default_context(cafile=url.authorities or certifi.where())
    except OSError as error:
        raise StoreError(f"{url.authorities} can't be used: {error.strerror}") from error
    if url.mode == REQUIRE:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _password(url: DatabaseUrl) -> str:
    """The password for this database, or an empty one; it is read again for each connection."""
    if password := os.environ.get("PGPASSWORD"):
        return password
    named = url.password_file or os.environ.get("PGPASSFILE")
    path = Path(named or "~/.pgpass").expanduser()
    try:
        if path.stat().st_mode & 0o077:
            raise StoreError(f"other users can read the passwords in {path}: chmod 600 {path}")
        lines = read_text(path, _LONGEST_FILE).splitlines()
    except FileNotFoundError as error:
        if named:
            raise StoreError(f"there is no file {path}, which should have a password") from error
        return ""
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} can't be read: {error}") from error
    return url.password_in(lines) or ""
