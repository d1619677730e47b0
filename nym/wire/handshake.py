"""The HTTP request that opens a WebSocket, and its answer (RFC 6455, section 4.2).

docs/protocol/sockets.md, "WebSocket".
"""

import binascii
from collections.abc import Mapping

from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import AcceptConnection
from wsproto.handshake import H11Handshake
from wsproto.utilities import RemoteProtocolError

from nym.errors import HandshakeError

BAD_REQUEST = "400 Bad Request"
FORBIDDEN = "403 Forbidden"
UPGRADE_REQUIRED = "426 Upgrade Required"
VERSION = "13"
_KEY_LENGTH = 16
# All that the answer depends on. Subprotocols and extensions are never agreed on: there are no
# subprotocols, and compressed lengths would tell of what is in a message.
_NEEDED = ("connection", "upgrade", "sec-websocket-version", "sec-websocket-key")


def open_websocket(
    method: str, version: str, headers: Mapping[str, str]
) -> tuple[bytes, Connection]:
    """(what to answer, the frames from then on). `headers` have names in lower case.

    Raises HandshakeError.
    """
    if "upgrade" not in headers:
        raise HandshakeError(UPGRADE_REQUIRED, "a WebSocket is here, and nothing else")
    if (method, version) != ("GET", "HTTP/1.1"):
        raise HandshakeError(BAD_REQUEST, "a WebSocket is opened with GET, in HTTP/1.1")
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        raise HandshakeError(BAD_REQUEST, "a request that opens a WebSocket has no body")
    needed = {name: headers[name] for name in _NEEDED if name in headers}
    for name, value in needed.items():
        if not (value.isascii() and value.isprintable()):
            raise HandshakeError(BAD_REQUEST, f"the header {name} has bytes that it can't have")
    _check_key(needed.get("sec-websocket-key", ""))
    handshake = H11Handshake(ConnectionType.SERVER)
    try:
        handshake.initiate_upgrade_connection(
            # Whose Host it was has been checked; what wsproto asks for is that there is one.
            [("Host", "localhost"), *needed.items()],  # type: ignore[list-item]
            "/",
        )
    except RemoteProtocolError as error:
        is_old = needed.get("sec-websocket-version", VERSION) != VERSION
        raise HandshakeError(UPGRADE_REQUIRED if is_old else BAD_REQUEST, str(error)) from error
    answer = handshake.send(AcceptConnection())
    if handshake.connection is None:
        raise AssertionError("an accepted handshake has a connection")
    return answer, handshake.connection


def _check_key(key: str) -> None:
    try:
        length = len(binascii.a2b_base64(key, strict_mode=True))
    except binascii.Error:
        length = 0
    if length != _KEY_LENGTH:
        raise HandshakeError(BAD_REQUEST, f"Sec-WebSocket-Key is {_KEY_LENGTH} bytes, in base64")
