"""Servers that start, or say why they can't."""

import _socket
import errno
import logging
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from gevent.server import StreamServer

from nym.errors import ConfigError, ListenError, LockedError
from nym.files import locked
from nym.net.descriptors import lack_of_descriptors
from nym.wire.addresses import UNIX, NodeAddress, is_loopback

_HINTS = {
    errno.EADDRINUSE: "; another port can be chosen with --port",
    errno.EACCES: "; another port can be chosen with --port",
    errno.EADDRNOTAVAIL: "; this machine doesn't have that address",
}
_LONGEST_UNIX = 107  # bytes: sun_path has 108, with a zero at the end
_BACKLOG = 1024  # connections that wait to be accepted
_PAUSE = 0.1  # seconds until the next attempt when nothing can be accepted

log = logging.getLogger(__name__)


class PatientAccept:
    """For servers of gevent: when nothing can be accepted, they wait a moment and go on.

    Theirs would print a report each time.
    """

    def do_read(self) -> Any:
        """The next connection, or None."""
        server: Any = self
        try:
            return super().do_read()  # type: ignore[misc]
        except OSError as error:
            if server.is_fatal_error(error):
                raise
            if not lack_of_descriptors(error):
                log.debug("a connection was not accepted: %s", error)
            server.stop_accepting()
            server._timer = server.loop.timer(_PAUSE)
            server._timer.start(server._start_accepting_if_started)
            return None


class Server(PatientAccept, StreamServer):
    """A server whose backlog has room for many at once."""

    backlog = _BACKLOG


def listen(server: StreamServer) -> NodeAddress:
    """Start `server`; returns where it listens, with the port that the system chose for a 0.

    Raises ListenError.
    """
    try:
        server.start()
    except OSError as error:
        where = "{}, port {}".format(*server.address)
        # gevent has added where, as Python writes it.
        error.strerror = error.strerror and error.strerror.removesuffix(f": {server.address}")
        raise _refusal(where, error, _HINTS.get(error.errno or 0, "")) from error
    return listening_address(server)


def is_here(ip: str) -> bool:
    """Whether it is an address of this machine; so is one of which that can't be told."""
    if is_loopback(ip):
        return True
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    try:
        # Not gevent's, which would begin a hub in a thread.
        with closing(_socket.socket(family, socket.SOCK_DGRAM)) as probe:
            probe.bind((ip, 0))
    except OSError as error:
        return error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
    return True


def listening_address(server: StreamServer) -> NodeAddress:
    """Where a started server listens."""
    return NodeAddress(str(server.server_host), int(server.server_port or 0))


@contextmanager
def unix_address(path: Path) -> Iterator[str]:
    """`path` in a form that a UNIX socket takes: their names are short, folders may be deep.

    Raises OSError.
    """
    if len(os.fsencode(path)) <= _LONGEST_UNIX:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


class UnixListener:
    """A UNIX socket that this user alone can connect to, and its place in the file system."""

    def __init__(self, path: Path) -> None:
        """Listen. Raises ListenError, LockedError."""
        self.socket = socket.socket(socket.AF_UNIX)
        self._path = path
        try:
            # Before the file is there: nobody can be quicker than its mode.
            os.fchmod(self.socket.fileno(), 0o600)
            # It listens before anybody else looks whether it does.
            with _locked(path.parent):
                self._bind()
                self.socket.listen(_BACKLOG)
                self._file = _identity(path)
        except LockedError:
            self.socket.close()
            raise
        except OSError as error:
            self.socket.close()
            raise _refusal(f"{UNIX}{path}", error) from error

    def close(self) -> None:
        """Stop listening, and leave nothing behind."""
        self.socket.close()
        # What can't be removed, the next start removes.
        with suppress(OSError, LockedError), _locked(self._path.parent):
            # By now somebody else's may be there.
            if _identity(self._path) == self._file:
                self._path.unlink(missing_ok=True)

    def _bind(self) -> None:
        with unix_address(self._path) as address:
            try:
                self.socket.bind(address)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                self._remove_left_over(address)
                self.socket.bind(address)

    def _remove_left_over(self, address: str) -> None:
        if not stat.S_ISSOCK(self._path.lstat().st_mode):
            raise FileExistsError(errno.EEXIST, "a file is there that is no socket")
        with socket.socket(socket.AF_UNIX) as probe:
            probe.setblocking(False)
            if probe.connect_ex(address) != errno.ECONNREFUSED:
                raise OSError(errno.EADDRINUSE, "another program listens there")
        self._path.unlink()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Nobody else starts or ends a socket of ours in this folder meanwhile. Raises LockedError."""
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(folder))
        except ConfigError as error:
            # File systems over a network may know no locks of folders: then without.
            log.debug("%s", error)
        yield


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _refusal(where: str, error: OSError, hint: str = "") -> ListenError:
    return ListenError(f"can't listen on {where}: {error.strerror or error}{hint}")
