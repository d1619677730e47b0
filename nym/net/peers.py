"""Which user is at the other end of a UNIX socket, as the kernel knows it (SO_PEERCRED).

The mode of a socket's file decides who can connect. But modes are changed by mistake, and
connections are handed on. So control sockets ask the kernel as well.
"""

import logging
import os
import socket
import struct
from pathlib import Path

from nym.errors import AccessError
from nym.files import user
from nym.net.watch import Once

_CREDENTIALS = struct.Struct("iII")  # struct ucred: process, user, group

log = logging.getLogger(__name__)


class OwnerOnly:
    """Lets this user and root use one socket, and nobody else. The log says so once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._warning = Once(log)

    def refusal(self, connection: socket.socket) -> AccessError | None:
        """Why this peer may not use the socket; None if it may. Raises OSError."""
        owner, peer = os.geteuid(), _peer(connection)
        if peer in (owner, 0):
            return None
        self._warning.warn("%s may not use %s and was refused", user(peer), self._path)
        return AccessError(f"only {_names(owner)} may use this socket")


def _names(owner: int) -> str:
    return "root" if owner == 0 else f"{user(owner)} and root"


def _peer(connection: socket.socket) -> int:
    """The number of the user who connected. In a foreign user namespace, it is nobody's here."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, peer, _ = _CREDENTIALS.unpack(credentials)
    return int(peer)
