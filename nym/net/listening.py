"""Servers at a port or a UNIX socket: they start, or raise an error that says why they can't.

A UNIX socket is a file, which stays when its process is killed. The next start removes such a file,
but never one on which a program listens. A lock of the folder keeps two starts from removing each
other's file.
"""

import _socket
import errno
import logging
import os
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from gevent.server import StreamServer

from nym.errors import ListenError, LockedError
from nym.files import locked
from nym.net.descriptors import lack_of_descriptors
from nym.wire.addresses import UNIX, NodeAddress, is_loopback

_PORT_ERRORS = (errno.EADDRINUSE, errno.EACCES)
_LONGEST_UNIX = 107  # bytes of a UNIX socket's path: sun_path has 108, with a zero at the end
# Connections that wait to be accepted; the system drops more, and their senders try again after a
# second. A mixnode serves some 2,500 in that second: with fewer here, it would have nothing to do
# after a burst, while packets wait. For more than 4096, the system has to be told (somaxconn).
_BACKLOG = 4096
MOST_NEW = 64  # connections that a server has accepted and doesn't serve yet
_PAUSE = 0.1  # seconds until the next attempt when no connection can be accepted

log = logging.getLogger(__name__)


class PatientAccept:
    """For gevent's servers: they accept no more than they serve, and wait if they can't accept.

    In one turn of its loop, gevent accepts up to a hundred connections, but begins to serve only as
    many as fit into five milliseconds. On a machine that is too slow for what comes, accepted
    connections would pile up without a limit. So they stay in the backlog.

    When a connection can't be accepted, gevent by itself would print a traceback for each attempt.
    Without descriptors there are many, because the connection stays in the backlog.
    """

    most_new = MOST_NEW
    _new = 0  # connections that were accepted and aren't served yet

    def set_handle(self, handle: Any) -> None:
        """See gevent."""
        super().set_handle(handle)  # type: ignore[misc]
        # Not `_handle`, which gevent sets again, from this, when the server starts.
        self.handle: Any = partial(self._serve_new, self.handle)

    def do_read(self) -> Any:
        """Accept the next connection; None if there is none to be had."""
        server: Any = self
        if self._new >= self.most_new:
            server.stop_accepting()
            return None
        try:
            return super().do_read()  # type: ignore[misc]
        except OSError as error:
            if server.is_fatal_error(error):
                raise
            if not lack_of_descriptors(error):
                log.debug("a connection was not accepted: %s", error)
            # What gevent does in the same case, but without its report and its growing delay.
            server.stop_accepting()
            server._timer = server.loop.timer(_PAUSE)
            server._timer.start(server._start_accepting_if_started)
            return None

    def do_handle(self, *arguments: Any) -> None:
        """See gevent."""
        super().do_handle(*arguments)  # type: ignore[misc]
        self._new += 1

    def served(self, count: int) -> None:
        """So many of those that were accepted are served from now on."""
        server: Any = self
        self._new -= count
        if self._new == 0 and server._watcher is None:  # it doesn't accept now
            server._start_accepting_if_started()

    def _serve_new(self, handle: Callable[..., None], *arguments: Any) -> None:
        self.served(1)
        handle(*arguments)


class Server(PatientAccept, StreamServer):
    """A TCP or UNIX server with room for many connections that wait to be accepted."""

    backlog = _BACKLOG


def listen(server: StreamServer, option: str = "--port") -> NodeAddress:
    """Start `server`, and return where it listens. For port 0, the system has chosen a port.

    `option` is the one with which users choose another port. Raises ListenError.
    """
    with _refused(server.address, option):
        server.start()
    return listening_address(server)


def listen_together(place: NodeAddress, count: int, option: str) -> list[socket.socket]:
    """Sockets that listen at one place, for a process each; the system spreads connections evenly.

    With one socket for all processes, each of those that wait would wake up for each connection,
    and all but one in vain. Raises ListenError.
    """
    sockets: list[socket.socket] = []
    family = socket.AF_INET6 if ":" in place.ip else socket.AF_INET
    with ExitStack() as unless_all_listen, _refused(place, option):
        for _ in range(count):
            one = unless_all_listen.enter_context(socket.socket(family))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if sockets:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                one.bind(sockets[0].getsockname())
            else:
                # Not shared while it is bound: it fails if another program listens there, even one
                # that would share its port.
                one.bind(place)
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sockets.append(one)
        for one in sockets:
            one.listen(_BACKLOG)
        unless_all_listen.pop_all()
    return sockets


def is_here(ip: str) -> bool:
    """Whether `ip` is an address of this machine; True also where that can't be told."""
    if is_loopback(ip):
        return True
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    try:
        # Only own addresses can be bound. This runs in a thread, too, where a gevent socket would
        # make a second hub, so it is the standard library's.
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
    """`path` in a form that a UNIX socket takes. Raises OSError.

    The system allows only 107 bytes for the path of a socket. A longer path is reached through a
    descriptor of its folder, which is open while this is entered.
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
    """A UNIX socket to which only this user can connect, and its file."""

    def __init__(self, path: Path) -> None:
        """Listen. Raises ListenError, LockedError."""
        self.socket = socket.socket(socket.AF_UNIX)
        self._path = path
        try:
            # The file takes its mode from the socket when bind makes it. A chmod after bind would
            # be too late for a program of another user that connects in between.
            os.fchmod(self.socket.fileno(), 0o600)
            # Between bind and listen, another start would find a socket that refuses connections,
            # take it for one of a dead process, and remove it. The lock makes that start wait.
            with locked(path.parent):
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
        """Stop listening, and remove the file."""
        self.socket.close()
        # A file that can't be removed now is removed by the next start.
        with suppress(OSError, LockedError), locked(self._path.parent):
            # Since the socket was closed, another process may have put its own file there.
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
        """Remove the socket that a dead process left. Raises OSError for anything else."""
        if not stat.S_ISSOCK(self._path.lstat().st_mode):
            raise FileExistsError(errno.EEXIST, "there is a file that is no socket")
        with socket.socket(socket.AF_UNIX) as probe:
            # Not blocking: with a full backlog, connect would wait for the other program.
            probe.setblocking(False)
            # Only a socket on which nobody listens refuses; any other outcome is no proof.
            if probe.connect_ex(address) != errno.ECONNREFUSED:
                raise OSError(errno.EADDRINUSE, "another program listens there")
        self._path.unlink()


def _identity(path: Path) -> tuple[int, int] | None:
    """(device, inode), which differ for another file at the same path; None if there is none."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


@contextmanager
def _refused(place: Any, option: str) -> Iterator[None]:
    """Turn an OSError into a ListenError that says why nothing can listen at this place."""
    try:
        yield
    except OSError as error:
        where = "{}, port {}".format(*place[:2])
        # gevent has appended the address as a Python tuple, but ours says it for people.
        error.strerror = error.strerror and error.strerror.removesuffix(f": {tuple(place)}")
        hint = ""
        if error.errno in _PORT_ERRORS:
            hint = f"; another port can be chosen with {option}"
        elif error.errno == errno.EADDRNOTAVAIL:
            hint = "; this machine doesn't have that address"
        raise _refusal(where, error, hint) from error


def _refusal(where: str, error: OSError, hint: str = "") -> ListenError:
    return ListenError(f"can't listen on {where}: {error.strerror or error}{hint}")
