"""Connections through a SOCKS proxy (nym/wire/socks.py). Names are looked up by the proxy.

What goes wrong before the proxy has a request is its fault or the user's, and so is an answer about
itself: these are ProxyErrors, for which no node is blamed. Once it has the request, a connection
that isn't made says as much about the node as one that isn't made directly. So if the proxy then
stays silent, breaks off, or answers that the node can't be reached, that is an UnreachableError.
"""

import socket
import time
from typing import Any

import gevent

from nym.errors import ProxyError, RemoteFormatError, UnreachableError
from nym.net.descriptors import lack_of_descriptors
from nym.net.streams import closed_on_error, read_to_end
from nym.wire.addresses import NodeAddress
from nym.wire.socks import (
    CONNECTED,
    HEAD_LENGTH,
    LOGIN,
    LOGIN_LENGTH,
    METHOD_LENGTH,
    NONE_FITS,
    OPEN,
    ProxyUrl,
    decode_login,
    decode_method,
    decode_reply,
    encode_greeting,
    encode_login,
    encode_request,
)

PATIENCE = 4.0  # seconds for the proxy itself, until it has taken a request; less than any exchange
LIFETIME = 60.0  # seconds for which the addresses of the proxy's own name are used

# What the proxy's answers say (RFC 1928, section 6): first about the other end, then about itself.
_ABOUT_PEER = {
    2: "the proxy's rules don't allow connections there",
    3: "its network is unreachable",
    4: "its host is unreachable",
    5: "connection refused",
    6: "it did not answer in time",
    8: "the proxy doesn't connect to addresses of this kind",
}
_ABOUT_PROXY = {
    1: "reports a failure of its own",
    7: "doesn't make connections for others",
}


class SocksProxy:
    """A proxy that makes connections for this process."""

    def __init__(self, url: ProxyUrl) -> None:
        self._url = url
        self._places: list[Any] = []  # as getaddrinfo has them
        self._until = 0.0  # the monotonic time at which the proxy's name is looked up again

    def __str__(self) -> str:
        return f"the proxy {self._url}"

    def connect(self, host: str, port: int) -> socket.socket:
        """A connection to an IP address or a name. Raises UnreachableError, ProxyError.

        The caller limits how long the proxy may take for it.
        """
        peer, request = NodeAddress(host, port), encode_request(host, port)
        with gevent.Timeout(PATIENCE, ProxyError(f"{self} did not answer within {PATIENCE:g} s")):
            connection = self._ask(request)
        with closed_on_error(connection):
            try:
                self._read_reply(connection, peer)
            except OSError as error:
                raise UnreachableError(f"{peer} can't be reached by {self}: {error}") from error
        return connection

    def _ask(self, request: bytes) -> socket.socket:
        """Connect to the proxy, and hand it the request. Raises ProxyError."""
        try:
            connection = self._reach()
            with closed_on_error(connection):
                self._greet(connection)
                connection.sendall(request)
        except OSError as error:
            lack = lack_of_descriptors(error)
            raise lack or ProxyError(f"{self} can't be reached: {error}") from error
        except RemoteFormatError as error:
            raise ProxyError(f"{self} gives an answer that can't be read: {error}") from error
        return connection

    def _reach(self) -> socket.socket:
        """A connection to one of the proxy's addresses. Raises OSError."""
        now = time.monotonic()
        if now >= self._until:
            at = self._url
            self._places = socket.getaddrinfo(at.host, at.port, type=socket.SOCK_STREAM)
            self._until = now + LIFETIME
        *others, last = ((family, place) for family, _, _, _, place in self._places)
        for family, place in others:
            try:
                return _dial(family, place)
            except OSError as error:
                if lack_of_descriptors(error):  # the others would fail in the same way
                    raise
        return _dial(*last)

    def _greet(self, connection: socket.socket) -> None:
        """Agree on a method, and give the user name and password if the proxy wants them."""
        connection.sendall(encode_greeting(self._url))
        method = decode_method(self._read(connection, METHOD_LENGTH))
        if method == LOGIN and self._url.user:
            connection.sendall(encode_login(self._url))
            if not decode_login(self._read(connection, LOGIN_LENGTH)):
                raise ProxyError(f"{self} refuses the user name or the password")
        elif method in (LOGIN, NONE_FITS):
            example = "a user name and a password, as in socks5://USER:PASSWORD@HOST:PORT"
            needs = "another kind of login" if self._url.user else example
            raise ProxyError(f"{self} wants {needs}")
        elif method != OPEN:
            raise ProxyError(f"{self} chose a method that wasn't offered")

    def _read_reply(self, connection: socket.socket, peer: NodeAddress) -> None:
        """Raises UnreachableError, OSError."""
        try:
            reply, rest = decode_reply(self._read(connection, HEAD_LENGTH))
        except RemoteFormatError as error:
            raise ProxyError(f"{self} gives an answer that can't be read: {error}") from error
        if reply in _ABOUT_PEER:
            raise UnreachableError(f"{peer} can't be reached by {self}: {_ABOUT_PEER[reply]}")
        if reply != CONNECTED:
            what = _ABOUT_PROXY.get(reply, f"answers with the unknown code {reply}")
            raise ProxyError(f"{self} {what}, and didn't connect to {peer}")
        self._read(connection, rest)

    def _read(self, connection: socket.socket, length: int) -> bytes:
        """Exactly so many bytes: what follows comes from the other end. Raises OSError."""
        read = b"".join(read_to_end(connection, length))
        if len(read) < length:
            raise ConnectionError("it closed the connection")
        return read


def _dial(family: int, place: Any) -> socket.socket:
    connection = socket.socket(family, socket.SOCK_STREAM)
    with closed_on_error(connection):
        connection.connect(place)
    return connection
