"""When the kernel saw what came on a socket: exact to microseconds, whatever this process does.

It stamps with the clock of time.time().
"""

import socket
import struct
from collections.abc import Sequence

_TIMESTAMP = 35  # SO_TIMESTAMPNS and SCM_TIMESTAMPNS on 64-bit systems: struct timespec
_TIMESPEC = struct.Struct("qq")
SPACE = socket.CMSG_SPACE(_TIMESPEC.size)  # that a stamp takes in recvmsg


def ask(connection: socket.socket) -> None:
    """Ask for a stamp with each recvmsg, also of the connections that this socket accepts."""
    connection.setsockopt(socket.SOL_SOCKET, _TIMESTAMP, 1)


def stamp(ancillary: Sequence[tuple[int, int, bytes]]) -> float | None:
    """Seconds, from the second value of recvmsg. None if the kernel hasn't begun to stamp yet."""
    for _, kind, data in ancillary:
        if kind == _TIMESTAMP:
            seconds, nanoseconds = _TIMESPEC.unpack(data)
            return float(seconds + nanoseconds / 1e9)
    return None
