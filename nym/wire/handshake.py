"""The HTTP request that opens a WebSocket, and its answer (RFC 6455, section 4.2).

The websockets library parses the request and the frames after it, without I/O. This module decides
whose requests are accepted (docs/protocol/sockets.md, "WebSocket" and "Who may connect").
"""

import logging
import re
from collections.abc import Collection, Mapping
from http import HTTPStatus
from urllib.parse import parse_qs

from websockets.datastructures import Headers, MultipleValuesError
from websockets.http11 import Request, Response
from websockets.protocol import Protocol, Side
from websockets.server import ServerProtocol

from nym.errors import HandshakeError
from nym.wire.origins import Origin, is_own_host, is_same, is_welcome
from nym.wire.sizes import LONGEST_FRAME

LONGEST_HEAD = 1 << 14  # bytes of a request; bounds what is kept of one that never ends
VERSION = "13"
HEAD_END = b"\r\n\r\n"
_BEARER = re.compile(r"Bearer +(\S+)", re.IGNORECASE)  # RFC 6750

log = logging.getLogger(__name__)
log.setLevel(logging.ERROR)  # at debug level, the library logs messages, which are private


def new_protocol() -> ServerProtocol:
    """The state of a connection that has sent nothing yet.

    No extensions are accepted, because the length of compressed data would reveal something about
    the content of a message. No subprotocols are, either.
    """
    return ServerProtocol(max_size=LONGEST_FRAME, logger=log)


def received_request(protocol: ServerProtocol) -> Request | None:
    """The request, once it has been received. Raises HandshakeError if it can't be one."""
    if error := protocol.handshake_exc:
        raise HandshakeError(
            HTTPStatus.BAD_REQUEST,
            f"this port takes WebSockets ({error.__cause__ or error}); for requests without HTTP, "
            "run nym-client tcpsocket",
        )
    for event in protocol.events_received():
        if isinstance(event, Request):
            return event
    return None


def check_caller(
    request: Request, own_hosts: Collection[str], allowed_origins: Collection[Origin]
) -> None:
    """Raises HandshakeError if the caller may not use this socket."""
    try:
        host, origin = request.headers.get("Host"), request.headers.get("Origin")
    except MultipleValuesError as error:
        raise HandshakeError(
            HTTPStatus.FORBIDDEN, "a request must have one Host header, and at most one Origin"
        ) from error
    if host is None:
        raise HandshakeError(HTTPStatus.BAD_REQUEST, "a request must have a Host header")
    if not is_own_host(host, own_hosts):
        raise HandshakeError(
            HTTPStatus.FORBIDDEN,
            "the Host header has to name this machine, such as 127.0.0.1 or localhost",
        )
    if not is_welcome(origin, allowed_origins):
        raise HandshakeError(
            HTTPStatus.FORBIDDEN,
            "a web site may talk to this client only if its origin is one of "
            "socket.allowed_origins in config.toml",
        )


def wants_file(request: Request) -> bool:
    """Whether a browser asks for a file of a page, and not for a WebSocket."""
    return request.method in ("GET", "HEAD") and "Upgrade" not in request.headers


def is_of_own_page(request: Request) -> bool:
    """Whether the page that asks was loaded from this socket; call `check_caller` first."""
    return is_same(request.headers.get("Origin"), request.headers["Host"])


def accept(protocol: ServerProtocol, request: Request) -> Response:
    """The answer that opens the WebSocket, or says why it can't be opened."""
    response = protocol.accept(request)
    if response.status_code == HTTPStatus.BAD_REQUEST and not _has_version(request):
        response.headers["Sec-WebSocket-Version"] = VERSION  # RFC 6455, 4.4
    return response


def answer_to(path: str, headers: Mapping[str, str]) -> Response:
    """The answer to a request of anybody, which something else has parsed; as that of `accept`.

    `headers` are those about WebSockets.
    """
    return accept(new_protocol(), Request(path, Headers(headers)))


def opened_protocol(longest: int) -> Protocol:
    """The state of a WebSocket that is open already; a message has at most `longest` bytes."""
    return Protocol(Side.SERVER, max_size=longest, logger=log)


def refuse(protocol: ServerProtocol, error: HandshakeError) -> bytes:
    """The answer to a request that doesn't open a WebSocket."""
    response = protocol.reject(error.status, f"{error}\n")
    if error.status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"  # RFC 9110, 11.6.1
    return response.serialize()


def token_of(request: Request) -> str | None:
    """What the request shows as a token: in its header Authorization, else in its URL.

    Pages can't set the headers of a WebSocket, so they take the URL. It isn't kept anywhere.
    """
    if headers := request.headers.get_all("Authorization"):
        match = _BEARER.fullmatch(headers[0])
        return match[1] if match and len(headers) == 1 else None
    shown = parse_qs(request.path.partition("?")[2]).get("token", [])
    return shown[0] if len(shown) == 1 else None


def _has_version(request: Request) -> bool:
    return request.headers.get_all("Sec-WebSocket-Version") == [VERSION]
