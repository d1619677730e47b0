"""Servers that start, or say why they can't."""

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gevent.server import StreamServer

from nym.errors import ListenError
from nym.wire.addresses import UNIX, NodeAddress

_HINTS = {
    errno.EADDRINUSE: "; another port can be chosen with --port",
    errno.EACCES: "; another port can be chosen with --port",
    errno.EADDRNOTAVAIL: "; this machine doesn't have that address",
}


_LONGEST_UNIX = 107  # bytes: sun_path has 108, with a zero at the end


def listen(server: StreamServer) -> NodeAddress:
    """Start `server`; returns where it listens, with the port that the system chose for a 0.

    Raises ListenError.
    """
    try:
        server.start()
    except OSError as error:
        where = "{}, port {}".format(*server.address)
        raise _refusal(where, error, _HINTS.get(error.errno or 0, "")) from error
    return listening_address(server)


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
        """Listen. Raises ListenError."""
        self.socket = socket.socket(socket.AF_UNIX)
        self._path = path
        try:
            # Before the file is there: nobody can be quicker than its mode.
            os.fchmod(self.socket.fileno(), 0o600)
            self._bind()
            self.socket.listen()
            self._file = _identity(path)
        except OSError as error:
            self.socket.close()
            raise _refusal(f"{UNIX}{path}", error) from error

    def close(self) -> None:
        """Stop listening, and leave nothing behind."""
        self.socket.close()
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


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _refusal(where: str, error: OSError, hint: str = "") -> ListenError:
    return ListenError(f"can't listen on {where}: {error.strerror or error}{hint}")
