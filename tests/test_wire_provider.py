"""Requests to a provider and its answers, compared with those that a real provider gave."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nym.errors import ProviderRefusedError, RemoteError, RemoteFormatError
from nym.wire.provider import (
    DUMMY,
    LOOP_COVER,
    MESSAGES_A_PULL,
    REFUSED,
    Pull,
    Pulled,
    Register,
    decode_messages,
    decode_pull,
    decode_request,
    decode_token,
    encode_messages,
    is_cover,
)

CASES = json.loads((Path(__file__).parent / "vectors" / "provider.json").read_text())
BYTES = {name: {k: v for k, v in case.items() if k != "messages"} for name, case in CASES.items()}
CLIENT = bytes(range(1, 33))


def request(name: str) -> bytes:
    return bytes.fromhex(BYTES[name]["request"])


def response(name: str) -> bytes:
    return bytes.fromhex(BYTES[name]["response"])


def test_the_set_has_cases() -> None:
    assert len(CASES) == 9


def test_registering_as_published() -> None:
    assert Register(CLIENT).encode() == request("register")
    assert decode_request(request("register")) == Register(CLIENT)
    assert decode_token(response("register")) == response("register_again")


def test_pulling_as_published() -> None:
    token = response("register")
    assert Pull(CLIENT, token).encode() == request("pull_three")
    assert decode_request(request("pull_three")) == Pull(CLIENT, token)
    messages = [bytes.fromhex(message) for message in CASES["pull_three"]["messages"]]
    assert decode_pull(response("pull_three")) == Pulled(messages, is_drained=DUMMY in messages)
    assert encode_messages(messages) == response("pull_three")
    assert decode_pull(response("pull_empty")) == Pulled([DUMMY] * MESSAGES_A_PULL, True)


@pytest.mark.parametrize("name", [name for name in CASES if response(name) == REFUSED])
def test_refusals_as_published(name: str) -> None:
    with pytest.raises(ProviderRefusedError):
        decode_pull(response(name))
    with pytest.raises(ProviderRefusedError):
        decode_token(response(name))
    if name not in ("pull_bad_token", "wrong_address"):  # these two requests are well-formed
        with pytest.raises(RemoteFormatError):
            decode_request(request(name))


@given(st.lists(st.binary(max_size=1000), max_size=8), st.binary(max_size=8))
def test_messages_survive_both_ways_and_trailing_bytes(messages: list[bytes], rest: bytes) -> None:
    assert decode_messages(encode_messages(messages) + rest) == messages


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=8), st.data())
def test_an_answer_that_is_cut_yields_what_is_there_whole(
    messages: list[bytes], data: st.DataObject
) -> None:
    encoded = encode_messages(messages)
    cut = encoded[: data.draw(st.integers(0, len(encoded)))]
    try:
        decoded = decode_messages(cut)
    except RemoteFormatError:
        assert len(cut) < 2 + 2 * len(messages)
        return
    assert decoded == messages[: len(decoded)]
    assert sum(map(len, decoded)) <= len(cut)


ANSWER = encode_messages([b"one", b"two", b"three", b"four", b"five"])


@pytest.mark.parametrize(
    ("answer", "messages", "is_drained", "is_sound", "is_whole"),
    [
        (ANSWER, 5, False, True, True),
        (encode_messages([b"one", DUMMY]), 2, True, True, True),
        (encode_messages([b"one"]), 1, True, True, True),
        (ANSWER[:-1], 4, False, True, False),  # cut short by one byte
        (encode_messages([b"one", DUMMY])[:-1], 1, False, True, False),
        (ANSWER + b"!", 5, False, False, False),
        (b"\0\0" + ANSWER, 0, False, False, False),
        (b"\0\1\0\3" + ANSWER[4:], 1, False, False, False),
        (b"\0\5\xff\xff" + ANSWER[4:], 0, False, False, False),
        (encode_messages([bytes(975)]), 1, True, True, True),
        (encode_messages([bytes(976)]), 1, False, False, False),
    ],
)
def test_whether_an_answer_can_be_believed_and_whether_more_waits(
    answer: bytes, messages: int, is_drained: bool, is_sound: bool, is_whole: bool
) -> None:
    pulled = decode_pull(answer)
    assert (len(pulled.messages), *pulled[1:4]) == (messages, is_drained, is_sound, is_whole)


@given(st.binary(max_size=200))
def test_any_answer_is_understood_or_refused(data: bytes) -> None:
    for decode in (decode_messages, decode_pull, decode_token, decode_request):
        try:
            decode(data)
        except RemoteError as error:
            assert str(error)


def test_cover_is_told_from_messages() -> None:
    assert is_cover(DUMMY)
    assert is_cover(LOOP_COVER)
    assert not is_cover(b"")
    assert not is_cover(LOOP_COVER + b"!")
