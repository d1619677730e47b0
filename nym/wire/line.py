"""What is said on a sealed line (docs/protocol/provider.md, "The sealed line").

    client                              provider
    02 01 | first message 48         ->
                                     <- second message 48
    third message 64 + REQUEST       ->
                                     <- answer, ANSWER + 16

The messages are those of Noise_XK (nym/_noise.pyx). All requests have one length, and so have all
answers: what is said can't be told from how long it is.

request  kind 1 | count 1 | numbers 8 each, 5 times
answer   outcome 1 | count 1 | (number 8 | length 2) 5 times | messages | zeros
"""

import struct
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import NamedTuple

from nym.errors import RemoteFormatError
from nym.wire.provider import MESSAGES_A_PULL
from nym.wire.sizes import KEY_LENGTH, LONGEST_MESSAGE

# 0.4's requests begin with 00 01 and 01 00. The second byte is the version of what follows.
BEGINNING = b"\x02\x01"
PROLOGUE = b"nym-client sealed line 1"

_TAG_LENGTH = 16
_REQUEST = struct.Struct(f">BB{MESSAGES_A_PULL}q")
_HEAD = struct.Struct(">BB" + "qH" * MESSAGES_A_PULL)
REQUEST_LENGTH = _REQUEST.size
ANSWER_LENGTH = _HEAD.size + MESSAGES_A_PULL * LONGEST_MESSAGE

FIRST_LENGTH = SECOND_LENGTH = KEY_LENGTH + _TAG_LENGTH
THIRD_LENGTH = KEY_LENGTH + 2 * _TAG_LENGTH + REQUEST_LENGTH
FOURTH_LENGTH = ANSWER_LENGTH + _TAG_LENGTH

_REGISTER, _PULL = 1, 2


class Request(NamedTuple):
    """A client registers, or pulls and names the messages that it has of those handed over."""

    registers: bool
    delivered: tuple[int, ...] = ()

    def encode(self) -> bytes:
        """The request as bytes. There are up to five numbers of 64 bits."""
        kind = _REGISTER if self.registers else _PULL
        return _REQUEST.pack(kind, len(self.delivered), *_filled(self.delivered))


class Outcome(IntEnum):
    """What became of a request.

    `REFUSED`: the client isn't registered, or may not be. `FAILED`: the provider can't do it now.
    """

    REFUSED = 0
    GRANTED = 1
    FAILED = 2


class Answer(NamedTuple):
    """What became of a request; for a pull, up to five messages with their numbers."""

    outcome: Outcome
    messages: Sequence[tuple[int, bytes]] = ()

    def encode(self) -> bytes:
        """The answer as bytes."""
        heads = [part for number, message in self.messages for part in (number, len(message))]
        head = _HEAD.pack(self.outcome, len(self.messages), *_filled(heads, 2 * MESSAGES_A_PULL))
        content = b"".join(message for _, message in self.messages)
        return (head + content).ljust(ANSWER_LENGTH, b"\0")


def decode_request(data: bytes) -> Request:
    """The request in these bytes. Raises RemoteFormatError."""
    if len(data) == REQUEST_LENGTH:
        kind, count, *numbers = _REQUEST.unpack(data)
        request = Request(kind == _REGISTER, tuple(numbers[:count]))
        # Nothing else would be encoded like this, so there is no room for anything else.
        if request.encode() == data and not (request.registers and request.delivered):
            return request
    raise RemoteFormatError("this is no request for a sealed line")


def decode_answer(data: bytes) -> Answer:
    """The answer in these bytes. Raises RemoteFormatError."""
    if len(data) == ANSWER_LENGTH:
        outcome, count, *heads = _HEAD.unpack_from(data)
        if (
            outcome <= max(Outcome)
            and count <= MESSAGES_A_PULL
            and max(heads[1::2]) <= LONGEST_MESSAGE
        ):
            used, unused = heads[: 2 * count], heads[2 * count :]
            end = _HEAD.size + sum(used[1::2])
            # Nothing else would be encoded like this, so there is no room for anything else.
            if not any(unused) and data.count(0, end) == len(data) - end:
                return Answer(Outcome(outcome), tuple(_messages(data, used)))
    raise RemoteFormatError("this is no answer for a sealed line")


def _messages(data: bytes, heads: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    start = _HEAD.size
    for number, length in zip(heads[::2], heads[1::2], strict=True):
        yield number, data[start : start + length]
        start += length


def _filled(numbers: Sequence[int], length: int = MESSAGES_A_PULL) -> list[int]:
    return [*numbers, *[0] * (length - len(numbers))]
