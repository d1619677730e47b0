"""Requests and answers as binary messages. Numbers are big-endian; `text` is what remains.

    send           00 | recipient 96 | lane 8 | length 8 | message
    send anonymous 01 | addresses 4 | recipient 96 | lane 8 | length 8 | message
    reply          02 | tag 16 | lane 8 | length 8 | message
    own address    03
    closed lane    04 | lane 8
    lane's queue   05 | lane 8

    error          00 | kind 1 | length 8 | text
    received       01 | 00 | length 8 | message
                   01 | 01 | tag 16 | length 8 | message
    own address    02 | address 96
    queue length   03 | lane 8 | length 8

Until 1.1.0, they were these. The examples that are published still speak like that.

    send           00 | is answerable 1 | recipient 96 | length 8 | message
    reply          01 | length 8 | tag | length 8 | message
    own address    02

    received       01 | 01 | length 8 | tag | length 8 | message
"""

from collections.abc import Iterator
from struct import Struct
from typing import Any

from nym.errors import (
    BadRecipientError,
    EmptyRequestError,
    IncompleteDataError,
    MessageTooLongError,
    RequestError,
    ShortRequestError,
    UnknownRequestError,
)
from nym.wire.answers import OwnDetails, Received
from nym.wire.pieces import cut
from nym.wire.requests import Details, Reply, Send
from nym.wire.sizes import TAG_LENGTH
from nym.wire.successor import addresses
from nym.wire.successor.forms import Wanted

# The first request of an application before 1.1.0. Since then, it would be a reply without a tag.
EARLY_GREETING = b"\x02"

_SEND = Struct(f">x{addresses.LENGTH}sQQ")
_SEND_ANONYMOUS = Struct(f">x4x{addresses.LENGTH}sQQ")
_REPLY = Struct(f">x{TAG_LENGTH}sQQ")
_LANE = Struct(">xQ")
_EARLY_SEND = Struct(f">xB{addresses.LENGTH}sQ")
_EARLY_REPLY = Struct(f">xQ{TAG_LENGTH}sQ")

_EMPTY, _TOO_SHORT, _UNKNOWN, _MALFORMED, _OTHER = 0x01, 0x02, 0x03, 0x04, 0xFF


def decode(message: bytes) -> Wanted:
    """What a request asks for. Raises a RequestError."""
    match _kind(message):
        case 0x00:
            recipient, lane, length = _fields(_SEND, message)
            return Wanted(_send(recipient, _rest(_SEND, message, length)), lane or None)
        case 0x01:
            recipient, lane, length = _fields(_SEND_ANONYMOUS, message)
            data = _rest(_SEND_ANONYMOUS, message, length)
            return Wanted(_send(recipient, data, is_answerable=True), lane or None)
        case 0x02:
            tag, lane, length = _fields(_REPLY, message)
            return Wanted(Reply(tag, _rest(_REPLY, message, length)), lane or None)
        case 0x03:
            return Wanted(Details())
        case 0x04:
            _lane(message)
            return Wanted(None)
        case 0x05:
            return Wanted(None, _lane(message))
    raise UnknownRequestError("a request begins with a byte from 00 to 05")


def decode_early(message: bytes) -> Wanted:
    """What a request asks for, in the form until 1.1.0. Raises a RequestError."""
    match _kind(message):
        case 0x00:
            flag, recipient, length = _fields(_EARLY_SEND, message)
            if flag > 1:
                raise IncompleteDataError("the second byte of a send is 00 or 01")
            data = _rest(_EARLY_SEND, message, length)
            return Wanted(_send(recipient, data, is_answerable=bool(flag)))
        case 0x01:
            tag_length, tag, length = _fields(_EARLY_REPLY, message)
            if tag_length != TAG_LENGTH:
                raise IncompleteDataError(f"a tag has {TAG_LENGTH} bytes, not {tag_length}")
            return Wanted(Reply(tag, _rest(_EARLY_REPLY, message, length)))
        case 0x02:
            return Wanted(Details())
    raise UnknownRequestError("a request begins with a byte from 00 to 02")


def _kind(message: bytes) -> int:
    if not message:
        raise EmptyRequestError
    return message[0]


def _fields(layout: Struct, message: bytes) -> tuple[Any, ...]:
    if len(message) < layout.size:
        raise ShortRequestError(f"this request has {layout.size} bytes at least")
    return layout.unpack_from(message)


def _rest(layout: Struct, message: bytes, length: int) -> bytes:
    data = message[layout.size :]
    if len(data) != length:
        raise IncompleteDataError(f"{length} bytes were announced, but {len(data)} came")
    return data


def _lane(message: bytes) -> int:
    if len(message) != _LANE.size:
        raise IncompleteDataError(f"this request has {_LANE.size} bytes")
    lane: int = _LANE.unpack(message)[0]
    return lane


def _send(recipient: bytes, message: bytes, *, is_answerable: bool = False) -> Send:
    try:
        address, provider = addresses.decode(recipient)
    except ValueError as error:
        raise IncompleteDataError(f"recipient: {error}") from error
    return Send(address, message, provider=provider, is_answerable=is_answerable)


class BinaryForm:
    """Binary messages. `is_early`: as until 1.1.0."""

    is_text = False

    def __init__(self, *, is_early: bool) -> None:
        self._is_early = is_early

    def own_address(self, own: OwnDetails) -> bytes:
        """See Form."""
        return b"\x02" + addresses.encode(own.client.address, own.provider_identity)

    def queue_length(self, lane: int, length: int) -> bytes:
        """See Form."""
        return b"\x03" + lane.to_bytes(8, "big") + length.to_bytes(8, "big")

    def received(self, received: Received) -> Iterator[bytes]:
        """See Form."""
        head = b"\x01\x00"
        if received.reply_to:
            length = TAG_LENGTH.to_bytes(8, "big") if self._is_early else b""
            head = b"\x01\x01" + length + received.reply_to
        yield head + len(received.message).to_bytes(8, "big")
        yield from cut(received.message)

    def error(self, error: RequestError) -> bytes:
        """See Form."""
        text = str(error).encode()
        return bytes([0, _error_kind(error)]) + len(text).to_bytes(8, "big") + text


BINARY = BinaryForm(is_early=False)
EARLY_BINARY = BinaryForm(is_early=True)


def _error_kind(error: RequestError) -> int:
    match error:
        case EmptyRequestError():
            return _EMPTY
        case ShortRequestError():
            return _TOO_SHORT
        case UnknownRequestError():
            return _UNKNOWN
        case IncompleteDataError() | BadRecipientError() | MessageTooLongError():
            return _MALFORMED
    return _OTHER
