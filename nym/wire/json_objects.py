"""The JSON dialect: one object per request, one per answer (docs/protocol/sockets.md).

The objects are those of the published client's WebSocket, with additions: ids, binary messages as
base64, subscriptions, and requests about the client's state. Long texts are read and written in
pieces, so that a message of 16 MiB doesn't hold up everything else.
"""

import json
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

from nym.errors import IncompleteDataError, RequestError, UnknownRequestError
from nym.wire.answers import (
    Acknowledged,
    AllCancelled,
    Cancelled,
    ClientList,
    ContactList,
    CorrespondentList,
    Drained,
    Failed,
    Fetched,
    Gone,
    KnownClient,
    MessageProgress,
    News,
    OwnDetails,
    PageLink,
    PartKept,
    Received,
    Response,
    Room,
    Sent,
    Shown,
    Subscribed,
    WaitingMessages,
)
from nym.wire.base64 import decode_pieces, encode_pieces
from nym.wire.json_texts import any_text, escaped, message_in, short_text, tag_in
from nym.wire.keys import encode_base58
from nym.wire.lines import Line
from nym.wire.long_json import check_characters, loads, pieces_of
from nym.wire.pieces import Message, Rest, joined, no_rest
from nym.wire.recipients import Recipient, parse_recipient
from nym.wire.reports import HistoryReport, LoopsReport, NetworkDetails, StatusReport
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
    Reply,
    Request,
    Send,
    Status,
    Subscribe,
    Waiting,
)
from nym.wire.sightings import Observing
from nym.wire.sightings import encode as encode_sighting
from nym.wire.sizes import LONGEST_FRAME

BASE64, TEXT = "base64", "text"
_LARGEST = 1 << 53  # above it, JavaScript's numbers aren't exact
# Bytes of a message that is shown with what is in it. Of a longer one, `read` brings the rest.
MOST_SHOWN = 1 << 14
BEGIN_SHOWN = 1 << 10
SHORTEST_PERIOD, LONGEST_PERIOD = 0.5, 3600.0  # seconds between two reports
_TYPES = (
    "send",
    "reply",
    "fetch",
    "getClients",
    "ownDetails",
    "contacts",
    "addContact",
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


def encode_response(response: Response, message_format: str) -> Iterator[str]:
    """The answer as JSON, in pieces if it is long."""
    if isinstance(response, Fetched):
        return joined(_fetched(response, message_format))
    if isinstance(response, ClientList):
        return _listed(response.clients)
    if isinstance(response, HistoryReport):
        return _history(response)
    if isinstance(response, Received):
        return _whole({**_about(response), "size": len(response.message)}, response)
    return iter([_answer(response)])


def _fetched(response: Fetched, message_format: str) -> Iterator[str]:
    yield '{"type":"fetch","messages":['
    for number, received in enumerate(response.messages):
        yield "," if number else ""
        yield from _written(received.message, message_format)
    yield f'],"sealed":{_object([received.sealed for received in response.messages])}}}'


_AT_ONCE = 200  # addresses in a piece, which take a millisecond or two


def _listed(clients: Iterable[KnownClient]) -> Iterator[str]:
    left, before = iter(clients), '{"type":"getClients","clients":['
    while some := list(islice(left, _AT_ONCE)):
        yield before + ",".join(f'"{encode_base58(client.address)}"' for client in some)
        before = ","
    yield "]}" if before == "," else f"{before}]}}"


def _history(report: HistoryReport) -> Iterator[str]:
    """Each column in a piece of its own: a thousand numbers take half a millisecond."""
    before = '{"type":"history","series":['
    for series in report.series:
        before += f'{{"step":{series.step}'
        for name, column in series.columns.items():
            values = [None if value != value else round(value, 4) for value in column]
            yield f'{before},"{name}":{_object(values)}'
            before = ""
        before = "},"
    yield "}]}"


def _answer(response: Response) -> str:
    match response:
        case Sent(message_id):
            return _object({"type": "send", "id": message_id})
        case OwnDetails(client, code):
            own = {"type": "ownDetails", "address": encode_base58(client.address)}
            return _object(own | ({"code": code} if code else {}))
        case ContactList(contacts):
            listed = [
                {"name": name, "address": str(recipient), "plain": is_plain}
                for name, recipient, is_plain in contacts
            ]
            return _object({"type": "contacts", "contacts": listed})
        case CorrespondentList():
            lists = {name: list(map(encode_base58, of)) for name, of in response._asdict().items()}
            return _object({"type": "correspondents", **lists})
        case PartKept(length):
            return _object({"type": "part", "bytes": length})
        case Subscribed():
            return _object({"type": "subscribe"})
        case Observing():
            return encode_sighting(response)
        case PageLink(link):
            return _object({"type": "page", "link": link})
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
        case LoopsReport():
            return _object({"type": "loops", **response._asdict()})
        case NetworkDetails():
            return _object({"type": "network", **response._asdict()})
    raise TypeError(f"no JSON request is answered with {type(response).__name__}")


def encode_news(news: News) -> Iterator[str]:
    """News for a subscriber as JSON, in pieces if it is long."""
    match news:
        case Received():
            return _whole(_about(news), news)
        case Shown(received):
            about = {**_about(received), "size": len(received.message)}
            if len(received.message) <= MOST_SHOWN:
                return _whole(about, received)
            begin = "".join(encode_pieces(received.message[:BEGIN_SHOWN]))
            return iter([_object({**about, "begin": begin})])
        case Gone(message_id):
            return iter([_object({"type": "gone", "id": message_id})])
        case Failed(message_id):
            return iter([_object({"type": "failed", "id": message_id})])
        case Drained():
            return iter([_object({"type": "end"})])


def _about(received: Received) -> dict[str, Any]:
    about = {
        "type": "message",
        "id": received.id,
        "sender": received.sender and encode_base58(received.sender),
        "sealed": received.sealed,
        "received": received.at,
    }
    # Left out where there is nothing to say, as in messages of earlier versions.
    if received.reply_to:
        about["reply_to"] = encode_base58(received.reply_to)
    if received.reply_from:
        about["reply_from"] = encode_base58(received.reply_from)
    return about


def _whole(about: dict[str, Any], received: Received) -> Iterator[str]:
    begin, data = _object(about)[:-1], _written(received.message, BASE64)
    return joined(chain([f'{begin},"data":'], data, ["}"]))


def encode_error(error: RequestError) -> str:
    """An error as JSON."""
    return _object({"type": "error", "message": str(error), "code": error.code})


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


def _written(message: Message, message_format: str) -> Iterator[str]:
    """A message as a JSON string, in pieces."""
    yield '"'
    yield from encode_pieces(message) if message_format == BASE64 else escaped(message)
    yield '"'


def _base64_size(message: Message) -> int:
    return (len(message) + 2) // 3 * 4 + len('"",') + len(_SEAL)


def _text_size(message: Message) -> int:
    if len(message) > LONGEST_FRAME:
        # Its text is at least as long, so it fits beside no other message; the exact size doesn't
        # matter.
        return len(message)
    return sum(map(len, _written(message, TEXT))) + len(",") + len(_SEAL)


# What an answer to a fetch takes besides its messages, and the most that each adds to "sealed".
_FETCHED = len('{"type":"fetch","messages":[],"sealed":[]}')
_SEAL = "false,"
# How many messages fit into one answer, for each format.
ROOMS = {
    BASE64: Room(LONGEST_FRAME - _FETCHED, _base64_size),
    TEXT: Room(LONGEST_FRAME - _FETCHED, _text_size),
}


def _object(body: dict[str, Any] | list[Any]) -> str:
    return json.dumps(body, separators=(",", ":"))
