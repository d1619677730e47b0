"""JSON that is read piece by piece gives the same values as json.loads, however it is cut."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nym.errors import IncompleteDataError, RequestError, UnknownRequestError
from nym.wire import long_json
from nym.wire.base64 import decode, decode_pieces, encode_pieces
from nym.wire.json_requests import decode_request, parse
from nym.wire.keys import encode_base58
from nym.wire.long_json import LONGEST_REST, LongText, flat, loads
from nym.wire.pieces import Pieces, no_rest
from nym.wire.requests import Send

ADDRESS = encode_base58(bytes(range(32)))
# Parts that make lines which are JSON, nearly JSON, or no JSON at all.
PARTS = st.sampled_from(
    [
        *(
            b'"',
            b"\\",
            b'\\"',
            b"\\\\",
            b"\\u",
            b"\\u00e9",
            b"\\ud83d",
            b"\\ude00",
            b"\\ud83d\\ude00",
        ),
        *(b"\\n", b"\\x", b"\\/", "é".encode(), "😀".encode(), b"\xff", b"\xc3", b"\n", b"\t"),
        *(b"{", b"}", b"[", b"]", b":", b",", b"1", b"null", b"NaN", b'"a"', b'"a":', b'{"a":"'),
        b"plain text " * 5,
    ]
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=60)
    | st.text('a\\"é😀\ud83d\n', min_size=40, max_size=80),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=40), inner, max_size=4)
    ),
    max_leaves=8,
)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lower the limit for long texts, so that short random inputs have some."""
    monkeypatch.setattr(long_json, "LONG", 44)
    monkeypatch.setattr(long_json, "_SPAN", 16)


def pieces(line: bytes, data: st.DataObject) -> Iterator[bytes]:
    while line:
        cut = data.draw(st.integers(1, min(len(line), 40)))
        yield line[:cut]
        line = line[cut:]


def expected(line: bytes) -> Any:
    """The value of a line, as json.loads reads it in one go."""
    value = json.loads(line.decode())
    if b"\\u" in line:
        json.dumps(value, ensure_ascii=False).encode()
    return value


def check(line: bytes, data: st.DataObject) -> None:
    try:
        value = expected(line)
    except (ValueError, RecursionError) as error:
        is_half = isinstance(error, UnicodeEncodeError)
        with pytest.raises(UnicodeEncodeError if is_half else (ValueError, RecursionError)):
            loads(pieces(line, data), no_rest)
    else:
        assert repr(flat(loads(pieces(line, data), no_rest))) == repr(value)


@given(st.lists(PARTS, max_size=12).map(b"".join), st.data())
@example(b'["\\ud83d\\ude00\\ud83d\\ude00"]', None)
def test_anything_is_what_it_is_in_one_go(line: bytes, data: st.DataObject | None) -> None:
    if data is None:
        for cut in range(1, len(line)):
            read = loads([line[:cut], line[cut:]], no_rest)
            assert flat(read) == expected(line), f"wrong if the line is cut at byte {cut}"
        return
    check(line, data)


def test_half_a_pair_counts_only_in_a_text_that_is_not_dropped() -> None:
    half = b'"' + b"\\ud83d" * 10 + b'"'
    line = b'{"a":' + half + b',"a":1}'
    assert flat(loads([line], no_rest)) == expected(line) == {"a": 1}
    for kept in (b'{"a":1,"a":' + half + b"}", b"{" + half + b":1}"):
        with pytest.raises(UnicodeEncodeError):
            loads([kept], no_rest)


def test_an_escape_at_the_end_of_a_span_is_no_end_of_the_text() -> None:
    for length in range(40):
        line = json.dumps([f'"{"a" * length}é'])
        assert flat(loads([line.encode()], no_rest)) == json.loads(line)


@given(values, st.booleans(), st.data())
def test_every_value_is_what_it_is_in_one_go(
    value: object, is_ascii: bool, data: st.DataObject
) -> None:
    try:
        line = json.dumps(value, ensure_ascii=is_ascii).encode()
    except UnicodeEncodeError:
        return
    check(line, data)


def test_a_text_that_looks_like_a_place_is_none() -> None:
    long = "x" * 100
    for genuine in ("\\ud8000", "\ud800" + "0"):
        line = (
            json.dumps([long, genuine]).encode()
            if "\\" not in genuine
            else (f'["{long}","{genuine}"]'.encode())
        )
        with pytest.raises(UnicodeEncodeError):
            loads([line], no_rest)


def test_long_texts_are_cut_out_wherever_they_are() -> None:
    long = "long text " * 10
    read = loads([json.dumps({"a": [long, {long: "short"}], "b": long}).encode()], no_rest)
    assert isinstance(read["a"][0], LongText)
    assert isinstance(read["b"], LongText)
    assert flat(read) == {"a": [long, {long: "short"}], "b": long}


@pytest.mark.parametrize(
    "line", ['"a":1,' * 100_000, "[" * 200_000, '"",' * 100_000, "1" * 200_000]
)
def test_what_is_long_without_a_long_text_is_refused(line: str) -> None:
    with pytest.raises(UnknownRequestError, match=f"more than {LONGEST_REST >> 10} KiB"):
        parse([b"{", line.encode()])


# The same lines, read as requests.


def request(line: bytes, data: st.DataObject) -> object:
    """The request in the line, read in random pieces, or the kind of its error."""
    try:
        return decode_request(parse(list(pieces(line, data))))
    except RequestError as error:
        return type(error)


def in_one_go(line: bytes) -> object:
    try:
        return decode_request(parse(line))
    except RequestError as error:
        return type(error)


@given(
    st.binary(max_size=120).map(lambda b: base64.b64encode(b).decode())
    | st.text("AQgw=/+-\n ", max_size=100)
    | st.text(max_size=80),
    st.sampled_from(["data", "message", "recipient_address", "type", "format", "other"]),
    st.data(),
)
def test_a_request_is_the_same_in_pieces_and_in_one_go(
    text: str, field: str, data: st.DataObject
) -> None:
    body: dict[str, Any] = {"type": "send", "recipient_address": ADDRESS, "data": "QUJD"}
    if field == "message":
        del body["data"]
    body[field] = text
    line = json.dumps(body, ensure_ascii=data.draw(st.booleans())).encode()
    assert request(line, data) == in_one_go(line)


@given(st.lists(st.text("ABgw=", max_size=9), max_size=5))
def test_base64_is_read_as_strictly_in_pieces(texts: list[str]) -> None:
    try:
        whole = decode("".join(texts))
    except ValueError:
        with pytest.raises(ValueError):  # noqa: PT011
            decode_pieces(texts, no_rest)
    else:
        assert decode_pieces(texts, no_rest) == whole


@given(st.binary(max_size=200))
def test_a_text_in_one_piece_is_a_message_in_one_piece(data: bytes) -> None:
    assert decode_pieces([base64.b64encode(data).decode()], no_rest) == data
    assert isinstance(decode_pieces([base64.b64encode(data).decode()], no_rest), bytes)


@given(st.lists(st.binary(max_size=9), max_size=5))
def test_base64_is_the_same_in_pieces(data: list[bytes]) -> None:
    assert "".join(encode_pieces(Pieces(data))) == base64.b64encode(b"".join(data)).decode()


def test_only_messages_may_be_long_texts() -> None:
    for name, request in (("id", {"type": "ack"}), ("recipient_address", {"type": "send"})):
        line = json.dumps({**request, name: "x" * 100}).encode()
        with pytest.raises(IncompleteDataError, match=f"{name} is too long"):
            decode_request(parse([line]))


def test_a_long_message_is_read_in_pieces_none_of_which_is_long() -> None:
    message = bytes(range(256)) * (1 << 12)
    line = json.dumps(
        {
            "type": "send",
            "recipient_address": ADDRESS,
            "data": base64.b64encode(message).decode(),
        }
    ).encode()
    rests: list[int] = []
    cut = [line[i : i + 65536] for i in range(0, len(line), 65536)]
    read, _ = decode_request(parse(cut, lambda: rests.append(1)), lambda: rests.append(2))
    assert isinstance(read, Send)
    assert isinstance(read.message, Pieces)
    assert read.message == message
    assert max(map(len, read.message.pieces)) <= 65536
    assert rests.count(1) >= len(cut)
    assert rests.count(2) >= len(cut) - 1
