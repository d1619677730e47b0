"""The socket of `tcpsocket`, where each connection speaks one of three dialects.

They are raw bytes, framed protobuf and JSON lines (docs/protocol/sockets.md, "On a TCP port").
"""

import socket
from contextlib import suppress

import gevent

from nym.errors import AccessError
from nym.sockets.connection import LONGEST_READ, close_politely, write
from nym.sockets.conversation import Conversation, RawConversation
from nym.sockets.local import FIRST_BYTE_TIME, REFUSAL_TIME, ApplicationSocket
from nym.sockets.objects import LinesConversation
from nym.wire.detection import UNDECIDED, Unframed, detect
from nym.wire.framing import Framing
from nym.wire.tokens import may_be_line, split_line

# Seconds in which an application that writes a frame's length apart from the frame has written the
# frame, too. A lone 04 can be such a length, or the raw request for details.
DETECTION_TIME = 0.02
_HOW = 'the first line of a connection has to be "token TOKEN"'


class TcpSocket(ApplicationSocket):
    """Recognises the dialect of each connection by its first bytes."""

    kind = "TCP socket"

    def _begin(self, connection: socket.socket) -> tuple[bytes, Conversation] | None:
        data = b""
        if self._token:
            shown, data = split_line(_read_line(connection))
            try:
                self._token.check(shown, _HOW)
            except AccessError as error:
                self._turn_away(connection, data, error)
                return None
        data = data or connection.recv(LONGEST_READ)
        return self._recognise(connection, data) if data else None

    def _turn_away(self, connection: socket.socket, data: bytes, error: AccessError) -> None:
        """Tell an application that has shown no token, in the dialect of `data`. Raises OSError."""
        # Behind a wrong token, most applications have written their first request.
        data = data or _read_within(connection, REFUSAL_TIME)
        _, conversation = (
            self._recognise(connection, data) if data else (data, RawConversation(self._service))
        )
        write(connection, conversation.encode_error(error))
        close_politely(connection)

    def _recognise(self, connection: socket.socket, data: bytes) -> tuple[bytes, Conversation]:
        """(all that was read, the conversation in its dialect). Raises OSError."""
        dialect = detect(data, is_all=False)
        if dialect is UNDECIDED:
            more = _read_within(connection, DETECTION_TIME)
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


def _read_line(connection: socket.socket) -> bytes:
    """What an application writes first: the line with its token, and perhaps more; or else."""
    data = b""
    with suppress(TimeoutError), gevent.Timeout(FIRST_BYTE_TIME, TimeoutError()):
        while may_be_line(data) and (more := connection.recv(LONGEST_READ)):
            data += more
    return data


def _read_within(connection: socket.socket, seconds: float) -> bytes:
    """What arrives within so many seconds; nothing if nothing does."""
    connection.settimeout(seconds)
    try:
        return connection.recv(LONGEST_READ)
    except TimeoutError:
        return b""
    finally:
        connection.settimeout(None)
