"""The socket whose connections speak any dialect without HTTP (docs/protocol/sockets.md)."""

import logging
import socket
from typing import Any

from gevent.pool import Pool
from gevent.server import StreamServer

from nym.sockets.connection import LONGEST_READ, MOST_CONNECTIONS, converse
from nym.sockets.conversation import Conversation, LinesConversation, RawConversation
from nym.sockets.local import LocalSocket, Place
from nym.wire.detection import UNDECIDED, Unframed, detect
from nym.wire.framing import Framing

DETECTION_TIME = 0.02  # seconds in which an old client writes a message after its length

log = logging.getLogger(__name__)


class TcpSocket(LocalSocket):
    """Tells the dialect of each connection by its first bytes."""

    kind = "TCP socket"

    def _make_server(self, place: Place) -> StreamServer:
        return StreamServer(place, self._serve, spawn=Pool(MOST_CONNECTIONS))

    def _serve(self, connection: socket.socket, peer: Any) -> None:
        with connection:
            try:
                if data := connection.recv(LONGEST_READ):
                    data, conversation = self._begin(connection, data)
                    converse(connection, conversation, connection.recv, data)
            except OSError as error:
                log.debug("an application's connection ended: %s", error)

    def _begin(self, connection: socket.socket, data: bytes) -> tuple[bytes, Conversation]:
        """What was read to tell the dialect, and a conversation in it."""
        dialect = detect(data, is_all=False)
        if dialect is UNDECIDED:
            more = _read_soon(connection)
            data += more
            dialect = detect(data, is_all=not more)
        if isinstance(dialect, Framing):
            from nym.sockets.framed import FramedConversation

            return data, FramedConversation(self._service, dialect)
        if dialect is Unframed.JSON:
            return data, LinesConversation(self._service)
        return data, RawConversation(self._service)


def _read_soon(connection: socket.socket) -> bytes:
    connection.settimeout(DETECTION_TIME)
    try:
        return connection.recv(LONGEST_READ)
    except TimeoutError:
        return b""
    finally:
        connection.settimeout(None)
