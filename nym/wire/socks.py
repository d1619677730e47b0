"""SOCKS 5, as a client speaks it: RFC 1928, with the user name and password of RFC 1929.

    client -> proxy   5 | number of methods | methods
    proxy -> client   5 | method
    client -> proxy   1 | length | user | length | password    if the proxy chose LOGIN
    proxy -> client   1 | 0 if they are right
    client -> proxy   5 | 1: connect | 0 | kind | host | port
    proxy -> client   5 | 0 if it is connected, else why not | 0 | kind | host | port

A host is an IPv4 address, an IPv6 address, or a name with its length. The proxy looks up names. The
host in the last answer is an address of the proxy itself, of which nothing but the length matters.
"""

import ipaddress
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from nym.errors import RemoteFormatError
from nym.wire.addresses import NodeAddress, split_host

# Other programs look up names themselves for socks5://, and let the proxy do it for socks5h://.
# Here, the proxy always does it.
SCHEMES = ("socks5", "socks5h")
PORT = 1080  # RFC 1928, section 3

OPEN, LOGIN, NONE_FITS = 0, 2, 0xFF  # methods
CONNECTED = 0
METHOD_LENGTH = 2  # bytes of the answer that names a method
LOGIN_LENGTH = 2  # bytes of the answer to a user name and password
HEAD_LENGTH = 5  # bytes of the last answer up to the first byte of its host
_VERSION, _LOGIN_VERSION = 5, 1
_CONNECT = 1
_IPV4, _NAME, _IPV6 = 1, 3, 4
_FORM = "a proxy is named by a URL such as socks5://127.0.0.1:9050"
_LONGEST = 255  # bytes of a name, a user name or a password: their lengths are one byte


class ProxyUrl(NamedTuple):
    """Where a proxy is, and who asks it; without a user name, `user` is empty."""

    host: str
    port: int
    user: str
    password: str

    def __str__(self) -> str:
        """What is shown to people."""
        return f"{SCHEMES[0]}://{NodeAddress(self.host, self.port)}"


def parse_proxy_url(text: str) -> ProxyUrl:
    """Read `socks5://[USER:PASSWORD@]HOST[:PORT]`.

    Raises ValueError, whose text is the reason and never quotes a password.
    """
    if not text.isprintable() or " " in text:
        raise ValueError("a proxy's URL has no white space and no control characters")
    try:
        url = urlsplit(text)
        port = PORT if url.port is None else url.port
        host, port = split_host(str(NodeAddress(url.hostname or "", port)))
    except (ValueError, RemoteFormatError):
        raise ValueError(_FORM) from None  # the error inside may quote the password
    if url.scheme not in SCHEMES or not port:
        raise ValueError(_FORM)
    if url.path not in ("", "/") or url.query or url.fragment:
        raise ValueError("a proxy's URL has a user, a password, a host and a port, nothing else")
    user, password = unquote(url.username or ""), unquote(url.password or "")
    if password and not user:
        raise ValueError("a password for the proxy needs a user name")
    if max(len(user.encode()), len(password.encode())) > _LONGEST:
        raise ValueError(f"a user name or a password for a proxy has at most {_LONGEST} bytes")
    return ProxyUrl(host, port, user, password)


def encode_greeting(url: ProxyUrl) -> bytes:
    """The methods that the client offers. It can always do without a password."""
    methods = [OPEN, LOGIN] if url.user else [OPEN]
    return bytes([_VERSION, len(methods), *methods])


def decode_method(data: bytes) -> int:
    """The method that the proxy chose. Raises RemoteFormatError."""
    if len(data) != METHOD_LENGTH or data[0] != _VERSION:
        raise RemoteFormatError("this is no SOCKS 5")
    return data[1]


def encode_login(url: ProxyUrl) -> bytes:
    """The user name and the password."""
    parts = [part.encode() for part in (url.user, url.password)]
    return bytes([_LOGIN_VERSION]) + b"".join(bytes([len(part)]) + part for part in parts)


def decode_login(data: bytes) -> bool:
    """Whether they are right. Raises RemoteFormatError."""
    if len(data) != LOGIN_LENGTH or data[0] != _LOGIN_VERSION:
        raise RemoteFormatError("this is no answer to a password")
    return data[1] == 0


def encode_request(host: str, port: int) -> bytes:
    """Ask for a connection to an IP address or a name. Raises RemoteFormatError."""
    head = bytes([_VERSION, _CONNECT, 0])
    return head + _encode_host(host) + port.to_bytes(2, "big")


def decode_reply(head: bytes) -> tuple[int, int]:
    """(CONNECTED or the reason why not, how many bytes follow the head).

    Raises RemoteFormatError.
    """
    if len(head) != HEAD_LENGTH or head[0] != _VERSION:
        raise RemoteFormatError("this is no answer to a request")
    # The head has the first byte of the host; a port of two bytes stands behind it.
    lengths = {_IPV4: 4 - 1, _IPV6: 16 - 1, _NAME: head[4]}
    if head[3] not in lengths:
        raise RemoteFormatError(f"there is no address of the kind {head[3]}")
    return head[1], lengths[head[3]] + 2


def _encode_host(host: str) -> bytes:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.encode()
        if not 0 < len(name) <= _LONGEST:
            raise RemoteFormatError(f"a name has 1 to {_LONGEST} bytes, not {len(name)}") from None
        return bytes([_NAME, len(name)]) + name
    return bytes([_IPV4 if address.version == 4 else _IPV6]) + address.packed
