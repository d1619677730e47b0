"""The address of a node: as text in the directory, and as 32 bytes in a Sphinx header.

The 32 bytes (docs/protocol/sphinx.md, "Node addresses"):

    type 0x04 or 0x06 | port 2 | IPv4 4 or IPv6 16 | zeros
"""

import ipaddress
import re
from functools import lru_cache
from typing import NamedTuple

from nym.errors import RemoteFormatError
from nym.wire.sizes import ADDRESS_LENGTH
from nym.wire.text import visible

_LONGEST_NAME = 253  # characters of a host name (RFC 1035: 255 bytes on the wire)
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*", re.ASCII)
_SHOWN = 80  # characters of an invalid address that an error shows
# Whose forms are remembered. The directory's answer, every ten seconds, has mostly the same ones.
_MOST_HOSTS = 1 << 14
_LONGEST_IP = 45  # characters: ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255
_parse_ip = lru_cache(_MOST_HOSTS)(ipaddress.ip_address)

UNIX = "unix:"  # before a path, in the place of a host, it means a UNIX socket

_FAMILIES: dict[int, type[ipaddress.IPv4Address] | type[ipaddress.IPv6Address]] = {
    4: ipaddress.IPv4Address,
    6: ipaddress.IPv6Address,
}


_SITE = 64  # bits of an IPv6 address; one site usually has all addresses that share them
_MAPPED = "::ffff:"  # before an IPv4 address, where a server listens for both kinds


class NodeAddress(NamedTuple):
    """An IP address as text in its usual form, and a port."""

    ip: str
    port: int

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if ":" in self.ip else f"{self.ip}:{self.port}"


def parse_ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The IP address, which may have a scope. Raises ValueError."""
    # A directory's addresses are looked at several times each: whether it is one, how it is usually
    # written, and who may list it. A scope may be very long, so that isn't remembered.
    return (_parse_ip if len(text) <= _LONGEST_IP else ipaddress.ip_address)(text)


@lru_cache(_MOST_HOSTS)
def machine_at(ip: str) -> str:
    """The machine that seems to have this address, or the site where it is.

    It is an IPv4 address, or the first 64 bits of an IPv6 address, as text.
    """
    if ":" not in ip:
        return ip
    if ip.startswith(_MAPPED) and "." in ip:
        return ip.removeprefix(_MAPPED)
    return str(ipaddress.IPv6Network((ip.partition("%")[0], _SITE), strict=False))


@lru_cache(_MOST_HOSTS)
def encode_address(address: NodeAddress) -> bytes:
    """The address as 32 bytes."""
    ip = parse_ip(address.ip)
    head = bytes([ip.version]) + address.port.to_bytes(2, "big") + ip.packed
    return head.ljust(ADDRESS_LENGTH, b"\0")


@lru_cache(_MOST_HOSTS)
def decode_address(data: bytes) -> NodeAddress:
    """The address that these 32 bytes stand for. Raises RemoteFormatError."""
    if len(data) != ADDRESS_LENGTH:
        raise RemoteFormatError(f"a node address has {ADDRESS_LENGTH} bytes, not {len(data)}")
    family = _FAMILIES.get(data[0])
    if family is None:
        raise RemoteFormatError(f"a node address has the unknown type {data[0]}; known are 4 and 6")
    end = 3 + family(0).max_prefixlen // 8
    if any(data[end:]):
        raise RemoteFormatError("a node address is followed by bytes that aren't zero")
    return NodeAddress(str(family(data[3:end])), int.from_bytes(data[1:3], "big"))


@lru_cache(_MOST_HOSTS)
def split_host(text: str) -> tuple[str, int]:
    """(name or IP, port) of `1.2.3.4:1789`, `[::1]:1789` or `mix.example:1789`.

    Raises RemoteFormatError for anything else. So callers can look the result up, and show it to
    people, without further checks.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
        raise RemoteFormatError(f"not a host and a port: {visible(text, _SHOWN)}")
    if ":" in host:
        if not (host.startswith("[") and host.endswith("]")):
            raise RemoteFormatError(f"an IPv6 address belongs in brackets: {visible(text, _SHOWN)}")
        host = host[1:-1]
        is_host = _is_ip(host)
    else:
        is_host = _is_ip(host) or is_host_name(host)
    if not is_host:
        is_scoped = is_ipv6(host) and "%" in host
        what = "the scope of an IPv6 address" if is_scoped else "neither a name nor an IP address"
        why = ", which means something on one machine only" if is_scoped else ""
        raise RemoteFormatError(f"{what}{why}: {visible(text, _SHOWN)}")
    return host, int(port)


def is_host_name(text: str) -> bool:
    """Whether this is a host name (RFC 1123, section 2.1; underscores are allowed, too).

    The last label must not be a number. The system's resolver would take 127.1, 0x7f.1 or
    2130706433 for an IPv4 address, and so bypass the rules about addresses.
    """
    labels = text.removesuffix(".").split(".")
    return (
        len(text) <= _LONGEST_NAME
        and all(_LABEL.fullmatch(label) for label in labels)
        and not _NUMBER.fullmatch(labels[-1])
    )


def _is_ip(text: str) -> bool:
    # A scope, such as %eth0, means something on one machine only, so it can't be in a directory.
    try:
        parse_ip(text)
    except ValueError:
        return False
    return "%" not in text


def bare_host(text: str) -> str:
    """A host without the brackets that an IPv6 address has in a URL, and may have elsewhere."""
    return text[1:-1] if text.startswith("[") and text.endswith("]") else text


def is_ipv6(text: str) -> bool:
    """Whether this is an IPv6 address, with or without a scope."""
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def meant(ip: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address that `ip` means: ::ffff:127.0.0.1 means 127.0.0.1 (RFC 4291, section 2.5.5.2).

    Python's own properties of such an address are those of the IPv6 address before 3.13, and those
    of the IPv4 address since then. Raises ValueError.
    """
    address = parse_ip(ip)
    return getattr(address, "ipv4_mapped", None) or address


def is_unspecified(host: str) -> bool:
    """Whether a host stands for every address of a machine: 0.0.0.0, or ::."""
    try:
        return meant(host).is_unspecified
    except ValueError:
        return False


def is_localhost(host: object) -> bool:
    """Whether `host`, as text or bytes, is "localhost".

    That name means this machine (RFC 6761), and no name server is asked about it.
    """
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    return isinstance(name, str) and name.lower().removesuffix(".") == "localhost"


def is_loopback(host: str) -> bool:
    """Whether a host name or IP address means this machine only."""
    try:
        return meant(host).is_loopback
    except ValueError:
        return host == "localhost"


@lru_cache(_MOST_HOSTS)
def parse_numeric(text: str) -> NodeAddress | None:
    """The address, or None if `text` has a host name instead. Raises RemoteFormatError."""
    host, port = split_host(text)
    try:
        return NodeAddress(str(parse_ip(host)), port)
    except ValueError:
        return None


def usual_form(text: str) -> str:
    """A text that is the same for each way to write a place, without asking a name server.

    Raises RemoteFormatError.
    """
    return str(parse_numeric(text) or text.lower())
