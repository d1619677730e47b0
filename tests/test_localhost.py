"""localhost is this machine: what is asked of the system, and what isn't."""

import socket
from typing import Any

import gevent
import pytest

from nym.net.localhost import ADDRESS, Resolver, numeric


@pytest.mark.parametrize("name", ["localhost", "LocalHost", "localhost.", b"localhost"])
def test_localhost_is_not_asked_for(name: str | bytes) -> None:
    assert numeric(name) == ADDRESS


@pytest.mark.parametrize(
    "name", ["localhost.example", "notlocalhost", "127.0.0.2", "::1", "", b"example", b"\xff", None]
)
def test_any_other_name_is_left_to_the_system(name: Any) -> None:
    assert numeric(name) is name


def test_the_program_looks_names_up_with_it() -> None:
    resolver = Resolver(gevent.get_hub())
    found = resolver.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)
    assert [address[4] for address in found] == [(ADDRESS, 80)]
    assert resolver.gethostbyname("localhost.") == ADDRESS
    assert resolver.getaddrinfo("127.0.0.3", 0)[0][4][0] == "127.0.0.3"
