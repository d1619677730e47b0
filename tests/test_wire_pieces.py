"""Messages in pieces behave like bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nym.wire.pieces import PIECE, Pieces, cut, gather, prefix, split, with_last

some = st.lists(st.binary(max_size=6), max_size=6)


@given(some, st.integers(0, 40), st.integers(0, 40))
def test_lengths_and_slices(pieces: list[bytes], start: int, stop: int) -> None:
    message, whole = Pieces(pieces), b"".join(pieces)
    assert len(message) == len(whole)
    assert message[start:stop] == whole[start:stop]
    assert message[start:] == whole[start:]
    assert bytes(message) == whole
    assert message == whole
    assert message == Pieces([whole])
    assert (message == Pieces([whole, b"x"])) is False
    assert (message == "text") is False


@given(some, st.binary(max_size=6))
def test_a_head_before_a_message_is_split_off_again(pieces: list[bytes], head: bytes) -> None:
    whole = b"".join(pieces)
    for message in (gather(pieces), Pieces(pieces), whole):
        assert gather(cut(message)) == whole
        assert prefix(head, message) == head + whole
        begin, behind = split(prefix(head, message), len(head))
        assert (begin, bytes(behind)) == (head, whole)


@given(some, st.integers(0, 40))
def test_splitting_anywhere(pieces: list[bytes], length: int) -> None:
    whole = b"".join(pieces)
    begin, behind = split(Pieces(pieces), length)
    assert (begin, bytes(behind)) == (whole[:length], whole[length:])


@pytest.mark.parametrize("length", [0, 1, PIECE, PIECE + 1, 3 * PIECE])
def test_bytes_are_cut_into_pieces(length: int) -> None:
    pieces = list(cut(bytes(length)))
    assert b"".join(pieces) == bytes(length)
    assert all(0 < len(piece) <= PIECE for piece in pieces)


@given(st.lists(st.integers()))
def test_the_last_is_known(items: list[int]) -> None:
    marked = list(with_last(items))
    assert [item for item, _ in marked] == items
    assert [is_last for _, is_last in marked] == [False] * (len(items) - 1) + [True] * bool(items)
