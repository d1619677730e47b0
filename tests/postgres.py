"""Debian's PostgreSQL for tests: a server in a folder of its own, which tests stop, kill and fill.

It runs as an unprivileged user, which PostgreSQL insists on. It listens on a UNIX socket, which
asks for no password, and on a port of 127.0.0.1, which does.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import gevent
import pg8000.exceptions
import pg8000.native
from gevent import socket

from tests.harness import PATIENCE, beside, free_port, serving, wait_until

USER, PASSWORD = "nym", "pässword"
_OTHER_USER = "nobody"  # who runs the server if the tests run as root
_PORT = 5432  # part of the socket's name
# Without fsync, only a machine that loses its power loses anything. Tests kill processes.
_SETTINGS = {"fsync": "off", "max_connections": "40", "shared_buffers": "16MB"}


class Postgres:
    """A server, which runs inside the `with` block."""

    def __init__(self, folder: Path | None = None, **settings: str) -> None:
        """Its data are in `folder`, or else in a new one; `settings` are those of PostgreSQL."""
        self._own = None if folder else tempfile.TemporaryDirectory(prefix="nym-postgres-")
        self.folder = folder or Path(str(self._own and self._own.name))
        self._settings = {**_SETTINGS, **settings}
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = count(1)
        self.port = 0

    def __enter__(self) -> "Postgres":
        self.folder.chmod(0o711)
        if os.geteuid() == 0:
            shutil.chown(self.folder, _OTHER_USER)
        password = self.folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        made = ("-U", USER, f"--pwfile={password}", "--auth-host=scram-sha-256", "--no-sync")
        beside(
            subprocess.run,
            [*self._command("initdb"), *made, "--wal-segsize=1", "--encoding=UTF8", "--locale=C"],
            check=True,
            capture_output=True,
            **self._as_other(),
        )
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop("immediate")
        if self._own:
            self._own.cleanup()

    @staticmethod
    def is_installed() -> bool:
        """Whether this machine has it."""
        return any(Path("/usr/lib/postgresql").glob("*/bin/initdb"))

    # What tests do to it.

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        while True:
            self.port = self.port or free_port()
            settings = self._settings | {
                "unix_socket_directories": str(self.folder),
                "listen_addresses": "127.0.0.1",
            }
            options = [f"--{name}={value}" for name, value in settings.items()]
            with (self.folder / "log").open("ab") as log:
                self._process = subprocess.Popen(
                    [*self._command("postgres"), *options, f"--port={self.port}"],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    **self._as_other(),
                )
            wait_until(lambda: self._answers() or not self.is_running, "PostgreSQL")
            if self.is_running:
                return
            # Somebody else has taken the port, or what is left of a killed server is still there.
            assert b"could not bind" in self.log or b"shared memory" in self.log, self.log
            if b"could not bind" in self.log:
                self.port = 0
            (self.folder / "log").unlink()

    def stop(self, how: str = "fast") -> None:
        """Stop it: `fast` ends its connections in order, `immediate` just ends."""
        if self._process is not None:
            way = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}[how]
            self._process.send_signal(way)
            self._ended()

    def kill(self) -> None:
        """End all of its processes with SIGKILL."""
        assert self._process is not None
        parent = self._process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        for process in [parent, *map(int, children)]:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self._ended()

    def secure(self, certificate: Path, key: Path) -> None:
        """Take TLS on the port, from now on."""
        self._settings["ssl"] = "on"
        for name, file in (("ssl_cert_file", certificate), ("ssl_key_file", key)):
            copy = self.folder / file.name
            shutil.copy(file, copy)
            copy.chmod(0o600)
            if os.geteuid() == 0:
                shutil.chown(copy, _OTHER_USER)
            self._settings[name] = str(copy)
        self.stop()
        self.start()

    def cut(self) -> None:
        """End all connections but the one that does so."""
        self.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )

    def connect(self, database: str = "postgres") -> pg8000.native.Connection:
        """A connection of the test's own."""
        path = f"{self.folder}/.s.PGSQL.{self.port}"
        return pg8000.native.Connection(USER, unix_sock=path, database=database, timeout=PATIENCE)

    def run(self, statement: str, database: str = "postgres", **values: Any) -> list[list[Any]]:
        """What this SQL returns."""
        with self.connect(database) as connection:
            return list(connection.run(statement, **values) or [])

    def database(self) -> str:
        """The name of a new database, which nobody else uses."""
        name = f"test{os.getpid()}_{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name}")
        return name

    def url(self, database: str) -> str:
        """Where a program finds this database; it needs no password."""
        host = str(self.folder).replace("/", "%2F")
        return f"postgresql://{USER}@{host}:{self.port}/{database}"

    @property
    def is_running(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> bytes:
        """What it has logged."""
        return (self.folder / "log").read_bytes()

    def _answers(self) -> bool:
        with suppress(pg8000.exceptions.Error, OSError):
            self.connect().close()
            return True
        return False

    def _ended(self) -> None:
        assert self._process is not None
        beside(self._process.wait, PATIENCE)
        self._process = None

    def _command(self, name: str) -> list[str]:
        newest = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))[-1]
        return [str(newest), "-D", str(self.folder / "data")]

    def _as_other(self) -> Mapping[str, Any]:
        whose = {"user": _OTHER_USER, "group": "nogroup", "extra_groups": []}
        return {"cwd": self.folder, **(whose if os.geteuid() == 0 else {})}


class Line:
    """A line to the server's UNIX socket, which a test can cut or hold up."""

    def __init__(self, server: Postgres) -> None:
        self._server = server
        self._open: set[socket.socket] = set()
        self.port = 0
        # Called with each piece that a client sends, or the server: False throws it away.
        self.passes: Callable[[bytes], bool] = lambda piece: True
        self.answers: Callable[[bytes], bool] = lambda piece: True
        self.is_down = False

    @contextmanager
    def laid(self) -> Iterator["Line"]:
        """Take connections inside the block."""
        with serving(self._carry) as place:
            self.port = place.port
            try:
                yield self
            finally:
                self.cut()

    def url(self, database: str) -> str:
        """Where a program finds this database, over this line."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def cut(self) -> None:
        """End all connections, as if somebody had cut a cable; both sides see a reset."""
        for end in list(self._open):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _carry(self, near: Any) -> None:
        if self.is_down:
            return
        with socket.socket(socket.AF_UNIX) as far:
            far.connect(f"{self._server.folder}/.s.PGSQL.{self._server.port}")
            ends = {near, far}
            self._open |= ends
            try:
                back = gevent.spawn(self._copy, far, near, lambda piece: self.answers(piece))
                self._copy(near, far, lambda piece: self.passes(piece))
                back.join()
            finally:
                self._open -= ends

    def _copy(self, source: Any, target: Any, passes: Callable[[bytes], bool]) -> None:
        with suppress(OSError):
            while piece := source.recv(1 << 16):
                if passes(piece):
                    target.sendall(piece)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
