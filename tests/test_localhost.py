"""The resolver answers for localhost itself, and leaves all other names to the system.

Otherwise a name server or a file of the system could say that localhost is another machine.
"""

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

    def find(name: str, family: int = 0) -> list[Any]:
        found = resolver.getaddrinfo(name, 80, family, socket.SOCK_STREAM)
        return [address[4][0] for address in found]

    assert find("localhost") == ["127.0.0.1", "::1"]
    assert find("LOCALHOST.", socket.AF_INET6) == ["::1"]
    assert find("localhost", socket.AF_INET) == ["127.0.0.1"]
    assert find("127.0.0.3") == ["127.0.0.3"]
    assert resolver.gethostbyname("localhost.") == ADDRESS
    with pytest.raises(socket.gaierror):
        find("localhost", socket.AF_UNIX)


@pytest.mark.parametrize("name", ["x..y", "a" * 64 + ".example", "\ud800", ".", "no-such.invalid"])
def test_a_name_that_is_none_is_an_error_of_the_resolver_and_prints_nothing(
    name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    resolver = Resolver(gevent.get_hub())
    with pytest.raises(socket.gaierror):
        resolver.getaddrinfo(name, 80)
    with pytest.raises(socket.gaierror):
        resolver.gethostbyname(name)
    gevent.sleep(0.01)  # time for gevent to print an error of a thread, which would be wrong
    assert capfd.readouterr().err == ""
