"""One JSON object a request, one an answer (docs/protocol/sockets.md, "JSON objects").

Those of the published client's WebSocket, with additions: ids, binary messages as base64,
subscriptions.
"""

import base64
import json
from typing import Any

from nym.errors import IncompleteDataError, RequestError, UnknownRequestError
from nym.wire.base64 import decode as decode_base64
from nym.wire.keys import decode_base58, encode_base58
from nym.wire.requests import (
    MOST_OFFERED,
    Acknowledge,
    Acknowledged,
    AllCancelled,
    Cancel,
    CancelAll,
    Cancelled,
    ClientList,
    Clients,
    Details,
    Drained,
    Failed,
    Fetch,
    Fetched,
    MessageProgress,
    News,
    OwnDetails,
    Progress,
    Received,
    Request,
    Response,
    Room,
    Send,
    Sent,
    Status,
    StatusReport,
    Subscribe,
    Subscribed,
    Waiting,
    WaitingMessages,
)
from nym.wire.sizes import LONGEST_FRAME

BASE64, TEXT = "base64", "text"
_LARGEST = 1 << 53  # that JavaScript has a number for
_TYPES = (
    "send",
    "fetch",
    "getClients",
    "ownDetails",
    "subscribe",
    "ack",
    "status",
    "progress",
    "outbox",
    "cancel",
)


def parse(line: bytes) -> dict[str, Any]:
    """The JSON object in a line or a message. Raises UnknownRequestError."""
    try:
        body = json.loads(line.decode())
        if b"\\u" in line:
            # An escape can be half a character, which no text that leaves here can have.
            json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise UnknownRequestError("a text has half a character in it") from error
    except (ValueError, RecursionError) as error:
        raise UnknownRequestError(f"a JSON object was expected: {error}") from error
    if not isinstance(body, dict):
        raise UnknownRequestError("a JSON object was expected")
    return body


def decode_request(body: dict[str, Any]) -> tuple[Request, str]:
    """(the request, how messages in the answer are to be written: BASE64 or TEXT).

    Raises a RequestError, whose text is for the application.
    """
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
            follows = _flag(body, "follow")
            window = _number(body, "window", MOST_OFFERED, 1, MOST_OFFERED)
            return Subscribe(window, follows is not False), BASE64
        case "ack":
            return Acknowledge(_text(body, "id")), TEXT
        case "status":
            return Status(), TEXT
        case "progress":
            return Progress(_text(body, "id")), TEXT
        case "outbox":
            return Waiting(_number(body, "after", 0, 0, _LARGEST)), TEXT
        case "cancel":
            return _decode_cancel(body), TEXT
    raise UnknownRequestError(f"type is one of {', '.join(_TYPES)}")


def encode_response(response: Response, message_format: str) -> str:
    """The answer."""
    match response:
        case Sent(message_id):
            return _object({"type": "send", "id": message_id})
        case Fetched(messages):
            written = [_written(received.message, message_format) for received in messages]
            return _object({"type": "fetch", "messages": written})
        case ClientList(clients):
            listed = [encode_base58(client.address) for client in clients]
            return _object({"type": "getClients", "clients": listed})
        case OwnDetails(client):
            return _object({"type": "ownDetails", "address": encode_base58(client.address)})
        case Subscribed():
            return _object({"type": "subscribe"})
        case Acknowledged(message_id):
            return _object({"type": "ack", "id": message_id})
        case MessageProgress():
            return _object({"type": "progress", **response._asdict()})
        case WaitingMessages():
            return _object({"type": "outbox", **response._asdict()})
        case Cancelled(message_id):
            return _object({"type": "cancel", "id": message_id})
        case AllCancelled(ids):
            return _object({"type": "cancel", "ids": ids})
        case StatusReport():
            return _object({"type": "status", **response._asdict()})
    raise TypeError(f"JSON never asks for {type(response).__name__}")


def encode_news(news: News) -> str:
    """What a subscriber is told."""
    match news:
        case Received():
            return _object(
                {
                    "type": "message",
                    "id": news.id,
                    "data": _written(news.message, BASE64),
                    "sender": news.sender and encode_base58(news.sender),
                    "received": news.at,
                }
            )
        case Failed(message_id):
            return _object({"type": "failed", "id": message_id})
        case Drained():
            return _object({"type": "end"})


def encode_error(error: RequestError) -> str:
    """An error."""
    return _object({"type": "error", "message": str(error), "code": error.code})


def _decode_send(body: dict[str, Any]) -> Send:
    is_plain, is_reliable = _flag(body, "plain"), _flag(body, "reliable")
    recipient = _address(body)
    if ("data" in body) == ("message" in body):
        raise IncompleteDataError("send takes either message, a text, or data, base64")
    try:
        if "message" in body:
            message = _text(body, "message").encode()
        else:
            message = decode_base64(_text(body, "data"))
    except ValueError as error:
        raise IncompleteDataError(f"data: not base64: {error}") from error
    return Send(recipient, message, is_plain, is_reliable)


def _format(body: dict[str, Any]) -> str:
    message_format: str = body.get("format", TEXT)
    if message_format not in (BASE64, TEXT):
        raise IncompleteDataError(f"format is {BASE64} or {TEXT}")
    return message_format


def _flag(body: dict[str, Any], name: str) -> bool | None:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise IncompleteDataError(f"{name} is true or false")
    return value


def _decode_cancel(body: dict[str, Any]) -> Cancel | CancelAll:
    if sum(name in body for name in ("id", "recipient_address", "all")) != 1:
        raise IncompleteDataError('cancel takes either id, recipient_address or "all": true')
    if "id" in body:
        return Cancel(_text(body, "id"))
    if "recipient_address" in body:
        return CancelAll(_address(body))
    if _flag(body, "all") is not True:
        raise IncompleteDataError("all is true")
    return CancelAll()


def _number(body: dict[str, Any], name: str, default: int, least: int, most: int) -> int:
    value = body.get(name, default)
    if type(value) is not int or not least <= value <= most:
        raise IncompleteDataError(f"{name} is a number from {least} to {most}")
    return value


def _address(body: dict[str, Any]) -> bytes:
    try:
        return decode_base58(_text(body, "recipient_address"))
    except ValueError as error:
        raise IncompleteDataError(f"recipient_address: {error}") from error


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        raise IncompleteDataError(f"{name} is missing, or no text")
    return value


def _written(message: bytes, message_format: str) -> str:
    if message_format == BASE64:
        return base64.b64encode(message).decode("ascii")
    return message.decode("utf-8", "replace")


def _base64_size(message: bytes) -> int:
    return len(base64.b64encode(message)) + len('"",')


def _text_size(message: bytes) -> int:
    return len(json.dumps(_written(message, TEXT))) + len(",")


_FETCHED = len('{"type":"fetch","messages":[]}')
# By format.
ROOMS = {
    BASE64: Room(LONGEST_FRAME - _FETCHED, _base64_size),
    TEXT: Room(LONGEST_FRAME - _FETCHED, _text_size),
}


def _object(body: dict[str, Any]) -> str:
    return json.dumps(body, separators=(",", ":"))
