"""The version that a node announces, with its long-lived identity in it.

Nodes of ours change their Sphinx keys, and have an identity that stays: an Ed25519 public key of
32 bytes. They add it to their version as build metadata: `0.4.0+id.BASE58`. Those of 0.4 ignore
build metadata (Semantic Versioning 2.0.0, section 10), and each directory passes it on.

It is a claim, which anybody can make. See docs/protocol/provider.md, "Which provider", for what it
is used for.
"""

import re
from functools import lru_cache

from nym.wire.keys import decode_base58, encode_base58

_IDENTITY = re.compile(r"\+(?:.*\.)?id\.([0-9A-Za-z]+)(?:\.|\Z)", re.ASCII)


def with_identity(version: str, identity: bytes | None) -> str:
    """The version of a node with this identity; None if it has none."""
    return version if identity is None else f"{version}+id.{encode_base58(identity)}"


@lru_cache(maxsize=1 << 14)  # the directory's answer, every ten seconds, has mostly the same ones
def identity_in(version: str | None) -> bytes | None:
    """The identity that a version claims, 32 bytes, or None."""
    match = _IDENTITY.search(version or "")
    try:
        return decode_base58(match[1]) if match else None
    except ValueError:
        return None
