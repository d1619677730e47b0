"""A socket that speaks HTTP: who may talk, and a WebSocket for them.

docs/protocol/sockets.md, "WebSocket".
"""

import socket
from contextlib import suppress
from http import HTTPStatus

import gevent
from websockets.http11 import Request
from websockets.server import ServerProtocol

from nym.errors import BusyError, HandshakeError
from nym.sockets.connection import close_politely, write
from nym.sockets.conversation import Conversation
from nym.sockets.local import REFUSAL_TIME, ApplicationSocket
from nym.sockets.websocket import WebSocketConversation
from nym.wire.handshake import (
    HEAD_END,
    LONGEST_HEAD,
    accept,
    new_protocol,
    received_request,
    refuse,
)
from nym.wire.origins import Origin, parse_origin

HANDSHAKE_TIME = 10.0  # seconds in which a request has to be complete, and its answer read


class WebSocket(ApplicationSocket):
    """Opens a WebSocket for whoever may talk."""

    kind = "websocket"

    @property
    def _allowed_origins(self) -> frozenset[Origin]:
        return frozenset(map(parse_origin, self._settings.allowed_origins))

    def _begin(self, connection: socket.socket) -> tuple[bytes, Conversation] | None:
        protocol = new_protocol()
        slow = HandshakeError(HTTPStatus.REQUEST_TIMEOUT, f"no request within {HANDSHAKE_TIME:g} s")
        try:
            with gevent.Timeout(HANDSHAKE_TIME, slow):
                request, data = _read_request(connection, protocol)
            own_hosts = {_own_address(connection), self._settings.host}
            response = accept(protocol, request, own_hosts, self._allowed_origins)
        except HandshakeError as error:
            write(connection, refuse(protocol, error))
            close_politely(connection)
            return None
        protocol.send_response(response)
        write(connection, b"".join(protocol.data_to_send()))
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            close_politely(connection)
            return None
        return data, WebSocketConversation(self._service, protocol, request.path)

    def _refuse(self, connection: socket.socket, refusal: BusyError) -> None:
        protocol = new_protocol()
        slow = HandshakeError(HTTPStatus.REQUEST_TIMEOUT, "no request as yet")
        with suppress(HandshakeError), gevent.Timeout(REFUSAL_TIME, slow):
            _read_request(connection, protocol)
        busy = HandshakeError(HTTPStatus.SERVICE_UNAVAILABLE, str(refusal))
        write(connection, refuse(protocol, busy))
        close_politely(connection)


def _read_request(connection: socket.socket, protocol: ServerProtocol) -> tuple[Request, bytes]:
    """The request, and what came behind it. Raises HandshakeError, OSError."""
    head = bytearray()
    while True:
        begin = len(head)
        if not (data := connection.recv(LONGEST_HEAD)):
            raise ConnectionAbortedError("the application hung up before its request was complete")
        head += data
        end = head.find(HEAD_END, max(0, begin - len(HEAD_END) + 1))
        end = len(head) if end < 0 else end + len(HEAD_END)
        if end > LONGEST_HEAD:
            raise HandshakeError(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                f"this port takes WebSockets, whose request has at most {LONGEST_HEAD} bytes",
            )
        protocol.receive_data(head[begin:end])
        if request := received_request(protocol):
            return request, bytes(head[end:])


def _own_address(connection: socket.socket) -> str:
    """Where the connection ends, on this side."""
    name = connection.getsockname()
    return str(name[0]) if isinstance(name, tuple) else str(name)
