"""Who may talk to a local HTTP socket (docs/protocol/sockets.md, "Who may talk").

Any page in the user's browser can make it connect to this machine. Its Origin header, which no page
can change, says where the page came from; a Host header that isn't this machine's gives away a name
that somebody let point here (DNS rebinding).
"""

import re
from collections.abc import Collection
from typing import NamedTuple

from nym.wire.addresses import is_loopback

# What a browser says of a page that is a file, Electron's among them. `null` it says of many pages
# that no file is, so that is a web site like any other.
FILE = "file://"
_HOST = r"(\[[0-9A-Fa-f:.]+\]|[^\s:/?#@\[\]]+)(?::([0-9]{1,5}))?"
_AUTHORITY = re.compile(_HOST)
_ORIGIN = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://" + _HOST)
_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """Where a page came from; the port is None where neither it nor the scheme names one."""

    scheme: str
    host: str
    port: int | None


def parse_origin(text: str) -> Origin:
    """The origin in `scheme://host` or `scheme://host:port`. Raises ValueError."""
    match = _ORIGIN.fullmatch(text)
    if match is None:
        raise ValueError("an origin is a scheme and a host, such as https://chat.example")
    scheme, host, port = match.groups()
    if port and int(port) > 65535:
        raise ValueError(f"there is no port {port}")
    scheme = scheme.lower()
    return Origin(scheme, _name(host), int(port) if port else _PORTS.get(scheme))


def is_own_host(host: str, own: Collection[str]) -> bool:
    """Whether a Host header names this machine: as loopback, or as one of `own`."""
    match = _AUTHORITY.fullmatch(host)
    return match is not None and (is_loopback(_name(match[1])) or _name(match[1]) in own)


def is_welcome(origin: str | None, allowed: Collection[Origin]) -> bool:
    """Whether a page of this origin, or a program, which has none, may talk."""
    if origin in (None, FILE):
        return True
    try:
        parsed = parse_origin(origin)
    except ValueError:
        return False
    return parsed in allowed or (parsed.scheme in _PORTS and is_loopback(parsed.host))


def _name(host: str) -> str:
    return host.strip("[]").lower()
