"""Where applications connect: a TCP port of this machine, or a UNIX socket."""

import errno
import logging
import socket
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import gevent
from gevent.pool import Pool

from nym.config import SocketSettings
from nym.errors import BusyError
from nym.net.descriptors import are_scarce, lack_of_descriptors
from nym.net.listening import Server, UnixListener, listen
from nym.net.localhost import numeric
from nym.net.watch import Outage
from nym.service import Service
from nym.sockets.connection import Visit, close_politely, write
from nym.sockets.conversation import Conversation
from nym.wire.addresses import UNIX

Place = tuple[str, int] | Path

REFUSED_AT_ONCE = 16  # connections; others wait for their refusal
REFUSAL_TIME = 1.0  # seconds in which one that is refused may show what it speaks
FIRST_BYTE_TIME = 10.0  # seconds in which a connection says something, or is the first to go
_SHARE = 8  # of so many places, all but one are for connections that wait to be told something

log = logging.getLogger(__name__)


class LocalSocket(ABC):
    """Listens at a host and a port, or at a path; each connection has a greenlet.

    When there are as many as may be, the one that was idle for longest makes room, so that nobody
    who opens many keeps others out; before all others, one that has said nothing in its first
    seconds. No subscriber goes, and nobody whose answer is on its way: but some places are for
    neither. Programs that connect long before they say anything are served as long as there is
    room.
    """

    kind: ClassVar[str]  # for people

    def __init__(self, service: Service, place: Place, most_connections: int) -> None:
        self._service = service
        self._place = place
        self._most_connections = most_connections
        self._visits: set[Visit] = set()
        self._crowd = Outage(log, self.kind, "others are refused until some of them end")
        self._unix: UnixListener | None = None
        self._server: Server | None = None

    def start(self) -> int | Path:
        """Listen; returns the port, which the system chose if it was 0, or the path.

        Raises ListenError.
        """
        pool = Pool(self._most_connections + REFUSED_AT_ONCE)
        if isinstance(self._place, Path):
            self._unix = UnixListener(self._place)
            self._server = Server(self._unix.socket, self._serve, spawn=pool)
            self._server.start()
            return self._place
        host, port = self._place
        self._server = Server((numeric(host), port), self._serve, spawn=pool)
        return listen(self._server).port

    def stop(self) -> None:
        """Stop listening, and end all connections."""
        if self._server:
            self._server.stop(timeout=0)
        if self._unix:
            self._unix.close()

    @abstractmethod
    def _begin(self, connection: socket.socket) -> tuple[bytes, Conversation] | None:
        """What was read to begin the conversation, and the conversation; None for no conversation.

        Raises OSError.
        """

    def _serve(self, connection: socket.socket, peer: Any) -> None:
        visit = Visit(connection)
        with connection:
            try:
                if refusal := self._refusal(connection):
                    self._refuse(connection, refusal)
                else:
                    self._visits.add(visit)
                    if begun := self._begin(connection):
                        data, conversation = begun
                        conversation.may_listen = self._may_listen
                        visit.converse(conversation, data)
            except OSError as error:
                log.debug("a local connection ended: %s", error)
            except Exception:
                log.exception("a connection to the %s was ended", self.kind)
            finally:
                self._visits.discard(visit)
                if len(self._visits) < 0.9 * self._most_connections:
                    self._crowd.ends()

    def _refusal(self, connection: socket.socket) -> BusyError | None:
        """Why this connection, which is new, can't be served; None if it can."""
        if len(self._visits) >= self._most_connections and not self._make_room():
            refusal = BusyError(
                f"busy: {len(self._visits)} connections are open here, as many as "
                "socket.connections in config.toml allows"
            )
            self._crowd.begins(refusal)
            return refusal
        if self._visits and are_scarce(connection.fileno()):
            # For the next one: this one has a descriptor that the client itself needs.
            self._make_room(is_long=True)
            return BusyError(f"busy: {lack_of_descriptors(OSError(errno.EMFILE, ''))}")
        return None

    def _may_listen(self) -> bool:
        """Whether one more may wait to be told something."""
        listening = sum(visit.is_listening for visit in self._visits)
        return listening < self._most_connections - self._most_connections // _SHARE

    def _make_room(self, *, is_long: bool = False) -> bool:
        """End the connection that was idle for longest; `is_long`: if that was long."""
        long_ago = time.monotonic() - FIRST_BYTE_TIME
        idle = [
            v for v in self._visits if v.is_idle(long_ago) and not (is_long and v.heard > long_ago)
        ]
        if not idle:
            return False
        longest = min(
            idle, key=lambda visit: (visit.has_spoken or visit.heard > long_ago, visit.heard)
        )
        self._visits.discard(longest)
        longest.end("this connection was idle for longest, and another one needs its place")
        return True

    def _refuse(self, connection: socket.socket, refusal: BusyError) -> None:
        """Tell it in its own dialect, as far as it shows one. Raises OSError."""
        begun = None
        with suppress(TimeoutError), gevent.Timeout(REFUSAL_TIME, TimeoutError()):
            begun = self._begin(connection)
        write(connection, begun[1].refusal(refusal) if begun else f"{refusal}\n".encode())
        close_politely(connection)


class ApplicationSocket(LocalSocket):
    """A socket for applications, where the settings say."""

    def __init__(self, service: Service, settings: SocketSettings) -> None:
        super().__init__(service, _place(settings), settings.connections)
        self._settings = settings

    def reload(self, settings: SocketSettings) -> None:
        """Take over `settings`, as far as they can change while it listens."""
        self._settings = replace(settings, host=self._settings.host, port=self._settings.port)


def _place(settings: SocketSettings) -> Place:
    if settings.host.startswith(UNIX):
        return Path(settings.host.removeprefix(UNIX)).expanduser()
    return settings.host, settings.port
