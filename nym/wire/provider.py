"""Requests to a provider, and its answers (docs/protocol/provider.md).

register 00 01 | client address 32                   -> token 32
pull     01 00 | client address 32 | token 32        -> messages
anything that is refused                             -> bad foomp
"""

from typing import NamedTuple

from nym.errors import ProviderRefusedError, RemoteFormatError
from nym.wire.sizes import ADDRESS_LENGTH, LONGEST_MESSAGE

TOKEN_LENGTH = 32
REFUSED = b"bad foomp"
ACKNOWLEDGED = b"foomp"  # a node's answer to a packet that it takes
MESSAGES_A_PULL = 5  # in each answer; a provider fills up with DUMMY
DUMMY = b"[DUMMY MESSAGE] Wanting something does not give you the right to have it."
# The message in a loop without an envelope, as in the published client's loops.
LOOP_COVER = b"The cake is a lie!"

_REGISTER = b"\x00\x01"
_PULL = b"\x01\x00"
LONGEST_REQUEST = 2 + ADDRESS_LENGTH + TOKEN_LENGTH
LONGEST_ANSWER = 1 << 20  # bytes; 200 times the longest answer of a provider of 0.4


class Register(NamedTuple):
    """A client registers, and wants a token."""

    address: bytes

    def encode(self) -> bytes:
        """The request as bytes."""
        return _REGISTER + self.address


class Pull(NamedTuple):
    """A client asks for the messages that wait for it."""

    address: bytes
    token: bytes

    def encode(self) -> bytes:
        """The request as bytes."""
        return _PULL + self.address + self.token


def decode_request(data: bytes) -> Register | Pull:
    """The request in these bytes. Raises RemoteFormatError."""
    kind, body = data[:2], data[2:]
    if kind == _REGISTER and len(body) == ADDRESS_LENGTH:
        return Register(body)
    if kind == _PULL and len(body) == ADDRESS_LENGTH + TOKEN_LENGTH:
        return Pull(body[:ADDRESS_LENGTH], body[ADDRESS_LENGTH:])
    raise RemoteFormatError("this is neither a register nor a pull request")


def decode_token(data: bytes) -> bytes:
    """The token that a registration got. Raises ProviderRefusedError, RemoteFormatError."""
    _check_refusal(data)
    if len(data) != TOKEN_LENGTH:
        raise RemoteFormatError(f"a token has {TOKEN_LENGTH} bytes, not {len(data)}")
    return data


def encode_messages(messages: list[bytes]) -> bytes:
    """The answer to a pull, or to a raw fetch: count 2 | lengths 2 each | messages."""
    lengths = b"".join(len(message).to_bytes(2, "big") for message in messages)
    return len(messages).to_bytes(2, "big") + lengths + b"".join(messages)


class Pulled(NamedTuple):
    """What a pull brought, including dummies and loops.

    `is_drained`: nothing more waited. `is_sound`: the lengths in the answer are possible. If they
    aren't, nobody knows where messages begin and end. `is_whole`: the answer is sound and not cut
    short.

    On a sealed line, each message has one of the `numbers`, and `keeper`, the provider with this
    identity, keeps it until the client has named its number. Otherwise it has deleted them already.
    """

    messages: list[bytes]
    is_drained: bool = False
    is_sound: bool = True
    is_whole: bool = True
    numbers: tuple[int, ...] = ()
    keeper: bytes | None = None

    @property
    def waited(self) -> int:
        """How many of the messages aren't dummies."""
        return len(self.messages) - self.messages.count(DUMMY)


def decode_pull(data: bytes) -> Pulled:
    """The answer to a pull. Raises ProviderRefusedError, RemoteFormatError.

    If an answer is cut short, its whole messages are kept, because the provider has already deleted
    them.
    """
    _check_refusal(data)
    lengths, start = _decode_lengths(data)
    messages = _cut(data, lengths, start)
    missing = start + sum(lengths) - len(data)
    is_sound = missing >= 0 and max(lengths, default=0) <= LONGEST_MESSAGE
    # A provider of 0.4 doesn't say whether more waits. An answer without a dummy may be all there
    # was.
    is_full = len(messages) >= MESSAGES_A_PULL and DUMMY not in messages
    is_whole = missing == 0 and is_sound
    return Pulled(messages, is_whole and not is_full, is_sound, is_whole)


def decode_messages(data: bytes) -> list[bytes]:
    """The messages in the answer to a raw fetch. Raises RemoteFormatError."""
    lengths, start = _decode_lengths(data)
    return _cut(data, lengths, start)


def _decode_lengths(data: bytes) -> tuple[list[int], int]:
    """(the lengths in the answer, where the first message begins)."""
    # `count 2 | length 2, count times`, then the messages.
    start = 2 + 2 * int.from_bytes(data[:2], "big")
    if len(data) < start:
        raise RemoteFormatError(f"an answer has {len(data)} bytes, too few for the lengths in it")
    return [int.from_bytes(data[i : i + 2], "big") for i in range(2, start, 2)], start


def _cut(data: bytes, lengths: list[int], start: int) -> list[bytes]:
    """The messages that are complete."""
    messages = []
    for length in lengths:
        if start + length > len(data):
            break
        messages.append(data[start : start + length])
        start += length
    return messages


def is_cover(message: bytes) -> bool:
    """Whether this is a loop without an envelope, or a dummy: no application waits for it."""
    return message in (LOOP_COVER, DUMMY)


def _check_refusal(data: bytes) -> None:
    if data == REFUSED:
        raise ProviderRefusedError("the provider refused: it doesn't know this client's token")
