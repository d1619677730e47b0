"""Where applications connect: a TCP port of this machine, or a UNIX socket."""

import socket
from abc import ABC, abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from gevent.server import StreamServer

from nym.config import SocketSettings
from nym.net.listening import UnixListener, listen
from nym.net.localhost import numeric
from nym.service import Service
from nym.wire.addresses import UNIX

Place = tuple[str, int] | socket.socket


class LocalSocket(ABC):
    """Listens at a host and a port, or at `unix:PATH`; each connection has a greenlet."""

    kind: ClassVar[str]  # for people

    def __init__(self, service: Service, settings: SocketSettings) -> None:
        self._service = service
        self._settings = settings
        self._unix: UnixListener | None = None
        self._server: StreamServer | None = None

    def start(self) -> int | Path:
        """Listen; returns the port, which the system chose if it was 0, or the path.

        Raises ListenError.
        """
        host = self._settings.host
        if host.startswith(UNIX):
            path = Path(host.removeprefix(UNIX)).expanduser()
            self._unix = UnixListener(path)
            self._server = self._make_server(self._unix.socket)
            self._server.start()
            return path
        self._server = self._make_server((numeric(host), self._settings.port))
        return listen(self._server).port

    def reload(self, settings: SocketSettings) -> None:
        """Take over `settings`, as far as they can change while it listens."""
        self._settings = replace(settings, host=self._settings.host, port=self._settings.port)

    def stop(self) -> None:
        """Stop listening, and end all connections."""
        if self._server:
            self._server.stop(timeout=0)
        if self._unix:
            self._unix.close()

    @abstractmethod
    def _make_server(self, place: Place) -> StreamServer:
        """The server, not started."""
