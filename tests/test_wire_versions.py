"""The identity that a node claims in its version, which those of 0.4 ignore."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nym.judge import is_compatible
from nym.wire.directory import MixNode, decode_mixnode, encode_presence
from nym.wire.keys import encode_base58
from nym.wire.versions import identity_in, with_identity

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
