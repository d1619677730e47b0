"""What is said on a sealed line: each request and each answer has one length and one form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nym.errors import RemoteFormatError
from nym.wire import provider
from nym.wire.line import (
    ANSWER_LENGTH,
    BEGINNING,
    FIRST_LENGTH,
    FOURTH_LENGTH,
    REQUEST_LENGTH,
    SECOND_LENGTH,
    THIRD_LENGTH,
    Answer,
    Outcome,
    Request,
    decode_answer,
    decode_request,
)
from nym.wire.sizes import LONGEST_MESSAGE

NUMBERS = st.integers(0, 2**63 - 1)
MESSAGES = st.lists(st.tuples(NUMBERS, st.binary(max_size=LONGEST_MESSAGE)), max_size=5)
FULL = Answer(Outcome.GRANTED, tuple((number, bytes([number]) * 975) for number in range(5)))


def test_the_lengths_are_those_in_the_document() -> None:
    assert (REQUEST_LENGTH, ANSWER_LENGTH) == (42, 4927)
    assert (FIRST_LENGTH, SECOND_LENGTH, THIRD_LENGTH, FOURTH_LENGTH) == (48, 48, 106, 4943)


def test_the_beginning_is_none_of_a_plain_request() -> None:
    for length in range(provider.LONGEST_REQUEST):
        with pytest.raises(RemoteFormatError):
            provider.decode_request(BEGINNING + bytes(length))


@given(st.lists(NUMBERS, max_size=5))
def test_a_request_is_read_as_it_was_written(numbers: list[int]) -> None:
    for request in (Request(True), Request(False, tuple(numbers))):
        encoded = request.encode()
        assert len(encoded) == REQUEST_LENGTH
        assert decode_request(encoded) == request


@given(st.sampled_from(Outcome), MESSAGES)
def test_an_answer_is_read_as_it_was_written(
    outcome: Outcome, messages: list[tuple[int, bytes]]
) -> None:
    answer = Answer(outcome, tuple(messages))
    encoded = answer.encode()
    assert len(encoded) == ANSWER_LENGTH
    assert decode_answer(encoded) == answer


def test_the_longest_answer_is_full() -> None:
    assert decode_answer(FULL.encode()) == FULL


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(REQUEST_LENGTH),
        Request(True).encode()[:-1],
        Request(True).encode() + b"\0",
        Request(False, (1,)).encode()[:-1] + b"\1",
        b"\3" + Request(True).encode()[1:],
        b"\1" + Request(False, (1,)).encode()[1:],
        b"\2\6" + Request(False, (1, 2, 3, 4, 5)).encode()[2:],
    ],
)
def test_other_requests_are_refused(data: bytes) -> None:
    with pytest.raises(RemoteFormatError):
        decode_request(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        FULL.encode()[:-1],
        FULL.encode() + b"\0",
        b"\3" + FULL.encode()[1:],
        b"\1\6" + FULL.encode()[2:],
        Answer(Outcome.GRANTED).encode()[:-1] + b"\1",
        # The first message has one byte more than a packet can have.
        FULL.encode()[:10] + (976).to_bytes(2, "big") + FULL.encode()[12:],
    ],
)
def test_other_answers_are_refused(data: bytes) -> None:
    with pytest.raises(RemoteFormatError):
        decode_answer(data)


@given(st.binary(min_size=REQUEST_LENGTH, max_size=REQUEST_LENGTH))
def test_any_request_is_refused_or_has_one_form(data: bytes) -> None:
    try:
        request = decode_request(data)
    except RemoteFormatError:
        return
    assert request.encode() == data


@given(st.lists(st.integers(0, 3), min_size=52, max_size=52), st.integers(0, 255))
def test_any_answer_is_refused_or_has_one_form(head: list[int], rest: int) -> None:
    data = bytes(head) + bytes([rest]) * (ANSWER_LENGTH - len(head))
    try:
        answer = decode_answer(data)
    except RemoteFormatError:
        return
    assert answer.encode() == data
