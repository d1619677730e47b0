"""JSON, one object a line (docs/protocol/sockets.md, "JSON lines").

The published client's requests and answers, with additions: ids, binary messages as base64,
subscriptions.
"""

import base64
import binascii
import json
from typing import Any

from nym.errors import FrameError, IncompleteDataError, RequestError, UnknownRequestError
from nym.wire.keys import decode_base58, encode_base58
from nym.wire.requests import (
    Acknowledge,
    Acknowledged,
    ClientList,
    Clients,
    Details,
    Fetch,
    Fetched,
    OwnDetails,
    Received,
    Request,
    Response,
    Send,
    Sent,
    Status,
    StatusReport,
    Subscribe,
    Subscribed,
)

LONGEST_LINE = 1 << 20
BASE64, TEXT = "base64", "text"
_TYPES = ("send", "fetch", "getClients", "ownDetails", "subscribe", "ack", "status")


class LineBuffer:
    """Bytes in, as they come; lines out, as they are complete. Empty ones are passed over."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes. Raises FrameError for one that is too long."""
        # Only what is new is searched: a line may come byte by byte.
        lines = []
        for i, part in enumerate(data.split(b"\n")):
            if i > 0:
                lines.append(bytes(self._buffer))
                self._buffer.clear()
            self._buffer += part
            if len(self._buffer) > LONGEST_LINE:
                raise FrameError(f"a line of more than {LONGEST_LINE} bytes")
        return [line for line in lines if line.strip()]

    def rest(self) -> bytes:
        """A last line without an end."""
        return bytes(self._buffer)


def decode_request(line: bytes) -> tuple[Request, str]:
    """(the request, how messages in the answer are to be written: BASE64 or TEXT).

    Raises a RequestError, whose text is for the application.
    """
    try:
        body = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UnknownRequestError(f"a JSON object was expected: {error}") from error
    if not isinstance(body, dict):
        raise UnknownRequestError("a JSON object was expected")
    match body.get("type"):
        case "send":
            return _decode_send(body), TEXT
        case "fetch":
            return Fetch(), _format(body)
        case "getClients":
            return Clients(), TEXT
        case "ownDetails":
            return Details(), TEXT
        case "subscribe":
            return Subscribe(), BASE64
        case "ack":
            return Acknowledge(_text(body, "id")), TEXT
        case "status":
            return Status(), TEXT
    raise UnknownRequestError(f"type is one of {', '.join(_TYPES)}")


def encode_response(response: Response, message_format: str) -> bytes:
    """The answer's line."""
    match response:
        case Sent(message_id):
            return _line({"type": "send", "id": message_id})
        case Fetched(messages):
            written = [_written(received, message_format) for received in messages]
            return _line({"type": "fetch", "messages": written})
        case ClientList(clients):
            listed = [encode_base58(client.address) for client in clients]
            return _line({"type": "getClients", "clients": listed})
        case OwnDetails(client):
            return _line({"type": "ownDetails", "address": encode_base58(client.address)})
        case Subscribed():
            return _line({"type": "subscribe"})
        case Acknowledged(message_id):
            return _line({"type": "ack", "id": message_id})
        case StatusReport():
            return _line({"type": "status", **response._asdict()})
    raise TypeError(f"JSON never asks for {type(response).__name__}")


def encode_received(received: Received) -> bytes:
    """The line that brings a subscriber a message. Nobody knows who sent it."""
    return _line(
        {
            "type": "message",
            "id": received.id,
            "data": _written(received, BASE64),
            "sender": None,
            "received": received.at,
        }
    )


def encode_error(error: RequestError) -> bytes:
    """The line with an error."""
    return _line({"type": "error", "message": str(error), "code": error.code})


def _decode_send(body: dict[str, Any]) -> Send:
    if body.get("reliable", False) is not False:
        raise IncompleteDataError("reliable: only false will do, it does not exist yet")
    if body.get("plain", True) is not True:
        raise IncompleteDataError("plain: only true will do, sealed messages do not exist yet")
    try:
        recipient = decode_base58(_text(body, "recipient_address"))
    except ValueError as error:
        raise IncompleteDataError(f"recipient_address: {error}") from error
    if ("data" in body) == ("message" in body):
        raise IncompleteDataError("send takes either message, a text, or data, base64")
    try:
        if "message" in body:
            return Send(recipient, _text(body, "message").encode())
        return Send(recipient, base64.b64decode(_text(body, "data"), validate=True))
    except UnicodeEncodeError as error:
        raise IncompleteDataError("message: it has half a character in it") from error
    except (binascii.Error, ValueError) as error:
        raise IncompleteDataError(f"data: not base64: {error}") from error


def _format(body: dict[str, Any]) -> str:
    message_format: str = body.get("format", TEXT)
    if message_format not in (BASE64, TEXT):
        raise IncompleteDataError(f"format is {BASE64} or {TEXT}")
    return message_format


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        raise IncompleteDataError(f"{name} is missing, or no text")
    return value


def _written(received: Received, message_format: str) -> str:
    if message_format == BASE64:
        return base64.b64encode(received.message).decode("ascii")
    return received.message.decode("utf-8", "replace")


def _line(body: dict[str, Any]) -> bytes:
    return json.dumps(body).encode() + b"\n"
