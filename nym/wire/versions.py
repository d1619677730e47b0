"""The version that a node announces, with its long-lived identity in it, and what it offers.

Nodes of ours change their Sphinx keys, and have an identity that stays: an Ed25519 public key of
32 bytes. They add it to their version as build metadata: `0.4.0+id.BASE58`. Those of 0.4 ignore
build metadata (Semantic Versioning 2.0.0, section 10), and each directory passes it on.

It is a claim, which anybody can make. See docs/protocol/provider.md, "Which provider", for what it
is used for.

A provider with an identity offers its clients a sealed line, and says so: `0.4.0+id.BASE58.line.1`,
where 1 is the version of the line.

A node with an identity also says in which minute since 1970 it made the key that it announces:
`0.4.0+id.BASE58.since.29411234`. Those who run a network see by it whether its keys change.
"""

import re
from functools import lru_cache

from nym.wire.keys import decode_base58, encode_base58

MINUTE = 60  # seconds: nodes tell when they made their keys no more exactly than this

_IDENTITY = re.compile(r"\+(?:.*\.)?id\.([0-9A-Za-z]+)(?:\.|\Z)", re.ASCII)
_LINE = re.compile(r"\+(?:.*\.)?line\.1(?:\.|\Z)", re.ASCII)
_SINCE = re.compile(r"\+(?:.*\.)?since\.(0|[1-9][0-9]{0,8})(?:\.|\Z)", re.ASCII)


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


def with_line(version: str) -> str:
    """The version, with an identity in it, of a provider that offers a sealed line."""
    return f"{version}.line.1"


def offers_line(version: str | None) -> bool:
    """Whether a provider with this version offers a sealed line that this client can speak."""
    return bool(_LINE.search(version or "")) and identity_in(version) is not None


def with_since(version: str, minute: int) -> str:
    """The version, with an identity in it, of a node that made its key in this minute."""
    return f"{version}.since.{minute}"


def since_in(version: str | None) -> int | None:
    """The minute since 1970 in which a node with this version says it made its key, or None."""
    match = _SINCE.search(version or "")
    return int(match[1]) if match else None
