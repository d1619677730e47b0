"""Which IP addresses a directory may list for its nodes (docs/protocol/directory.md, "Addresses").

A directory may list nodes that are as near to the client as the directory itself, or further away,
but none that are nearer. Otherwise, anyone who can post to a directory on the internet could make
clients connect to services on their own machines and private networks.
"""

from enum import IntEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

from nym.wire.addresses import meant, parse_ip

_THIS_NETWORK = 0  # the first byte of 0.0.0.0/8 (RFC 1122, section 3.2.1.3)
# The first bytes of all IPv4 addresses that are special in any way (IANA's registry). Asking for
# each kind takes long for thousands of nodes, so it is done for these alone.
_SPECIAL = frozenset((_THIS_NETWORK, 10, 100, 127, 169, 172, 192, 198, 203, *range(224, 256)))


class Reach(IntEnum):
    """Where an address can be used: everywhere, in one private network, or on one machine."""

    PUBLIC = 0
    PRIVATE = 1
    LOOPBACK = 2


def reach_of(ip: str) -> Reach:
    """The reach of an IP address, which may have a scope, as in fe80::1%eth0."""
    address = meant(ip.partition("%")[0])
    if address.is_loopback:
        return Reach.LOOPBACK
    # Python calls the old site-local addresses (deprecated by RFC 3879) global.
    is_site_local = isinstance(address, IPv6Address) and address.is_site_local
    return Reach.PUBLIC if address.is_global and not is_site_local else Reach.PRIVATE


@lru_cache(maxsize=1 << 16)  # the directory's answer, every ten seconds, has mostly the same ones
def obstacle_to_address(ip: str, directory: Reach) -> str:
    """Why a node that this directory lists can't be at this address; empty if it can.

    The text follows "1 node" in a sentence.
    """
    address = parse_ip(ip)
    if isinstance(address, IPv4Address) and int(address) >> 24 not in _SPECIAL:
        return ""
    if _is_nowhere(address):
        return "at an address that no node can have"
    reach = reach_of(ip)
    if reach <= directory:
        return ""
    if reach is Reach.LOOPBACK:
        return "at a loopback address, which only a directory on this machine may list"
    return "at a private address, which only a directory in a private network may list"


def _is_nowhere(address: IPv4Address | IPv6Address) -> bool:
    """Whether no node can be at this address.

    Nobody listens there, or several machines do, or it stands for an IPv4 address and would bypass
    the rules for that one.
    """
    if isinstance(address, IPv4Address):
        is_odd = address.packed[0] == _THIS_NETWORK
    else:
        # Mapped, 6to4 and Teredo addresses contain an IPv4 address, which may be any. Another form
        # that does, such as 64:ff9b::7f00:1, counts as reserved below.
        is_odd = any((address.ipv4_mapped, address.sixtofour, address.teredo))
    if is_odd or address.is_loopback:  # ::1 counts as reserved, too
        return is_odd
    return (
        address.is_unspecified
        or address.is_multicast
        or address.is_link_local
        or address.is_reserved
    )
