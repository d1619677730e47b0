"""Sphinx packets of Nym 0.4 (docs/protocol/sphinx.md): build them, unwrap a hop, read a payload.

This is the typed interface of the extensions `_sphinx`, `_curve` and `_padding`, which the rest of
the program uses only through it. Bytes go in and come out. An invalid packet raises a
`nym.errors.SphinxError`.
"""

import hmac
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from nym import _curve, _padding, _sphinx
from nym._secrets import Secret
from nym.errors import DestinationError, LengthError, SphinxError
from nym.wire.sizes import KEY_LENGTH

public_key = _curve.public_key
multiply = _curve.multiply
nobodys_key = _curve.nobodys_key

# Packets that are made or unwrapped together take the least time each if there are so many.
AT_ONCE = 8


class Hop(NamedTuple):
    """One node of a route. Its address and its public key have 32 bytes each.

    `delay` is how many nanoseconds the node waits before it forwards the packet. The last hop's
    delay isn't sent, because that node forwards nothing.
    """

    address: bytes
    public_key: bytes
    delay: int


class Forward(NamedTuple):
    """A node's task: pass on `packet`, 1372 bytes, to `address` after `delay` nanoseconds."""

    address: bytes
    delay: int
    packet: bytes


class Final(NamedTuple):
    """What the last hop gets: the destination, the SURB identifier, the padded payload."""

    destination: bytes
    identifier: bytes
    payload: bytes

    def message(self) -> bytes:
        """The message, if header and payload name the same destination ("Processing").

        Raises PaddingError, DestinationError.
        """
        destination, message = recover_message(self.payload)
        if not hmac.compare_digest(destination, self.destination):
            raise DestinationError("header and payload name different destinations")
        return message


class Request(NamedTuple):
    """What one packet is made from: the arguments of `create_packet`."""

    message: bytes
    route: Sequence[Hop]
    destination: bytes
    identifier: bytes = bytes(16)
    secret: bytes | None = None
    padding: bytes | None = None


class Unwrapped(NamedTuple):
    """What a node has to do, and the packet's tag, 16 bytes.

    Packets with the same tag are the same one, played again, whatever was changed in them. The tag
    is made from the secret that the packet's sender shares with this node.
    """

    task: Forward | Final
    tag: bytes


def can_share_secret(key: bytes) -> bool:
    """Whether `key` has 32 bytes and isn't of low order.

    No packet can go through a node with any other key. A directory lists thousands of keys, so they
    are looked up instead of multiplied.
    """
    return len(key) == KEY_LENGTH and not _curve.is_of_low_order(key)


@lru_cache(maxsize=4096)
def is_public_key(key: bytes) -> bool:
    """Whether `key` is exactly what some private key has as its public key.

    Only this form is an address. Other encodings of the same point would give each client several
    addresses.
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
    for test vectors only. Left out, they come from the system's random number generator; a secret
    must never be used twice. See "Key schedule", "Header" and "Payload". Raises LengthError,
    GroupElementError, ScalarError; OverflowError if a delay doesn't fit into 64 bits.
    """
    (packet,) = create_packets([Request(message, route, destination, identifier, secret, padding)])
    return packet


def create_packets(
    requests: Iterable[Request | tuple[bytes, Sequence[Hop], bytes]],
) -> list[bytes]:
    """Packets as from `create_packet`, in the order of the requests: (message, route, destination).

    Eight together take the least time for each (docs/protocol/sphinx.md, "Eight products at once").
    Raises as `create_packet` does; then there are no packets, even if only one request is wrong.
    """
    made_from = [Request(*request) for request in requests]
    return _sphinx.create_packets(
        [(_padding.pad(one.destination, one.message), *one[1:]) for one in made_from]
    )


def process_packet(packet: bytes, private_key: bytes | Secret) -> Forward | Final:
    """Unwrap `packet` (1372 bytes) as the node with `private_key` (32 bytes) does ("Processing").

    Raises LengthError, GroupElementError, MacError, FlagError.
    """
    return unwrap(packet, private_key).task


def process_packets(
    packets: Sequence[bytes], private_key: bytes | Secret
) -> list[Forward | Final | SphinxError]:
    """What `process_packet` returns or raises for each packet, in their order.

    Raises LengthError if the private key has a wrong length.
    """
    outcomes = unwrap_packets(packets, private_key)
    return [one.task if isinstance(one, Unwrapped) else one for one in outcomes]


def unwrap(packet: bytes, private_key: bytes | Secret) -> Unwrapped:
    """Like `process_packet`, and also tells what the packet can be recognised by. Raises as it."""
    return _unwrapped(_sphinx.process_packet(packet, private_key))


def unwrap_packets(
    packets: Sequence[bytes], private_key: bytes | Secret
) -> list[Unwrapped | SphinxError]:
    """What `unwrap` returns or raises for each packet, as `process_packets` does."""
    outcomes = _sphinx.process_packets(packets, private_key)
    return [one if isinstance(one, SphinxError) else _unwrapped(one) for one in outcomes]


def _unwrapped(found: "_sphinx.Found") -> Unwrapped:
    match found:
        case "forward", tag, address, delay, following:
            return Unwrapped(Forward(address, delay, following), tag)
        case "final", tag, destination, identifier, payload:
            return Unwrapped(Final(destination, identifier, payload), tag)


def recover_message(payload: bytes) -> tuple[bytes, bytes]:
    """(destination, message) of a decrypted payload, 1024 bytes. Raises PaddingError."""
    return _padding.recover(payload)
