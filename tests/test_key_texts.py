"""Keys and tags as text: each has one text, and what is read is what the base58 library reads."""

import base58
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nym.wire.keys import (
    decode_base58,
    decode_base64,
    decode_tag,
    encode_base58,
    encode_base64,
    is_tag,
)

KEYS = st.binary(min_size=32, max_size=32)
# As many zero bytes at the beginning as there can be, which base58 writes in another way.
ZEROS_FIRST = st.integers(0, 32).flatmap(
    lambda zeros: st.binary(min_size=32 - zeros, max_size=32 - zeros).map(bytes(zeros).__add__)
)
LETTERS = st.text(alphabet=base58.BITCOIN_ALPHABET.decode(), max_size=44)


@given(KEYS | ZEROS_FIRST)
def test_keys_survive_both_ways(key: bytes) -> None:
    assert decode_base58(encode_base58(key)) == key
    assert decode_base64(encode_base64(key)) == key


@given(LETTERS | ZEROS_FIRST.map(encode_base58))
def test_every_text_is_read_as_the_library_reads_it(text: str) -> None:
    expected = base58.b58decode(text)
    assert is_tag(text) == (len(expected) == 16)
    if len(expected) == 32:
        assert decode_base58(text) == expected
        assert encode_base58(expected) == text
    else:
        with pytest.raises(ValueError, match="a key has 32 bytes"):
            decode_base58(text)


@given(st.binary(min_size=16, max_size=16))
def test_tags_are_read(tag: bytes) -> None:
    assert decode_tag(encode_base58(tag)) == tag


@pytest.mark.parametrize("odd", ["0", "O", "I", "l", " ", "\n", "é", "+", "/"])
def test_other_characters_are_refused(odd: str) -> None:
    text = encode_base58(bytes(range(32)))
    for changed in (text[:-1] + odd, odd + text[1:]):
        with pytest.raises(ValueError, match="base58"):
            decode_base58(changed)


def test_long_texts_are_not_even_looked_at() -> None:
    with pytest.raises(ValueError, match="at most 44 characters"):
        decode_base58("1" * 45)
