"""The protobuf dialects: mix.proto's messages, from and to the requests and answers in common.

They are bytes (docs/protocol/sockets.md, "Framed protobuf"), or JSON in proto3's mapping ("Protobuf
over WebSocket").
"""

import base64
import json
import re
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import DecodeError

from nym.errors import IncompleteDataError, RequestError, UnknownRequestError
from nym.wire import mix_pb2
from nym.wire.answers import (
    ClientList,
    Fetched,
    Flushed,
    KnownClient,
    OwnDetails,
    Response,
    Room,
    Sent,
)
from nym.wire.pieces import Message
from nym.wire.requests import Clients, Details, Fetch, Flush, Request, Send
from nym.wire.sizes import ADDRESS_LENGTH, LONGEST_FRAME

_FETCHED, _MESSAGE = 32, 8  # bytes that an answer takes besides its messages, and for each, at most
_BASE64 = re.compile("[A-Za-z0-9+/_-]*={0,2}")
# The host and port that the published client gives for clients, whose listeners it doesn't know.
_NO_HOST, _NO_PORT = "0.0.0.0", "42"  # noqa: S104


def decode_request(data: bytes) -> Request:
    """The request in one message. Raises a RequestError, whose text is for the application."""
    try:
        request = mix_pb2.Request.FromString(data)
    except DecodeError as error:
        raise UnknownRequestError("a protobuf Request was expected") from error
    return _request(request)


def decode_json(body: dict[str, Any]) -> Request:
    """The request in a JSON object. Raises a RequestError, whose text is for the application."""
    try:
        request = json_format.ParseDict(body, mix_pb2.Request())
    except json_format.ParseError as error:
        raise UnknownRequestError(
            f"a protobuf Request was expected, as JSON: {error!s:.200}"
        ) from error
    if request.HasField("send"):
        if not isinstance(body["send"], dict):  # the library would accept an empty list
            raise IncompleteDataError("send takes an object")
        _check_base64(body, request.DESCRIPTOR)
    return _request(request)


def encode_response(response: Response) -> bytes:
    """The answer as a protobuf message."""
    return _response(response).SerializeToString(deterministic=True)


def encode_response_json(response: Response) -> str:
    """The answer as a JSON object, without the field `sealed`.

    The published types don't have that field. Libraries skip unknown fields in bytes, but refuse
    them in JSON.
    """
    message = _response(response)
    if message.HasField("fetch"):
        message.fetch.ClearField("sealed")
    return _json(message)


def encode_error(error: RequestError) -> bytes:
    """The error as a protobuf message with its text."""
    return _failure(error).SerializeToString()


def encode_error_json(error: RequestError) -> str:
    """The error as a JSON object with its text."""
    return _json(_failure(error))


def _request(request: mix_pb2.Request) -> Request:
    match request.WhichOneof("value"):
        case "send":
            return _send(request.send)
        case "fetch":
            return Fetch()
        case "clients":
            return Clients()
        case "details":
            return Details()
        case "flush":
            return Flush()
    raise UnknownRequestError("send, fetch, clients, details or flush was expected")


def _check_base64(body: dict[str, Any], kind: Any) -> None:
    # The library has parsed the object, but its base64 decoder skips characters that aren't base64,
    # and a damaged message would be sent.
    for field in kind.fields:
        for name in {field.name, field.json_name} & body.keys():
            value = body[name]
            if field.message_type and isinstance(value, dict):
                _check_base64(value, field.message_type)
            elif field.type == field.TYPE_BYTES and not _BASE64.fullmatch(value or ""):
                raise IncompleteDataError(f"{name} has to be in base64")


def _send(send: mix_pb2.Send) -> Send:
    recipient = send.recipient.pub_key
    if not recipient:
        raise IncompleteDataError("send needs a recipient with a PubKey")
    if len(recipient) != ADDRESS_LENGTH:
        raise IncompleteDataError(
            f"the recipient's PubKey has {len(recipient)} bytes instead of {ADDRESS_LENGTH}"
        )
    return Send(recipient, send.message)


def _response(response: Response) -> mix_pb2.Response:
    message = mix_pb2.Response()
    match response:
        case Sent():
            message.send.SetInParent()
        case Fetched(messages):
            message.fetch.SetInParent()
            message.fetch.messages.extend(bytes(received.message) for received in messages)
            if any(received.sealed for received in messages):
                message.fetch.sealed.extend(received.sealed for received in messages)
        case ClientList(clients):
            message.clients.SetInParent()
            message.clients.clients.extend(_client(c, _NO_HOST, _NO_PORT) for c in clients)
        case OwnDetails(client):
            message.details.details.CopyFrom(_client(client, "", ""))
        case Flushed():
            message.flush.SetInParent()
        case _:
            raise TypeError(f"no protobuf request is answered with {type(response).__name__}")
    return message


def _failure(error: RequestError) -> mix_pb2.Response:
    return mix_pb2.Response(exception=mix_pb2.Failure(error=str(error)))


def _client(client: KnownClient, host: str, port: str) -> mix_pb2.Client:
    message = mix_pb2.Client(id=_id(client.address), host=host, port=port, pub_key=client.address)
    if client.provider_address is not None:
        message.provider.CopyFrom(
            mix_pb2.Provider(
                id=_id(client.provider_key),
                host=client.provider_address.ip,
                port=str(client.provider_address.port),
                pub_key=client.provider_key,
            )
        )
    return message


def _id(key: bytes) -> str:
    return base64.urlsafe_b64encode(key).decode("ascii")


def _json(message: mix_pb2.Response) -> str:
    return json.dumps(json_format.MessageToDict(message), separators=(",", ":"))


def _size(message: Message) -> int:
    return len(message) + _MESSAGE


def _json_size(message: Message) -> int:
    return (len(message) + 2) // 3 * 4 + _MESSAGE


ROOM = Room(LONGEST_FRAME - _FETCHED, _size)
JSON_ROOM = Room(LONGEST_FRAME - _FETCHED, _json_size)
