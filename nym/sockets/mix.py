"""Protobuf over a WebSocket, as binary messages or as JSON objects.

docs/protocol/sockets.md, "Protobuf over WebSocket". A module of its own, so that protobuf is loaded
only when an application speaks it.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from nym.errors import RequestError
from nym.sockets.conversation import Asked, Remark
from nym.wire import protobuf
from nym.wire.answers import Response, Room
from nym.wire.requests import Request

Form = TypeVar("Form", bytes, str)


def asked_binary(message: bytes, pack: Callable[[bytes], bytes]) -> Asked | Remark:
    """The request in a binary message; `pack` makes the bytes to write from an encoded answer."""
    decode = partial(protobuf.decode_request, message)
    return _asked(decode, protobuf.encode_response, protobuf.encode_error, pack, protobuf.ROOM)


def asked_object(body: dict[str, Any], pack: Callable[[str], bytes]) -> Asked | Remark:
    """The request in a JSON object."""
    decode = partial(protobuf.decode_json, body)
    return _asked(
        decode,
        protobuf.encode_response_json,
        protobuf.encode_error_json,
        pack,
        protobuf.JSON_ROOM,
    )


def error_object(error: RequestError, pack: Callable[[str], bytes]) -> Remark:
    """The error, as a JSON object, for a message that wasn't a request."""
    return lambda: pack(protobuf.encode_error_json(error))


def _asked(
    decode: Callable[[], Request],
    encode: Callable[[Response], Form],
    encode_error: Callable[[RequestError], Form],
    pack: Callable[[Form], bytes],
    room: Room,
) -> Asked | Remark:
    def pack_error(error: RequestError) -> bytes:
        return pack(encode_error(error))

    try:
        request = decode()
    except RequestError as error:
        return partial(pack_error, error)
    return Asked(
        request, lambda response: [pack(encode(response))], pack_error, room, can_wait=True
    )
