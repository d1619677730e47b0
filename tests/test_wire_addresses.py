"""Addresses of nodes: as text, and as 32 bytes in a packet's header."""

import ipaddress
import json
import socket
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nym.errors import RemoteFormatError
from nym.wire.addresses import (
    NodeAddress,
    decode_address,
    encode_address,
    is_loopback,
    is_unspecified,
    parse_ip,
    parse_numeric,
    split_host,
)
from nym.wire.text import visible

CASES = json.loads((Path(__file__).parent / "vectors" / "node_addresses.json").read_text())


def test_the_set_has_cases() -> None:
    assert len(CASES) == 7


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["address"])
def test_addresses_as_published(case: dict[str, str]) -> None:
    address = parse_numeric(case["address"])
    assert address is not None
    assert encode_address(address).hex() == case["bytes"]
    assert decode_address(bytes.fromhex(case["bytes"])) == address
    assert str(address) == case["address"]


@given(st.ip_addresses(), st.integers(0, 65535))
def test_addresses_survive_both_ways(ip: object, port: int) -> None:
    address = NodeAddress(str(ip), port)
    assert decode_address(encode_address(address)) == address
    assert parse_numeric(str(address)) == address


def test_no_address_is_remembered_with_a_scope_of_any_length() -> None:
    text = "fe80::1%" + "x" * 1_000_000
    held = sys.getrefcount(text)
    assert "%" in str(parse_ip(text))
    assert sys.getrefcount(text) == held


@given(st.binary(min_size=32, max_size=32) | st.binary(max_size=40))
def test_any_bytes_are_an_address_or_refused(data: bytes) -> None:
    try:
        address = decode_address(data)
    except RemoteFormatError:
        return
    assert encode_address(address) == data


@pytest.mark.parametrize(("ip", "length"), [("1.2.3.4", 7), ("2001:db8::1", 19)])
def test_bytes_behind_an_address_are_refused(ip: str, length: int) -> None:
    address = bytearray(encode_address(NodeAddress(ip, 1789)))
    for position in range(length, len(address)):
        address[position] = 1
        with pytest.raises(RemoteFormatError, match="followed by bytes"):
            decode_address(bytes(address))
        address[position] = 0


@given(st.text() | st.from_regex(r"[a-z0-9.:\[\]_%x-]{0,20}:\d{1,7}", fullmatch=True))
def test_any_text_is_a_host_or_refused(text: str) -> None:
    try:
        host, port = split_host(text)
    except RemoteFormatError as error:
        assert visible(str(error)) == str(error)
        return
    assert host.isascii()
    assert host.isprintable()
    assert len(host) <= 253
    assert 0 <= port <= 65535
    # What the system would read as a number (it accepts forms such as 127.1) must be an IP address
    # in the usual form. Otherwise the system could connect to a host that this code didn't judge.
    with suppress(OSError):
        socket.inet_aton(host)
        assert ipaddress.ip_address(host)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mix.example:1789", ("mix.example", 1789)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:1789", ("::1", 1789)),
        ("1.2.3.4:65535", ("1.2.3.4", 65535)),
        ("mix_1.xn--bcher-kva.example.:1", ("mix_1.xn--bcher-kva.example.", 1)),
        (f"{'a' * 63}.example:1", (f"{'a' * 63}.example", 1)),
        ("4.example:1", ("4.example", 1)),
    ],
)
def test_hosts_are_split(text: str, expected: tuple[str, int]) -> None:
    assert split_host(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *["", ":", ":80", "mix", "mix:", "mix:x", "mix:65536", "mix:-1", "::1:80", "[]:80"],
        *["x..y:5", ".x:5", "x..:5", "-x:5", "x-.y:5", "a b:5", "user@x:5", "x/y:5", ".:5"],
        *[f"{'a' * 64}.example:5", ".".join(["a" * 63] * 4) + ":5"],
        *["b\u00fccher.example:5", "x\u202ey:5", "\ud800:5", "\x1b[31mred\nok    forged    line:5"],
        *["127.1:5", "0x7f.1:5", "2130706433:5", "1.2.3.4.5:5", "1.2.3.256:5", "01.2.3.4:5"],
        *["[1.2.3.4]:5", "[mix.example]:5", "[fe80::1%eth0]:5", "[::1:5", "1.2.3.4:\u0665"],
    ],
)
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(RemoteFormatError):
        split_host(text)


def test_a_scope_is_refused_with_the_reason() -> None:
    for scope in ("eth0", "1", "any thing"):
        with pytest.raises(RemoteFormatError, match="on one machine only"):
            split_host(f"[fe80::1%{scope}]:1789")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "::ffff:127.0.0.1"])
def test_this_machine_alone(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "10.0.0.1", "localhost.example", "", "::ffff:10.0.0.1"]
)
def test_not_this_machine_alone(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "::ffff:0.0.0.0"])
def test_each_address_of_a_machine(host: str) -> None:
    assert is_unspecified(host)


def test_names_are_not_numeric() -> None:
    assert parse_numeric("mix.example:1789") is None
