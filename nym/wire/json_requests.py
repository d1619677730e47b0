"""Requests of the JSON dialect: one object each (docs/protocol/sockets.md).

The objects are those of the published client's WebSocket, with additions: ids, binary messages as
base64, subscriptions, and requests about the client's state. Long texts are read in pieces, so that
a message of 16 MiB doesn't hold up everything else. nym/wire/json_answers.py writes the answers.
"""

import json
from typing import Any

from nym.errors import IncompleteDataError, UnknownRequestError
from nym.wire.base64 import decode_pieces
from nym.wire.json_answers import BASE64, TEXT
from nym.wire.json_texts import any_text, message_in, short_text, tag_in
from nym.wire.lines import Line
from nym.wire.long_json import check_characters, loads, pieces_of
from nym.wire.pieces import Message, Rest, no_rest
from nym.wire.recipients import Recipient, parse_recipient
from nym.wire.requests import (
    MOST_OFFERED,
    Acknowledge,
    AddContact,
    Cancel,
    CancelAll,
    Clients,
    Contacts,
    Correspondents,
    Details,
    Fetch,
    History,
    Loops,
    Network,
    Part,
    Progress,
    Read,
    RemoveContact,
    RenameContact,
    Reply,
    Request,
    Send,
    Status,
    Subscribe,
    Waiting,
)

_LARGEST = 1 << 53  # above it, JavaScript's numbers aren't exact
SHORTEST_PERIOD, LONGEST_PERIOD = 0.5, 3600.0  # seconds between two reports
_TYPES = (
    "send",
    "reply",
    "fetch",
    "getClients",
    "ownDetails",
    "contacts",
    "addContact",
    "renameContact",
    "removeContact",
    "correspondents",
    "part",
    "subscribe",
    "read",
    "ack",
    "status",
    "history",
    "loops",
    "network",
    "progress",
    "outbox",
    "cancel",
)


def parse(line: Line, rest: Rest = no_rest) -> dict[str, Any]:
    """The JSON object in a line or a message. In one that came in pieces, long texts are LongText.

    Raises UnknownRequestError.
    """
    try:
        if isinstance(line, bytes):
            body = json.loads(line.decode())
            # Only an escape can stand for half a surrogate pair; raw UTF-8 can't contain one.
            if b"\\u" in line:
                check_characters(body)
        else:
            body = loads(line, rest)
    except UnicodeEncodeError as error:
        raise UnknownRequestError("a text contains half of a surrogate pair") from error
    except (ValueError, RecursionError) as error:
        raise UnknownRequestError(f"a JSON object was expected: {error}") from error
    if not isinstance(body, dict):
        raise UnknownRequestError("a JSON object was expected")
    return body


def decode_request(body: dict[str, Any], rest: Rest = no_rest) -> tuple[Request, str]:
    """(the request, how its answer has to write messages: BASE64 or TEXT).

    Raises a RequestError, whose text is for the application.
    """
    match body.get("type"):
        case "send":
            return _decode_send(body, rest), TEXT
        case "reply":
            return _decode_reply(body, rest), TEXT
        case "part":
            return Part(_bytes(body, rest)), TEXT
        case "fetch":
            return Fetch(), _format(body)
        case "getClients":
            return Clients(), TEXT
        case "ownDetails":
            return Details(_flag(body, "code") is True), TEXT
        case "contacts":
            return Contacts(), TEXT
        case "addContact":
            return AddContact(short_text(body, "name"), _recipient(body)), TEXT
        case "renameContact":
            return RenameContact(short_text(body, "name"), short_text(body, "new_name")), TEXT
        case "removeContact":
            return RemoveContact(short_text(body, "name")), TEXT
        case "correspondents":
            return Correspondents(), TEXT
        case "subscribe":
            return _decode_subscribe(body), BASE64
        case "read":
            return Read(short_text(body, "id")), BASE64
        case "ack":
            return Acknowledge(short_text(body, "id")), TEXT
        case "status":
            return Status(_period(body)), TEXT
        case "history":
            return History(), TEXT
        case "loops":
            return Loops(), TEXT
        case "network":
            return Network(), TEXT
        case "progress":
            return Progress(short_text(body, "id")), TEXT
        case "outbox":
            return Waiting(_number(body, "after", 0, 0, _LARGEST)), TEXT
        case "cancel":
            return _decode_cancel(body), TEXT
    raise UnknownRequestError(f"type has to be one of {', '.join(_TYPES)}")


def _decode_send(body: dict[str, Any], rest: Rest) -> Send:
    is_plain, is_reliable = _flag(body, "plain"), _flag(body, "reliable")
    is_answerable = _flag(body, "anonymous_reply") is True
    recipient, provider = _recipient(body)
    message, is_in_parts = _message(body, rest)
    return Send(recipient, message, is_plain, is_reliable, provider, is_in_parts, is_answerable)


def _decode_reply(body: dict[str, Any], rest: Rest) -> Reply:
    tag = tag_in(body, "tag")
    message, is_in_parts = _message(body, rest)
    is_answerable = _flag(body, "anonymous_reply") is True
    return Reply(tag, message, _flag(body, "reliable"), is_in_parts, is_answerable)


def _message(body: dict[str, Any], rest: Rest) -> tuple[Message, bool]:
    """(the message, whether it is what came in parts before)."""
    is_in_parts = _flag(body, "parts") is True
    if ("data" in body) + ("message" in body) + is_in_parts != 1:
        raise IncompleteDataError(
            f'{body["type"]} takes either "message", a text, or "data", base64, or "parts":true'
        )
    if is_in_parts:
        return b"", True
    if "message" in body:
        return message_in(body, "message", rest), False
    return _bytes(body, rest), False


def _bytes(body: dict[str, Any], rest: Rest) -> Message:
    try:
        return decode_pieces(pieces_of(any_text(body, "data")), rest)
    except ValueError as error:
        raise IncompleteDataError(f"data: not base64: {error}") from error


def _decode_subscribe(body: dict[str, Any]) -> Subscribe:
    if _flag(body, "shared"):
        if named := [name for name in ("window", "follow") if name in body]:
            raise IncompleteDataError(f"a shared subscription has no {named[0]}")
        return Subscribe(is_shared=True)
    window = _number(body, "window", MOST_OFFERED, 1, MOST_OFFERED)
    return Subscribe(window, _flag(body, "follow") is not False)


def _period(body: dict[str, Any]) -> float:
    value = body.get("every", 0)
    # Not isinstance: to Python, true is an int.
    if type(value) not in (int, float) or not (
        value == 0 or SHORTEST_PERIOD <= value <= LONGEST_PERIOD
    ):
        raise IncompleteDataError(
            f"every has to be seconds from {SHORTEST_PERIOD:g} to {LONGEST_PERIOD:g}, or 0"
        )
    return float(value)


def _format(body: dict[str, Any]) -> str:
    message_format: str = body.get("format", TEXT)
    if message_format not in (BASE64, TEXT):
        raise IncompleteDataError(f"format has to be {BASE64} or {TEXT}")
    return message_format


def _flag(body: dict[str, Any], name: str) -> bool | None:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise IncompleteDataError(f"{name} has to be true or false")
    return value


def _decode_cancel(body: dict[str, Any]) -> Cancel | CancelAll:
    if sum(name in body for name in ("id", "recipient_address", "tag", "all")) != 1:
        raise IncompleteDataError(
            'cancel takes one of "id", "recipient_address", "tag" and "all":true'
        )
    if "id" in body:
        return Cancel(short_text(body, "id"))
    if "tag" in body:
        return CancelAll(tag_in(body, "tag"))
    if "recipient_address" in body:
        return CancelAll(_recipient(body).address)
    if _flag(body, "all") is not True:
        raise IncompleteDataError("all has to be true")
    return CancelAll()


def _number(body: dict[str, Any], name: str, default: int, least: int, most: int) -> int:
    value = body.get(name, default)
    # Not isinstance: to Python, true is an int.
    if type(value) is not int or not least <= value <= most:
        raise IncompleteDataError(f"{name} has to be a number from {least} to {most}")
    return value


def _recipient(body: dict[str, Any]) -> Recipient:
    try:
        return parse_recipient(short_text(body, "recipient_address"))
    except ValueError as error:
        raise IncompleteDataError(
            f"recipient_address is not an address ({error}); contacts' names work only in commands"
        ) from error
