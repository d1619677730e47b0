"""The client's own socket, in its folder: commands of this user talk to the running client here."""

import logging
import socket
from pathlib import Path
from typing import Any

from gevent.pool import Pool
from gevent.server import StreamServer

from nym.config import SocketSettings
from nym.net.listening import CONTROL_SOCKET
from nym.service import Service
from nym.sockets.connection import MOST_CONNECTIONS, converse
from nym.sockets.conversation import LinesConversation
from nym.sockets.local import LocalSocket, Place
from nym.wire.addresses import UNIX

log = logging.getLogger(__name__)


class ControlSocket(LocalSocket):
    """JSON objects in lines, whatever the other socket speaks."""

    kind = "control socket"

    def __init__(self, service: Service, folder: Path) -> None:
        super().__init__(service, SocketSettings(host=f"{UNIX}{folder / CONTROL_SOCKET}"))

    def _make_server(self, place: Place) -> StreamServer:
        return StreamServer(place, self._serve, spawn=Pool(MOST_CONNECTIONS))

    def _serve(self, connection: socket.socket, peer: Any) -> None:
        with connection:
            try:
                converse(connection, LinesConversation(self._service), connection.recv)
            except OSError as error:
                log.debug("a command's connection ended: %s", error)
