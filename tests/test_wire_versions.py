"""The identity that a node claims in its version, which those of 0.4 ignore."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nym.judge import is_compatible
from nym.wire.directory import MixNode, decode_mixnode, encode_presence
from nym.wire.keys import encode_base58
from nym.wire.versions import (
    identity_in,
    offers_line,
    since_in,
    with_identity,
    with_line,
    with_since,
)

IDENTITY = bytes(range(200, 232))


@given(st.binary(min_size=32, max_size=32))
def test_a_version_carries_an_identity_and_is_still_one_of_0_4(identity: bytes) -> None:
    version = with_identity("0.4.0", identity)
    assert identity_in(version) == identity
    assert is_compatible(version)
    # A directory takes it, and passes it on.
    node = MixNode("192.0.2.1:1789", IDENTITY, 1, version)
    assert decode_mixnode(encode_presence(node)) == node


def test_a_node_without_an_identity_has_a_plain_version() -> None:
    assert with_identity("0.4.0", None) == "0.4.0"
    assert identity_in("0.4.0") is None
    assert identity_in(None) is None


@pytest.mark.parametrize(
    ("metadata", "is_there"),
    [
        ("id.{}", True),
        ("build.7.id.{}", True),
        ("id.{}.more", True),
        ("ID.{}", False),
        ("id.{}x", False),
        ("grid.{}", False),
        ("id.", False),
        ("id", False),
        ("id.0OIl", False),
        ("{}", False),
    ],
)
def test_which_build_metadata_is_an_identity(metadata: str, is_there: bool) -> None:
    version = "0.4.1-rc.1+" + metadata.format(encode_base58(IDENTITY))
    assert (identity_in(version) == IDENTITY) == is_there
    assert is_there or identity_in(version) is None


@given(st.text())
def test_any_text_may_be_a_version(text: str) -> None:
    for version in (text, f"0.4.0+id.{text}"):
        identity = identity_in(version)
        assert identity is None or len(identity) == 32


@given(st.binary(min_size=32, max_size=32))
def test_a_version_says_that_a_provider_offers_a_sealed_line(identity: bytes) -> None:
    version = with_identity("0.4.0", identity)
    assert not offers_line(version)
    assert offers_line(with_line(version))
    assert identity_in(with_line(version)) == identity
    assert is_compatible(with_line(version))


@pytest.mark.parametrize(
    ("metadata", "is_offered"),
    [
        ("id.{}.line.1", True),
        ("line.1.id.{}", True),
        ("id.{}.line.1.line.2", True),
        ("id.{}.line.2", False),
        ("id.{}.line.10", False),
        ("id.{}.online.1", False),
        ("id.{}.line", False),
        ("line.1", False),
        ("id.x.line.1", False),
    ],
)
def test_which_build_metadata_offers_a_line(metadata: str, is_offered: bool) -> None:
    assert offers_line("0.4.0+" + metadata.format(encode_base58(IDENTITY))) == is_offered


def test_other_versions_offer_no_line() -> None:
    assert not offers_line(None)
    assert not offers_line("0.4.0-line.1")


@given(st.binary(min_size=32, max_size=32), st.integers(0, 10**9 - 1))
def test_a_version_says_when_the_key_was_made(identity: bytes, minute: int) -> None:
    plain = with_identity("0.4.0", identity)
    assert since_in(plain) is None
    for before in (plain, with_line(plain)):
        version = with_since(before, minute)
        assert since_in(version) == minute
        assert identity_in(version) == identity
        assert offers_line(version) == offers_line(before)
        assert is_compatible(version)
        node = MixNode("192.0.2.1:1789", IDENTITY, 1, version)
        assert decode_mixnode(encode_presence(node)) == node


@pytest.mark.parametrize(
    "version",
    [
        *("0.4.0", "0.4.0-since.7", "0.4.0+since", "0.4.0+since.", "0.4.0+since.x"),
        *("0.4.0+since.-7", "0.4.0+since.07", "0.4.0+since.7x", "0.4.0+since.1234567890"),
        *("0.4.0+x-since.7", None),
    ],
)
def test_what_does_not_say_when_a_key_was_made(version: str | None) -> None:
    assert since_in(version) is None
