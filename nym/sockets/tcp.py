"""The socket of `tcpsocket`, where each connection speaks one of three dialects.

They are raw bytes, framed protobuf and JSON lines (docs/protocol/sockets.md, "On a TCP port").
"""

import socket

from nym.sockets.connection import LONGEST_READ
from nym.sockets.conversation import Conversation, LinesConversation, RawConversation
from nym.sockets.local import ApplicationSocket
from nym.wire.detection import UNDECIDED, Unframed, detect
from nym.wire.framing import Framing

# Seconds in which an application that writes a frame's length apart from the frame has written the
# frame, too. A lone 04 can be such a length, or the raw request for details.
DETECTION_TIME = 0.02


class TcpSocket(ApplicationSocket):
    """Recognises the dialect of each connection by its first bytes."""

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
            # Here, because it loads protobuf, which takes 2 MB and 20 ms.
            from nym.sockets.framed import FramedConversation

            return FramedConversation(self._service, dialect)
        if dialect is Unframed.JSON:
            return LinesConversation(self._service)
        return RawConversation(self._service)


def _read_soon(connection: socket.socket) -> bytes:
    """What arrives within DETECTION_TIME; nothing if nothing does."""
    connection.settimeout(DETECTION_TIME)
    try:
        return connection.recv(LONGEST_READ)
    except TimeoutError:
        return b""
    finally:
        connection.settimeout(None)
