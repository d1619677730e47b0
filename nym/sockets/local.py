"""Where applications connect: a TCP port of this machine, or a UNIX socket.

docs/protocol/sockets.md says, at its beginning, which connection makes room when all places are
taken. Without that rule, anybody on this machine could keep all others out by opening many.
"""

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
from nym.errors import BusyError, RequestError
from nym.net.descriptors import are_scarce, lack_of_descriptors
from nym.net.listening import Server, UnixListener, listen
from nym.net.localhost import numeric
from nym.net.watch import Outage
from nym.service import Service
from nym.sockets.connection import Visit, close_politely, write
from nym.sockets.conversation import Conversation
from nym.sockets.token import Token
from nym.wire.addresses import UNIX, NodeAddress, is_unspecified

Place = tuple[str, int] | Path

# Connections beyond the limit that are refused at the same time. More of them wait in the backlog.
REFUSED_AT_ONCE = 16
REFUSAL_TIME = 1.0  # seconds for a refused connection to send something that shows its dialect
# Seconds for a connection to send its first byte. After that, a silent one is the first to make
# room. A connection that doesn't read its answer for so long may be ended, too.
FIRST_BYTE_TIME = 10.0
# One place in so many is never taken by a connection that waits to be told something: such a
# connection doesn't make room, so with all places taken by them, nobody else could connect.
_SHARE = 8

log = logging.getLogger(__name__)


class LocalSocket(ABC):
    """Listens at a host and a port, or at a path; each connection has a greenlet.

    When all places are taken, a new connection takes the place of another. First goes one that has
    sent nothing in its first ten seconds, then the one that was idle for longest. A connection
    keeps its place while it subscribes, waits for a fetch, or is reading an answer.

    As long as there is room, a silent connection stays: published programs connect at their start,
    and may say nothing before their user does.
    """

    kind: ClassVar[str]  # its name in the log

    def __init__(self, service: Service, place: Place, most_connections: int) -> None:
        self._service = service
        self._place = place
        self._most_connections = most_connections
        self._visits: set[Visit] = set()
        self._crowd = Outage(log, self.kind, "others are refused until some of them end")
        self._unix: UnixListener | None = None
        self._server: Server | None = None

    def start(self) -> int | Path:
        """Listen, and return the port, or the path. For port 0, the system has chosen the port.

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
        self._place = host, listen(self._server).port
        return self._place[1]

    def stop(self) -> None:
        """Stop listening, and end all connections."""
        if self._server:
            self._server.stop(timeout=0)
        if self._unix:
            self._unix.close()

    @property
    def _first_byte_time(self) -> float:
        """Seconds in which a new connection has to say something, or is the first to make room."""
        return FIRST_BYTE_TIME

    @abstractmethod
    def _begin(self, connection: socket.socket) -> tuple[bytes, Conversation] | None:
        """Recognise the dialect: (the bytes that were read and not answered yet, the conversation).

        None if there is nothing to answer. Raises OSError.
        """

    def _serve(self, connection: socket.socket, peer: Any) -> None:
        visit = Visit(connection)
        with connection:
            # Whatever is raised ends this connection only.
            try:
                if connection.family != socket.AF_UNIX:
                    # News are written behind an answer. Otherwise they would wait until the
                    # application's system has acknowledged the answer, for 40 ms.
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
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
                # Not as soon as one place is free: at the limit, the log would say by turns that
                # connections are refused and that they aren't.
                if len(self._visits) < 0.9 * self._most_connections:
                    self._crowd.ends()

    def _refusal(self, connection: socket.socket) -> RequestError | None:
        """Why this new connection can't be served; None if it can."""
        if len(self._visits) >= self._most_connections and not self._make_room():
            refusal = BusyError(
                f"busy: {len(self._visits)} connections are open here, as many as "
                "socket.connections in config.toml allows"
            )
            self._crowd.begins(refusal)
            return refusal
        if self._visits and are_scarce(connection.fileno()):
            # This connection is refused all the same: its descriptor is one of those that the
            # client needs itself. The room is for the next one.
            self._make_room(is_long=True)
            return BusyError(f"busy: {lack_of_descriptors(OSError(errno.EMFILE, ''))}")
        return None

    def _may_listen(self) -> bool:
        """Whether one more connection may wait to be told something."""
        listening = sum(visit.is_listening for visit in self._visits)
        return listening < self._most_connections - self._most_connections // _SHARE

    def _make_room(self, *, is_long: bool = False) -> bool:
        """End the connection that was idle for longest; False if no connection is idle.

        With `is_long`, only one that was idle for at least FIRST_BYTE_TIME.
        """
        long_ago = time.monotonic() - FIRST_BYTE_TIME
        idle = [
            v for v in self._visits if v.is_idle(long_ago) and not (is_long and v.heard > long_ago)
        ]
        if not idle:
            return False
        silent = time.monotonic() - self._first_byte_time
        # False sorts first: those that sent nothing in their first seconds, then by their silence.
        longest = min(
            idle, key=lambda visit: (visit.has_spoken or visit.heard > silent, visit.heard)
        )
        # Now, not when its greenlet has ended: its place is given away at once.
        self._visits.discard(longest)
        longest.end("this connection was idle for longest, and another one needs its place")
        return True

    def _refuse(self, connection: socket.socket, refusal: RequestError) -> None:
        """Tell the application in its own dialect, if it shows one in time. Raises OSError."""
        begun = None
        with suppress(TimeoutError), gevent.Timeout(REFUSAL_TIME, TimeoutError()):
            begun = self._begin(connection)
        write(connection, begun[1].encode_error(refusal) if begun else f"{refusal}\n".encode())
        close_politely(connection)


class ApplicationSocket(LocalSocket):
    """A socket for applications, at the place that the settings name.

    `token`: applications have to show it first. `page_token`: the socket's own page has to show it
    in any case; None if browsers get no page.
    """

    has_page: ClassVar[bool] = False  # whether browsers get a page here

    def __init__(
        self,
        service: Service,
        settings: SocketSettings,
        token: Token | None = None,
        page_token: Token | None = None,
    ) -> None:
        super().__init__(service, _place(settings), settings.connections)
        self._settings = settings
        self._token = token
        self._page_token = page_token

    def reload(
        self, settings: SocketSettings, token: Token | None, page_token: Token | None
    ) -> None:
        """Take over `settings`, except for the place: the socket listens there already.

        Connections that are open don't need a new token.
        """
        self._settings = replace(settings, host=self._settings.host, port=self._settings.port)
        if self._token and token and token != self._token:
            log.info("applications need the new token from now on")
        self._token, self._page_token = token, page_token

    def page(self) -> str | None:
        """The link to the page, once this socket listens; None if it has no page."""
        if self._page_token is None or isinstance(self._place, Path):
            return None
        host, port = self._place
        if is_unspecified(host):
            host = "::1" if ":" in host else "127.0.0.1"
        return self._page_token.link(f"http://{NodeAddress(host, port)}/")

    @property
    def _first_byte_time(self) -> float:
        # Connections without the token must not take the places of those with it. A silent one
        # hasn't shown it.
        return FIRST_BYTE_TIME if self._token is None else 0.0


def _place(settings: SocketSettings) -> Place:
    if settings.host.startswith(UNIX):
        return Path(settings.host.removeprefix(UNIX)).expanduser()
    return settings.host, settings.port
