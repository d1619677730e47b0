"""Sealed boxes are libsodium's, in both directions."""

import pysodium
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nym import sphinx
from nym._boxes import OVERHEAD, seal, unseal
from nym.envelope import Cover, Envelopes, seal_for_nobody
from nym.errors import GroupElementError, LengthError
from nym.identity import generate_identity

ALICE, BOB = generate_identity(), generate_identity()


@given(st.binary(max_size=1000), st.binary(min_size=32, max_size=32))
def test_libsodium_opens_what_is_sealed_and_the_other_way_round(text: bytes, seed: bytes) -> None:
    public, private = pysodium.crypto_box_seed_keypair(seed)
    for sealed in (seal(text, public), pysodium.crypto_box_seal(text, public)):
        assert len(sealed) == len(text) + OVERHEAD
        assert pysodium.crypto_box_seal_open(sealed, public, private) == text
    sealed = pysodium.crypto_box_seal(text, ALICE.public_key)
    assert unseal(sealed, ALICE.private_key, ALICE.public_key) == text
    assert unseal(sealed, BOB.private_key, BOB.public_key) is None


@given(st.integers(0), st.integers(1, 255))
def test_nothing_that_was_changed_is_opened(place: int, change: int) -> None:
    sealed = bytearray(seal(b"a message", ALICE.public_key))
    sealed[place % len(sealed)] ^= change
    opened = unseal(bytes(sealed), ALICE.private_key, ALICE.public_key)
    # Of the ephemeral key, the product ignores the top bit, but the nonce doesn't.
    assert opened is None


def test_wrong_lengths() -> None:
    assert unseal(bytes(OVERHEAD - 1), ALICE.private_key, ALICE.public_key) is None
    for key in (b"", bytes(31), bytes(33)):
        with pytest.raises(LengthError):
            seal(b"", key)
        with pytest.raises(LengthError):
            unseal(bytes(OVERHEAD), ALICE.private_key, key)


def test_a_key_of_low_order_has_no_secrets() -> None:
    with pytest.raises(GroupElementError):
        seal(b"", bytes(32))
    assert unseal(bytes(OVERHEAD), ALICE.private_key, ALICE.public_key) is None


def test_no_two_boxes_are_the_same() -> None:
    assert seal(b"x", ALICE.public_key)[:32] != seal(b"x", ALICE.public_key)[:32]


def test_cover_for_nobody_looks_like_an_envelope_for_an_address() -> None:
    nobodys = {sphinx.nobodys_key() for _ in range(50)}
    assert len(nobodys) == 50
    assert all(map(sphinx.is_public_key, nobodys))
    cover = Cover(bytes(range(16)))
    envelope = seal_for_nobody(cover, BOB.public_key)
    assert Envelopes(BOB).open(envelope) == cover
