"""Requests to a provider and its answers (docs/protocol/provider.md).

register 00 01 | client address 32                   -> token 32
pull     01 00 | client address 32 | token 32        -> messages
anything that is refused                             -> bad foomp
"""

from typing import NamedTuple

from nym.errors import ProviderRefusedError, RemoteFormatError
from nym.wire.sizes import ADDRESS_LENGTH

TOKEN_LENGTH = 32
REFUSED = b"bad foomp"
ACKNOWLEDGED = b"foomp"  # a node's answer to a packet
MESSAGES_A_PULL = 5
DUMMY = b"[DUMMY MESSAGE] Wanting something does not give you the right to have it."
LOOP_COVER = b"The cake is a lie!"

_REGISTER = b"\x00\x01"
_PULL = b"\x01\x00"
LONGEST_REQUEST = 2 + ADDRESS_LENGTH + TOKEN_LENGTH
LONGEST_ANSWER = 1 << 20  # 200 times what a provider of 0.4 says in one


class Register(NamedTuple):
    """A client's wish for a token."""

    address: bytes

    def encode(self) -> bytes:
        """The request's bytes."""
        return _REGISTER + self.address


class Pull(NamedTuple):
    """A client's wish for what waits."""

    address: bytes
    token: bytes

    def encode(self) -> bytes:
        """The request's bytes."""
        return _PULL + self.address + self.token


def decode_request(data: bytes) -> Register | Pull:
    """What a client wants. Raises RemoteFormatError."""
    kind, body = data[:2], data[2:]
    if kind == _REGISTER and len(body) == ADDRESS_LENGTH:
        return Register(body)
    if kind == _PULL and len(body) == ADDRESS_LENGTH + TOKEN_LENGTH:
        return Pull(body[:ADDRESS_LENGTH], body[ADDRESS_LENGTH:])
    raise RemoteFormatError("neither a register nor a pull request")


def decode_token(data: bytes) -> bytes:
    """The token in a register answer. Raises ProviderRefusedError, RemoteFormatError."""
    _check_refusal(data)
    if len(data) != TOKEN_LENGTH:
        raise RemoteFormatError(f"a token has {TOKEN_LENGTH} bytes, not {len(data)}")
    return data


def encode_messages(messages: list[bytes]) -> bytes:
    """A pull's answer, and a raw fetch's: count 2 | lengths 2 each | messages."""
    lengths = b"".join(len(message).to_bytes(2, "big") for message in messages)
    return len(messages).to_bytes(2, "big") + lengths + b"".join(messages)


def decode_messages(data: bytes) -> list[bytes]:
    """The messages of a pull's answer. Raises ProviderRefusedError, RemoteFormatError.

    An answer that is cut short still yields the messages that are there whole: the provider has
    deleted them already.
    """
    _check_refusal(data)
    count = int.from_bytes(data[:2], "big")
    start = 2 + 2 * count
    if len(data) < max(start, 2):
        raise RemoteFormatError(f"a pull answer of {len(data)} bytes, too short for its lengths")
    messages = []
    for i in range(2, start, 2):
        end = start + int.from_bytes(data[i : i + 2], "big")
        if end > len(data):
            break
        messages.append(data[start:end])
        start = end
    return messages


def is_cover(message: bytes) -> bool:
    """Whether nobody waits for this message: a loop's, or a provider's filling."""
    return message in (LOOP_COVER, DUMMY)


def _check_refusal(data: bytes) -> None:
    if data == REFUSED:
        raise ProviderRefusedError("the provider refused: it doesn't know this client's token")
