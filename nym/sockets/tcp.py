"""The socket whose connections speak any dialect without HTTP (docs/protocol/sockets.md)."""

import socket

from nym.sockets.connection import LONGEST_READ
from nym.sockets.conversation import Conversation, LinesConversation, RawConversation
from nym.sockets.local import ApplicationSocket
from nym.wire.detection import UNDECIDED, Unframed, detect
from nym.wire.framing import Framing

DETECTION_TIME = 0.02  # seconds in which an old client writes a message after its length


class TcpSocket(ApplicationSocket):
    """Tells the dialect of each connection by its first bytes."""

    kind = "TCP socket"

    def _begin(self, connection: socket.socket) -> tuple[bytes, Conversation] | None:
        if not (data := connection.recv(LONGEST_READ)):
            return None
        dialect = detect(data, is_all=False)
        if dialect is UNDECIDED:
            more = _read_soon(connection)
            data += more
            dialect = detect(data, is_all=not more)
        return data, self._conversation(dialect)

    def _conversation(self, dialect: Framing | Unframed | None) -> Conversation:
        if isinstance(dialect, Framing):
            from nym.sockets.framed import FramedConversation

            return FramedConversation(self._service, dialect)
        if dialect is Unframed.JSON:
            return LinesConversation(self._service)
        return RawConversation(self._service)


def _read_soon(connection: socket.socket) -> bytes:
    connection.settimeout(DETECTION_TIME)
    try:
        return connection.recv(LONGEST_READ)
    except TimeoutError:
        return b""
    finally:
        connection.settimeout(None)
