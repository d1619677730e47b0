"""What is done with a connected socket, whatever is spoken on it."""

import _socket
import socket
from collections.abc import Iterator
from contextlib import contextmanager

CHUNK = 1 << 16  # bytes that are asked for at a time


def read_to_end(connection: socket.socket, longest: int) -> Iterator[bytes]:
    """Yield what arrives until the peer shuts down its side, or `longest` bytes are there."""
    missing = longest
    while missing and (chunk := connection.recv(min(missing, CHUNK))):
        missing -= len(chunk)
        yield chunk


@contextmanager
def closed_on_error(connection: _socket.socket) -> Iterator[None]:
    """Close the connection if anything is raised inside, which goes on to the caller."""
    try:
        yield
    except BaseException:
        # BaseException, because a greenlet that is killed gets a GreenletExit, which is no
        # Exception, and neither is a gevent.Timeout. Otherwise the socket would stay open.
        connection.close()
        raise
