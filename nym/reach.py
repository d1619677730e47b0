"""From how near an IP address can be used, and which ones a node can have at all.

docs/protocol/directory.md, "Addresses". Anybody who can post to a directory could otherwise make
clients connect to services of their own machine or network that nobody else can reach. So a
directory may list nodes that are as near as itself, or further away, but none that are nearer.
"""

from enum import IntEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

_THIS_NETWORK = 0  # the first byte of 0.0.0.0/8 (RFC 1122, section 3.2.1.3)


class Reach(IntEnum):
    """Where an address means the same: everywhere, in one private network, on one machine."""

    PUBLIC = 0
    PRIVATE = 1
    LOOPBACK = 2


def reach_of(ip: str) -> Reach:
    """The reach of an address, which may have a scope."""
    address = ip_address(ip.partition("%")[0])
    if address.is_loopback:
        return Reach.LOOPBACK
    # Python takes the site-local addresses of old (RFC 3879) for global ones.
    is_site_local = isinstance(address, IPv6Address) and address.is_site_local
    return Reach.PUBLIC if address.is_global and not is_site_local else Reach.PRIVATE


@lru_cache(maxsize=1 << 16)  # a directory says the same addresses every ten seconds
def obstacle_to_address(ip: str, directory: Reach) -> str:
    """Why a node that this directory lists can't be there, as it goes on behind "a node", if so."""
    if _is_nowhere(ip_address(ip)):
        return "at an address that no node can have"
    reach = reach_of(ip)
    if reach <= directory:
        return ""
    if reach is Reach.LOOPBACK:
        return "at a loopback address, which only a directory on this machine may list"
    return "at a private address, which only a directory in a private network may list"


def _is_nowhere(address: IPv4Address | IPv6Address) -> bool:
    """Nobody listens there, or more than one machine does, or it is another address in disguise."""
    if address.is_loopback:
        return False
    if isinstance(address, IPv4Address):
        is_odd = address.packed[0] == _THIS_NETWORK
    else:
        # Of a tunnel to an IPv4 address, which may be any. Those that end with the IPv4 address,
        # such as ::ffff:127.0.0.1 and 64:ff9b::7f00:1, are reserved.
        is_odd = bool(address.sixtofour or address.teredo)
    return (
        is_odd
        or address.is_unspecified
        or address.is_multicast
        or address.is_link_local
        or address.is_reserved
    )
