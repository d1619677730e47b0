"""Which hosts and origins may talk to a local HTTP socket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nym.wire.origins import Origin, is_own_host, is_welcome, parse_origin

CHAT = parse_origin("https://chat.example")


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:9001", "localhost", "LocalHost:1", "[::1]", "[::1]:9001", "127.8.9.1"],
)
def test_loopback_is_this_machine(host: str) -> None:
    assert is_own_host(host, ())


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:9001",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example,127.0.0.1",
        "127.0.0.1,evil.example",
        "127.0.0.1@evil.example",
        "evil.example@127.0.0.1",
        "127.0.0.1 evil.example",
        "127.0.0.1/evil.example",
        "127.0.0.1\n",
        "::1",
        "[::1",
        "[::2]",
        "2130706433",
        "0x7f.0.0.1",
        "0.0.0.0",
        "192.168.1.5",
        "127.0.0.1:port",
        "localhost:",
    ],
)
def test_all_else_is_not(host: str) -> None:
    assert not is_own_host(host, ("10.0.0.7",))


def test_a_host_that_it_was_told_to_listen_on_is_its_own() -> None:
    assert is_own_host("10.0.0.7:9001", ("10.0.0.7",))
    assert is_own_host("Nym.Lan", ("nym.lan",))


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "file://",
        "http://localhost",
        "http://localhost:3000",
        "https://127.0.0.1:8443",
        "http://[::1]:8080",
        "https://chat.example",
        "https://chat.example:443",
        "HTTPS://CHAT.example",
    ],
)
def test_programs_files_loopback_and_whom_one_lists_may_talk(origin: str | None) -> None:
    assert is_welcome(origin, {CHAT})


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "null",
        "https://evil.example",
        "http://chat.example",
        "https://chat.example:8443",
        "https://chat.example.evil.example",
        "https://chat.example/",
        "https://chat.example, https://evil.example",
        "http://localhost.evil.example",
        "http://localhost@evil.example",
        "http://evil.example#localhost",
        "http://evil.example/localhost",
        "http://127.0.0.1.evil.example",
        "http://192.168.1.5",
        "chrome-extension://localhost",
        "file://evil.example",
        "file:///etc",
        "localhost",
        "//localhost",
    ],
)
def test_all_other_origins_are_web_sites(origin: str) -> None:
    assert not is_welcome(origin, {CHAT})


@given(st.text(max_size=40))
def test_no_other_text_is_welcome_by_accident(text: str) -> None:
    if is_welcome(text, ()):
        assert text == "file://" or parse_origin(text).scheme in ("http", "https")


def test_origins_have_a_scheme_a_host_and_maybe_a_port() -> None:
    assert parse_origin("https://Chat.example") == Origin("https", "chat.example", 443)
    assert parse_origin("chrome-extension://abc") == Origin("chrome-extension", "abc", None)
    for text in ("chat.example", "https://", "https://chat.example/", "https://*", "null", "*"):
        if text == "https://*":
            continue
        with pytest.raises(ValueError, match="such as"):
            parse_origin(text)
