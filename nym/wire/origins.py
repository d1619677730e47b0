"""Who may use a local HTTP socket (docs/protocol/sockets.md, "Who may connect").

Any page in the user's browser can make the browser connect to this machine. Two headers, which
pages can't change, show that. Origin says where the page came from. Host has the name that the page
used: if it isn't a name of this machine, somebody made their own name point here (DNS rebinding),
so that the browser takes this socket for a part of their site.
"""

import re
from collections.abc import Collection
from typing import NamedTuple

from nym.wire.addresses import is_loopback

# The origin that browsers send for pages from files, such as Electron's. Browsers also send `null`
# for some of these, but for many other pages as well, so `null` is treated like a web site.
FILE = "file://"
_HOST = r"(\[[0-9A-Fa-f:.]+\]|[^\s:/?#@\[\]]+)(?::([0-9]{1,5}))?"
_AUTHORITY = re.compile(_HOST)
_ORIGIN = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://" + _HOST)
_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """Where a page came from. The port is None if neither the text nor the scheme gives one."""

    scheme: str
    host: str
    port: int | None


def parse_origin(text: str) -> Origin:
    """The origin in `scheme://host` or `scheme://host:port`. Raises ValueError."""
    match = _ORIGIN.fullmatch(text)
    if match is None:
        raise ValueError("an origin has a scheme and a host, such as https://chat.example")
    scheme, host, port = match.groups()
    if port and int(port) > 65535:
        raise ValueError(f"there is no port {port}")
    scheme = scheme.lower()
    return Origin(scheme, _name(host), int(port) if port else _PORTS.get(scheme))


def is_own_host(host: str, own: Collection[str]) -> bool:
    """Whether a Host header names this machine: a loopback name or address, or one of `own`."""
    match = _AUTHORITY.fullmatch(host)
    return match is not None and (is_loopback(_name(match[1])) or _name(match[1]) in own)


def is_same(origin: str | None, host: str) -> bool:
    """Whether a page with this Origin header was loaded from where it now connects to.

    `host` is the request's Host header.
    """
    try:
        # Without a port, it is that of the scheme, in both headers.
        return origin is not None and parse_origin(origin) == parse_origin(f"http://{host}")
    except ValueError:
        return False


def is_welcome(origin: str | None, allowed: Collection[Origin]) -> bool:
    """Whether a caller with this Origin header may use the socket; programs send none (None)."""
    if origin in (None, FILE):
        return True
    try:
        parsed = parse_origin(origin)
    except ValueError:
        return False
    return parsed in allowed or (parsed.scheme in _PORTS and is_loopback(parsed.host))


def _name(host: str) -> str:
    return host.strip("[]").lower()
