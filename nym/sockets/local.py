"""Where applications connect: a TCP port of this machine, or a UNIX socket."""

import logging
import socket
from abc import ABC, abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from gevent.pool import Pool
from gevent.server import StreamServer

from nym.config import SocketSettings
from nym.net.listening import UnixListener, listen
from nym.net.localhost import numeric
from nym.service import Service
from nym.sockets.connection import MOST_CONNECTIONS, converse
from nym.sockets.conversation import Conversation
from nym.wire.addresses import UNIX

Place = tuple[str, int] | Path

log = logging.getLogger(__name__)


class LocalSocket(ABC):
    """Listens at a host and a port, or at a path; each connection has a greenlet."""

    def __init__(self, service: Service, place: Place) -> None:
        self._service = service
        self._place = place
        self._unix: UnixListener | None = None
        self._server: StreamServer | None = None

    def start(self) -> int | Path:
        """Listen; returns the port, which the system chose if it was 0, or the path.

        Raises ListenError.
        """
        pool = Pool(MOST_CONNECTIONS)
        if isinstance(self._place, Path):
            self._unix = UnixListener(self._place)
            self._server = StreamServer(self._unix.socket, self._serve, spawn=pool)
            self._server.start()
            return self._place
        host, port = self._place
        self._server = StreamServer((numeric(host), port), self._serve, spawn=pool)
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
        with connection:
            try:
                if begun := self._begin(connection):
                    data, conversation = begun
                    converse(connection, conversation, data)
            except OSError as error:
                log.debug("a local connection ended: %s", error)


class ApplicationSocket(LocalSocket):
    """A socket for applications, where the settings say."""

    kind: ClassVar[str]  # for people

    def __init__(self, service: Service, settings: SocketSettings) -> None:
        super().__init__(service, _place(settings))
        self._settings = settings

    def reload(self, settings: SocketSettings) -> None:
        """Take over `settings`, as far as they can change while it listens."""
        self._settings = replace(settings, host=self._settings.host, port=self._settings.port)


def _place(settings: SocketSettings) -> Place:
    if settings.host.startswith(UNIX):
        return Path(settings.host.removeprefix(UNIX)).expanduser()
    return settings.host, settings.port
