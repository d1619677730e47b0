"""Where a token is found: in the first line over TCP, in the head of a request over HTTP."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.datastructures import Headers
from websockets.http11 import Request

from nym.wire.handshake import token_of
from nym.wire.tokens import (
    LONGEST_LINE,
    PREFIX,
    format_token,
    may_be_line,
    parse_token,
    split_line,
)

KEY = bytes(range(32))
TEXT = KEY.hex()
LINE = PREFIX + TEXT.encode() + b"\n"


def test_a_token_comes_back() -> None:
    assert format_token(parse_token(TEXT)) == TEXT
    assert bytes(parse_token(TEXT.upper())) == KEY
    for wrong in ("", TEXT[:-1], f"{TEXT}0", f" {TEXT}", f"{TEXT}\n", TEXT.replace("0", "\u0660")):
        with pytest.raises(ValueError, match="64 hexadecimal digits"):
            parse_token(wrong)


@given(st.binary(max_size=200))
def test_a_line_is_found_however_it_is_cut(behind: bytes) -> None:
    assert split_line(LINE + behind) == (TEXT, behind)
    for end in range(len(LINE)):
        assert may_be_line(LINE[:end])
    assert not may_be_line(LINE + behind)


@given(st.binary(max_size=200) | st.binary(max_size=200).map(PREFIX.__add__))
def test_whatever_comes_first_nothing_is_read_for_ever_and_nothing_is_lost(data: bytes) -> None:
    assert not (may_be_line(data) and len(data) >= LONGEST_LINE)
    shown, behind = split_line(data)
    if shown is None:
        assert behind == data
        assert not data.startswith(PREFIX)
    else:
        assert data.endswith(behind)


def request(path: str, *headers: str) -> Request:
    return Request(path, Headers([("Authorization", text) for text in headers]))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (request("/"), None),
        (request("/mix?token=abc"), "abc"),
        (request("/?a=b&token=abc&c"), "abc"),
        (request("/?token=abc&token=abc"), None),
        (request("/", "Bearer abc"), "abc"),
        (request("/", "bearer  abc"), "abc"),
        (request("/?token=abc", "Bearer def"), "def"),
        (request("/?token=abc", "Basic abc"), None),
        (request("/", "Bearer abc", "Bearer abc"), None),
        (request("/", "Bearer a b"), None),
        (request("/?token=%ff\udcff"), "\ufffd\udcff"),
    ],
)
def test_a_request_shows_one_token_or_none(asked: Request, expected: str | None) -> None:
    assert token_of(asked) == expected
