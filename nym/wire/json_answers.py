"""Answers, news and errors of the JSON dialect: one object each (docs/protocol/sockets.md).

They are those of the published client's WebSocket, with additions. Long ones are written in pieces,
so that a message of 16 MiB doesn't hold up everything else. nym/wire/json_requests.py reads the
requests.
"""

import json
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

from nym.errors import RequestError
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
from nym.wire.base64 import encode_pieces
from nym.wire.json_texts import escaped
from nym.wire.keys import encode_base58
from nym.wire.pieces import Message, joined
from nym.wire.reports import HistoryReport, LoopsReport, NetworkDetails, StatusReport
from nym.wire.sightings import Observing
from nym.wire.sightings import encode as encode_sighting
from nym.wire.sizes import LONGEST_FRAME

BASE64, TEXT = "base64", "text"  # how a message is written
# Bytes of a message that is shown with what is in it. Of a longer one, `read` brings the rest.
MOST_SHOWN = 1 << 14
BEGIN_SHOWN = 1 << 10
_AT_ONCE = 200  # addresses in a piece, which take a millisecond or two


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
