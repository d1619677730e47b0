"""Protobuf on a WebSocket, in either form; apart, so that it is loaded for who speaks it."""

from collections.abc import Callable
from functools import partial
from typing import Any

from nym.errors import RequestError
from nym.sockets.conversation import Asked, Remark
from nym.wire import protobuf


def asked_binary(message: bytes, pack: Callable[[bytes], bytes]) -> Asked | Remark:
    """What a binary message asks for; `pack` makes what is written of an answer."""

    def encode_error(error: RequestError) -> bytes:
        return pack(protobuf.encode_error(error))

    try:
        request = protobuf.decode_request(message)
    except RequestError as error:
        return partial(encode_error, error)
    return Asked(request, lambda response: pack(protobuf.encode_response(response)), encode_error)


def asked_object(body: dict[str, Any], pack: Callable[[str], bytes]) -> Asked | Remark:
    """What a JSON object asks for."""
    try:
        request = protobuf.decode_json(body)
    except RequestError as error:
        return error_object(error, pack)
    return Asked(
        request,
        lambda response: pack(protobuf.encode_response_json(response)),
        lambda error: pack(protobuf.encode_error_json(error)),
    )


def error_object(error: RequestError, pack: Callable[[str], bytes]) -> Remark:
    """The JSON object for what was no request."""
    return lambda: pack(protobuf.encode_error_json(error))
