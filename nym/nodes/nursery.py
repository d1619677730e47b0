"""A process that starts others, each as a copy of what this program was when it began.

A worker shares nearly all of its memory with the other processes of the node, and doesn't load the
program again, which in the one file would unpack all libraries once more. But to copy a process in
the middle of its work would also copy its keys, connections, greenlets and the locks that its
threads hold. So the copy is made at the start, when there is none of that. It only waits, and makes
a copy of itself whenever a worker is wanted, also months later.

It ends when the process does that has made it.
"""

import _socket
import gc
import logging
import os
import signal
import socket
from collections.abc import Callable
from typing import NoReturn

from gevent.os import fork_gevent

# What stops a program is for the process that was started. A terminal sends SIGINT to all of them,
# and service managers SIGTERM, but workers have to go on until the node has left in order.
_FOR_THE_FIRST = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_WANTED = b"w"  # a worker; the descriptors for it come along

log = logging.getLogger(__name__)

Work = Callable[[socket.socket, socket.socket], None]


class Nursery:
    """Starts workers: each calls `work` with its end of a line, and a socket that listens.

    It must be made before there are threads or keys. `has_failed` is called when no worker can be
    started any more. Raises OSError.
    """

    def __init__(self, work: Work, has_failed: Callable[[], None]) -> None:
        self._has_failed = has_failed
        self._line, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with there:
            if fork_gevent() == 0:
                self._line.close()
                _alone(_serve, there.detach(), work)

    def start(self, listener: socket.socket) -> socket.socket:
        """Our end of the line to a new worker, which ends when this end is closed. Raises OSError.

        The line ends at once if the machine has no room for one more process.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                descriptors = [theirs.fileno(), listener.fileno()]
                socket.send_fds(self._line, [_WANTED], descriptors)
        except OSError as error:
            ours.close()
            if isinstance(error, ConnectionError):  # somebody has killed the nursery
                log.error("no worker can be started any more; this node ends")  # noqa: TRY400
                self._has_failed()
            raise
        return ours


def _serve(descriptor: int, work: Work) -> None:
    """Make a copy for each request, until the line ends."""
    # Workers share the memory of what is there now, as long as none of them writes to it. To look
    # for garbage among it would.
    gc.freeze()
    for number in _FOR_THE_FIRST:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system forgets those that have ended
    # Python's own socket, which really waits: no event loop runs here.
    line = _socket.socket(fileno=descriptor)
    line.setblocking(True)
    while descriptors := socket.recv_fds(line, len(_WANTED), 2)[1]:  # type: ignore[arg-type]
        try:
            if fork_gevent() == 0:
                line.close()
                _alone(work, *(socket.socket(fileno=one) for one in descriptors))
        except OSError as error:  # no room for one more process, which the end of its line says
            log.debug("no worker can be started: %s", error)
        for descriptor in descriptors:
            os.close(descriptor)


def _alone(function: Callable[..., None], *arguments: object) -> NoReturn:
    """Call `function`, and end: a copy must not go on with what the first process does then."""
    try:
        function(*arguments)
    except Exception:
        log.exception("a process of this node died")
    finally:
        os._exit(0)
