"""TCP sockets for connections that carry one packet, as nearly all of 0.4 do.

Whoever calls them waits in a greenlet, as with gevent's own. But gevent makes two watchers of its
event loop for each socket before anybody has to wait, and asks the system several things that
nobody needs. With two connections for each packet, that was a sixth of what a mixnode did.
"""

import _socket
import errno
import os
from typing import Any

from gevent import get_hub
from gevent.server import StreamServer
from gevent.socket import wait

from nym.wire.addresses import NodeAddress

_READ, _WRITE = 1, 2  # events of libev


class BareSocket(_socket.socket):
    """One connection. Only one greenlet at a time may wait for it; any may send and close.

    `send` never waits: it raises BlockingIOError where there is no room.
    """

    __slots__ = ("_watcher",)

    def __init__(self, family: int, descriptor: int | None = None) -> None:
        """A new socket, or one for a connection that the system has at `descriptor`.

        There, it must not block.
        """
        self._watcher: Any = None  # of the greenlet that waits
        kind = _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC
        super().__init__(family, kind, 0, descriptor)

    def connect_within(self, seconds: float, place: NodeAddress) -> None:
        """Connect, for at most so many seconds, and then send something, or close.

        Raises OSError, TimeoutError among them.
        """
        # What is sent first acknowledges the connection, so that this needs no segment of its own.
        self.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_QUICKACK, 0)
        number = self.connect_ex(place)
        if number == errno.EINPROGRESS:
            number = self.connect_ex(place)  # within one machine, it is connected by now
        if number == errno.EALREADY:
            self._wait(_WRITE, seconds)
            number = self.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
        if number:
            raise OSError(number, os.strerror(number))

    def recv_within(self, seconds: float, most: int) -> bytes:
        """What is there, or comes within the seconds; empty at the end. Raises OSError."""
        while True:
            try:
                return self.recv(most)
            except BlockingIOError:
                self._wait(_READ, seconds)

    def close(self) -> None:
        """Close it. A greenlet that waits for it gets an OSError."""
        if self._watcher is None:
            super().close()
        else:
            # Not at once: another connection could get the descriptor's number, which is watched.
            error = OSError(errno.EBADF, "another greenlet has closed this connection")
            get_hub().cancel_waits_close_and_then([self._watcher], error, super().close)

    def _wait(self, event: int, seconds: float) -> None:
        watcher = get_hub().loop.io(self.fileno(), event)
        self._watcher = watcher
        try:
            wait(watcher, seconds, TimeoutError(f"no answer within {seconds:g} s"))
        finally:
            watcher.close()
            self._watcher = None


class BareServer(StreamServer):
    """Accepts BareSockets."""

    def do_read(self) -> Any:
        """See gevent."""
        try:
            descriptor, peer = self.socket._accept()  # type: ignore[attr-defined]
        except BlockingIOError:
            return None
        try:
            os.set_blocking(descriptor, False)
            return BareSocket(self.socket.family, descriptor), peer
        except BaseException:
            # No socket has it: making one is the last step that can fail.
            os.close(descriptor)
            raise
