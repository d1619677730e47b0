"""The socket of `websocket`: reads an HTTP request, and opens a WebSocket or hands out the page.

docs/protocol/sockets.md, "WebSocket" and "Who may connect"; docs/protocol/pages.md.
"""

import socket
from contextlib import suppress
from http import HTTPStatus

import gevent
from websockets.http11 import Request
from websockets.server import ServerProtocol

from nym.errors import AccessError, HandshakeError, RequestError
from nym.net.threads import beside_the_hub
from nym.sockets.connection import close_politely, write
from nym.sockets.conversation import Conversation
from nym.sockets.local import REFUSAL_TIME, ApplicationSocket
from nym.sockets.websocket import WebSocketConversation
from nym.wire.handshake import (
    HEAD_END,
    LONGEST_HEAD,
    accept,
    check_caller,
    is_of_own_page,
    new_protocol,
    received_request,
    refuse,
    token_of,
    wants_file,
)
from nym.wire.origins import Origin, parse_origin

HANDSHAKE_TIME = 10.0  # seconds in which the HTTP request has to be complete
_HOW = "show it in the header Authorization: Bearer TOKEN, or at the end of the URL as ?token=TOKEN"


class WebSocket(ApplicationSocket):
    """Opens a WebSocket for callers that are allowed."""

    kind = "websocket"
    has_page = True

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
            check_caller(request, own_hosts, self._allowed_origins)
            if self._page_token and wants_file(request):
                # In a thread: the modules for it are loaded, and files are packed, only now.
                write(connection, beside_the_hub(_file, request))
                close_politely(connection)
                return None
            self._check_token(request)
            response = accept(protocol, request)
        except HandshakeError as error:
            write(connection, refuse(protocol, error))
            close_politely(connection)
            return None
        protocol.send_response(response)
        write(connection, b"".join(protocol.data_to_send()))
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            close_politely(connection)
            return None
        path = request.path.partition("?")[0]  # behind it, there may be a token
        conversation = WebSocketConversation(self._service, protocol, path)
        conversation.is_own_page = self._page_token is not None and is_of_own_page(request)
        return data, conversation

    def _check_token(self, request: Request) -> None:
        # Everybody who can connect sees the page, but only its owner can use it.
        token = self._page_token if is_of_own_page(request) else self._token
        if token:
            try:
                token.check(token_of(request), _HOW)
            except AccessError as error:
                raise HandshakeError(HTTPStatus.UNAUTHORIZED, str(error)) from error

    def _refuse(self, connection: socket.socket, refusal: RequestError) -> None:
        protocol = new_protocol()
        slow = HandshakeError(HTTPStatus.REQUEST_TIMEOUT, "no request yet")
        # The answer is the same whatever the request says, but HTTP expects it behind the request.
        with suppress(HandshakeError), gevent.Timeout(REFUSAL_TIME, slow):
            _read_request(connection, protocol)
        busy = HandshakeError(HTTPStatus.SERVICE_UNAVAILABLE, str(refusal))
        write(connection, refuse(protocol, busy))
        close_politely(connection)


def _file(request: Request) -> bytes:
    """The answer with the file of the page that is asked for."""
    from nym.sockets import page

    return page.answer(request)


def _read_request(connection: socket.socket, protocol: ServerProtocol) -> tuple[Request, bytes]:
    """(the HTTP request, the bytes behind it, which are frames). Raises HandshakeError, OSError."""
    head = bytearray()
    while True:
        begin = len(head)
        if not (data := connection.recv(LONGEST_HEAD)):
            raise ConnectionAbortedError("the application hung up before its request was complete")
        head += data
        # The end may have begun in an earlier read, so the search starts three bytes before `data`.
        end = head.find(HEAD_END, max(0, begin - len(HEAD_END) + 1))
        end = len(head) if end < 0 else end + len(HEAD_END)
        if end > LONGEST_HEAD:
            raise HandshakeError(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                f"this port takes WebSockets, whose request has at most {LONGEST_HEAD} bytes",
            )
        # Only the request: frames behind it are for the conversation, if the caller is allowed.
        protocol.receive_data(head[begin:end])
        if request := received_request(protocol):
            return request, bytes(head[end:])


def _own_address(connection: socket.socket) -> str:
    """The address of this end of the connection, which may stand in the request's Host."""
    name = connection.getsockname()  # a path for a UNIX socket
    return str(name[0]) if isinstance(name, tuple) else str(name)
