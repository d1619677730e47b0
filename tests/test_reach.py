"""Which addresses a directory may list, compared with what Python's module says about each."""

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nym.reach import Reach, obstacle_to_address

# The special-purpose IPv4 addresses (RFC 6890 and its updates, IANA's registry).
SPECIAL = [
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
    *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24"),
    *("192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15"),
    *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32"),
]


def is_plain(address: IPv4Address) -> bool:
    """Whether it is an address like nearly all others, as far as Python knows."""
    return address.is_global and not (
        address.is_multicast or address.is_reserved or address.is_link_local
    )


def edges() -> list[IPv4Address]:
    """The first and last address of each special network, and those beside them."""
    numbers = set()
    for network in map(IPv4Network, SPECIAL):
        for end in (int(network[0]), int(network[-1])):
            numbers |= {end - 1, end, end + 1}
    return [IPv4Address(number) for number in sorted(numbers) if 0 <= number < 1 << 32]


@given(st.integers(0, (1 << 32) - 1))
def test_a_public_directory_lists_public_addresses_alone(number: int) -> None:
    address = IPv4Address(number)
    assert is_plain(address) == (not obstacle_to_address(str(address), Reach.PUBLIC))


@pytest.mark.parametrize("address", edges(), ids=str)
def test_special_addresses_are_recognised_to_their_edges(address: IPv4Address) -> None:
    assert is_plain(address) == (not obstacle_to_address(str(address), Reach.PUBLIC))


@pytest.mark.parametrize("first", range(256))
def test_every_first_byte_is_judged_as_python_does(first: int) -> None:
    address = IPv4Address((first << 24) + 0x808080)
    assert is_plain(address) == (not obstacle_to_address(str(address), Reach.PUBLIC))
