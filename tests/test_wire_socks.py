"""What is said to SOCKS proxies, and URLs that name them."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nym.errors import RemoteFormatError
from nym.wire import socks
from nym.wire.socks import ProxyUrl, parse_proxy_url


@pytest.mark.parametrize(
    ("text", "expected", "shown"),
    [
        ("socks5://127.0.0.1:9050", ("127.0.0.1", 9050, "", ""), "socks5://127.0.0.1:9050"),
        (
            "SOCKS5H://proxy.example/",
            ("proxy.example", 1080, "", ""),
            "socks5://proxy.example:1080",
        ),
        ("socks5://[2001:db8::7]:1", ("2001:db8::7", 1, "", ""), "socks5://[2001:db8::7]:1"),
        ("socks5://me:a%40b%2F@h:2", ("h", 2, "me", "a@b/"), "socks5://h:2"),
        ("socks5://me@h:2", ("h", 2, "me", ""), "socks5://h:2"),
    ],
)
def test_a_url_names_a_proxy(text: str, expected: tuple[object, ...], shown: str) -> None:
    url = parse_proxy_url(text)
    assert url == ProxyUrl(*expected)  # type: ignore[arg-type]
    assert str(url) == shown, "a password is never shown"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "named by a URL"),
        ("127.0.0.1:9050", "named by a URL"),
        ("http://me:secret@127.0.0.1:3128", "named by a URL"),
        ("socks4://127.0.0.1:9050", "named by a URL"),
        ("socks5://me:secret@:9050", "named by a URL"),
        ("socks5://me:secret@h:0", "named by a URL"),
        ("socks5://me:secret@h:65536", "named by a URL"),
        ("socks5://me:secret@h:one", "named by a URL"),
        ("socks5://me:secret@[::1", "named by a URL"),
        ("socks5://me:secret@[fe80::1%eth0]:1", "named by a URL"),
        ("socks5://me:secret@\u2100.example:1", "named by a URL"),
        ("socks5://me:secret@h:1/path", "nothing else"),
        ("socks5://me:secret@h:1?query", "nothing else"),
        ("socks5://:secret@h:1", "needs a user name"),
        (f"socks5://me:{'secret' * 50}@h:1", "at most 255 bytes"),
        ("socks5://me:secret@h :1", "white space"),
        ("socks5://me:secret@h\n:1", "control characters"),
    ],
)
def test_other_texts_name_none_and_no_password_is_quoted(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as refusal:
        parse_proxy_url(text)
    assert "secret" not in str(refusal.value)


def test_a_password_is_offered_only_if_there_is_one() -> None:
    assert socks.encode_greeting(ProxyUrl("h", 1, "", "")) == b"\5\1\0"
    assert socks.encode_greeting(ProxyUrl("h", 1, "me", "")) == b"\5\2\0\2"


TEXTS = st.text(max_size=63)
IPS = st.ip_addresses().map(str)
NAMES = st.from_regex(r"[a-z0-9-]{1,60}\.example", fullmatch=True)
PORTS = st.integers(0, 65535)


@given(TEXTS, TEXTS)
def test_a_login_has_both_texts_with_their_lengths(user: str, password: str) -> None:
    data = socks.encode_login(ProxyUrl("h", 1, user, password))
    length = data[1]
    assert data[0] == 1
    assert data[2 : 2 + length].decode() == user
    assert data[2 + length] == len(data) - length - 3
    assert data[3 + length :].decode() == password


@given(IPS | NAMES, PORTS)
def test_a_request_names_a_host_and_a_port(host: str, port: int) -> None:
    data = socks.encode_request(host, port)
    assert data[:3] == b"\5\1\0"
    kind, named = data[3], data[4:-2]
    if kind == 3:
        assert named[0] == len(named) - 1
        assert named[1:].decode() == host
    else:
        assert len(named) == {1: 4, 4: 16}[kind]
        assert str(ipaddress.ip_address(named)) == host
    assert int.from_bytes(data[-2:], "big") == port


@pytest.mark.parametrize("host", ["", "a" * 256])
def test_a_name_that_has_no_place_in_a_request_is_refused(host: str) -> None:
    with pytest.raises(RemoteFormatError, match="1 to 255 bytes"):
        socks.encode_request(host, 1)


@given(st.integers(0, 255), st.binary(max_size=255), PORTS)
def test_what_follows_the_head_of_an_answer_is_its_rest(code: int, name: bytes, port: int) -> None:
    for kind, host in ((1, bytes(4)), (4, bytes(16)), (3, bytes([len(name)]) + name)):
        answer = bytes([5, code, 0, kind]) + host + port.to_bytes(2, "big")
        read = socks.decode_reply(answer[: socks.HEAD_LENGTH])
        assert read == (code, len(answer) - socks.HEAD_LENGTH)


@given(st.binary(max_size=6) | st.binary(max_size=4).map(lambda rest: b"\5" + rest))
def test_any_bytes_are_an_answer_or_a_mistake_of_the_proxy(data: bytes) -> None:
    try:
        assert 0 <= socks.decode_method(data) <= 255
    except RemoteFormatError:
        assert data[:1] != b"\5" or len(data) != 2
    try:
        assert socks.decode_login(data) is (data[1] == 0)
    except RemoteFormatError:
        assert data[:1] != b"\1" or len(data) != 2
    try:
        code, rest = socks.decode_reply(data)
    except RemoteFormatError:
        assert data[:1] != b"\5" or len(data) != 5 or data[3] not in (1, 3, 4)
    else:
        assert (code, 0 <= rest <= 257) == (data[1], True)
