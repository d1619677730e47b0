"""Sphinx packets of Nym 0.4 (docs/protocol/sphinx.md): build one, unwrap one hop, read a payload.

The typed face of `_sphinx`, `_curve` and `_padding`. Everything is bytes in and bytes out, and a
packet that isn't as it should be raises a `nym.errors.SphinxError`.
"""

import hmac
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from nym import _curve, _padding, _sphinx
from nym._secrets import Secret
from nym.errors import DestinationError, GroupElementError, LengthError

public_key = _curve.public_key
multiply = _curve.multiply
box_key = _curve.box_key

_ONE = (1).to_bytes(32, "little")


class Hop(NamedTuple):
    """One node of a route: address and public key of 32 bytes each.

    `delay`, in nanoseconds, is what this node waits before it forwards; that of the last hop goes
    nowhere.
    """

    address: bytes
    public_key: bytes
    delay: int


class Forward(NamedTuple):
    """What a node passes on: `packet`, 1372 bytes, to `address`, after `delay` nanoseconds."""

    address: bytes
    delay: int
    packet: bytes


class Final(NamedTuple):
    """What the last hop holds: whom it is for, the SURB identifier, the padded payload."""

    destination: bytes
    identifier: bytes
    payload: bytes

    def message(self) -> bytes:
        """The message, if header and payload agree on whom it is for ("Processing").

        Raises PaddingError, DestinationError.
        """
        destination, message = recover_message(self.payload)
        if not hmac.compare_digest(destination, self.destination):
            raise DestinationError("header and payload name different destinations")
        return message


@lru_cache(maxsize=1 << 16)  # a directory names the same keys every ten seconds
def can_share_secret(key: bytes) -> bool:
    """Whether a secret can be shared with `key`: it has 32 bytes, and isn't of low order.

    Packets can't go through a node with another key.
    """
    try:
        multiply(_ONE, key)
    except (GroupElementError, LengthError):
        return False
    return True


@lru_cache(maxsize=4096)
def is_public_key(key: bytes) -> bool:
    """Whether some private key has `key` as its public one, in just this form.

    Nothing else is anybody's address: each client would have several, for one private key.
    """
    try:
        return _curve.is_public_key(key)
    except LengthError:
        return False


def create_packet(
    message: bytes,
    route: Sequence[Hop],
    destination: bytes,
    identifier: bytes = bytes(16),
    *,
    secret: bytes | None = None,
    padding: bytes | None = None,
) -> bytes:
    """The packet, 1372 bytes, that takes `message` (0 to 975 bytes) along `route` (1 to 5 hops).

    `secret` (32 bytes, a little-endian scalar) and `padding` (what fills the last hop's block) are
    for vectors; left out, they come from the system's generator. Sections "Key schedule",
    "Header", "Payload". Raises LengthError, GroupElementError, ScalarError, OverflowError for a
    delay that doesn't fit 64 bits.
    """
    payload = _padding.pad(destination, message)
    return _sphinx.create_packet(payload, route, destination, identifier, secret, padding)


def process_packet(packet: bytes, private_key: bytes | Secret) -> Forward | Final:
    """What the node with `private_key` (32 bytes) makes of `packet` (1372). "Processing".

    Raises LengthError, GroupElementError, MacError, FlagError.
    """
    match _sphinx.process_packet(packet, private_key):
        case "forward", address, delay, following:
            return Forward(address, delay, following)
        case "final", destination, identifier, payload:
            return Final(destination, identifier, payload)


def recover_message(payload: bytes) -> tuple[bytes, bytes]:
    """(destination, message) of a decrypted payload, 1024 bytes. Raises PaddingError."""
    return _padding.recover(payload)
