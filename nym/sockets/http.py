"""A socket that speaks HTTP: who may talk, and a WebSocket for them.

docs/protocol/sockets.md, "WebSocket".
"""

import io
import logging
from typing import Any

import gevent
from gevent.pool import Pool
from gevent.pywsgi import WSGIHandler, WSGIServer

from nym.errors import HandshakeError
from nym.sockets.connection import MOST_CONNECTIONS, converse, write
from nym.sockets.conversation import Conversation
from nym.sockets.local import LocalSocket, Place
from nym.sockets.websocket import WebSocketConversation
from nym.wire.handshake import BAD_REQUEST, FORBIDDEN, VERSION, open_websocket
from nym.wire.origins import Origin, is_own_host, is_welcome, parse_origin

HANDSHAKE_TIME = 10.0  # seconds in which a request has to be complete, and its answer read
LONGEST_HEAD = 1 << 14  # bytes of all headers together

HANDLER = "nym.handler"
_REFUSAL = [
    ("Connection", "close"),
    ("Content-Type", "text/plain; charset=utf-8"),
    ("Sec-WebSocket-Version", VERSION),
]
_NO_HTTP = "a WebSocket is here; for requests without HTTP, run nym-client tcpsocket\n"

log = logging.getLogger(__name__)


class WebSocket(LocalSocket):
    """Opens a WebSocket for whoever may talk."""

    kind = "websocket"

    @property
    def _allowed_origins(self) -> frozenset[Origin]:
        return frozenset(map(parse_origin, self._settings.allowed_origins))

    def _make_server(self, place: Place) -> WSGIServer:
        return WSGIServer(
            place,
            self._answer,
            spawn=Pool(MOST_CONNECTIONS),
            handler_class=_Handler,
            log=None,
            error_log=None,  # it would quote what was sent here
        )

    def _answer(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        """The WSGI application."""
        handler: _Handler = environ[HANDLER]
        headers = {
            name.removeprefix("HTTP_").replace("_", "-").lower(): value
            for name, value in environ.items()
            if name.startswith(("HTTP_", "CONTENT_"))
        }
        try:
            self.check_caller(headers, handler.own_address())
            answer, frames = open_websocket(
                environ["REQUEST_METHOD"], environ["SERVER_PROTOCOL"], headers
            )
        except HandshakeError as error:
            start_response(error.status, _REFUSAL)
            return [f"{error}\n".encode()]
        handler.hand_over(
            answer, WebSocketConversation(self._service, frames, environ["PATH_INFO"])
        )
        return []

    def check_caller(self, headers: dict[str, str], own_address: str) -> None:
        """Raises HandshakeError for who may not talk; the connection ends at `own_address`."""
        host, origin = headers.get("host"), headers.get("origin")
        if host is None:
            raise HandshakeError(BAD_REQUEST, "a request has a Host")
        if not is_own_host(host, {own_address, self._settings.host}):
            raise HandshakeError(FORBIDDEN, "the Host has to be this machine's, as in 127.0.0.1")
        if not is_welcome(origin, self._allowed_origins):
            raise HandshakeError(
                FORBIDDEN,
                "a web site may talk to this client only if its origin is one of "
                "socket.allowed_origins in config.toml",
            )


class _Handler(WSGIHandler):
    """gevent's, with an end to its patience, limits, and a way out of HTTP."""

    def handle(self) -> None:
        slow = TimeoutError(f"no request within {HANDSHAKE_TIME:g} s")
        try:
            with gevent.Timeout(HANDSHAKE_TIME, slow) as self._patience:
                super().handle()
        except OSError as error:
            log.debug("an application's connection ended: %s", error)

    def get_environ(self) -> dict[str, Any]:
        return {**super().get_environ(), HANDLER: self}

    def own_address(self) -> str:
        """Where the connection ends, on this side."""
        name = self.socket.getsockname()
        return str(name[0]) if isinstance(name, tuple) else str(name)

    def hand_over(self, answer: bytes, conversation: Conversation) -> None:
        """What comes behind `answer` is no HTTP."""
        self._patience.close()
        self.close_connection = True
        self.response_length = len(answer)
        try:
            write(self.socket, answer)
            converse(self.socket, conversation, self.rfile.read1)
        except OSError as error:
            log.debug("an application's connection ended: %s", error)

    def MessageClass(self, fp: Any, *arguments: Any) -> Any:  # noqa: N802
        return super().MessageClass(_Limited(fp), *arguments)

    def _handle_client_error(self, error: Exception) -> tuple[str, bytes]:
        # gevent's own would write what was sent here into the log.
        text = f"{error}\n" if isinstance(error, OSError) else _NO_HTTP
        head = [f"HTTP/1.1 {BAD_REQUEST}", *(f"{name}: {value}" for name, value in _REFUSAL)]
        head.append(f"Content-Length: {len(text)}")
        return BAD_REQUEST, ("\r\n".join(head) + "\r\n\r\n" + text).encode()


class _Limited(io.BufferedIOBase):
    """The lines of a request's head, as far as they are not too many."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._left = LONGEST_HEAD

    def readline(self, size: int | None = -1, /) -> bytes:
        line: bytes = self._file.readline(self._left + 1)
        self._left -= len(line)
        if self._left < 0:
            raise ValueError("too many headers")
        return line
