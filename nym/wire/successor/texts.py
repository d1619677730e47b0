"""Requests and answers as JSON objects in text messages.

    {"type":"selfAddress"}                               -> {"type":"selfAddress","address":A}
    {"type":"send","recipient":A,"message":TEXT}         -> nothing
    {"type":"sendAnonymous", as in a send}               -> nothing
    {"type":"reply","senderTag":TAG,"message":TEXT}      -> nothing

With a "connectionId", the number of a lane, the answer to a message is a laneQueueLength. Until
1.1.0, "withReplySurb":true in a send stood for sendAnonymous, and a tag was called "replySurb". The
examples that are published still speak like that.
"""

import json
from collections.abc import Iterator
from typing import Any

from nym.errors import IncompleteDataError, RequestError
from nym.wire import json_answers
from nym.wire.answers import OwnDetails, Received
from nym.wire.json_texts import escaped, message_in, short_text, tag_in
from nym.wire.keys import encode_base58
from nym.wire.pieces import Rest, no_rest
from nym.wire.recipients import Recipient
from nym.wire.requests import Details, Reply, Send
from nym.wire.successor.addresses import parse
from nym.wire.successor.forms import Wanted, own_recipient

_LARGEST_LANE = (1 << 64) - 1


def is_request(body: dict[str, Any]) -> bool:
    """Whether a JSON object is a request of this dialect, by its type and its fields."""
    match body.get("type"):
        case "selfAddress" | "sendAnonymous":
            return True
        case "send":
            return "recipient" in body and "recipient_address" not in body
        case "reply":
            return "senderTag" in body or is_early(body)
    return False


def is_early(body: dict[str, Any]) -> bool:
    """Whether a request has fields that there were until 1.1.0 only."""
    return "withReplySurb" in body or "replySurb" in body


def decode(body: dict[str, Any], rest: Rest = no_rest) -> Wanted:
    """What a request asks for. Raises a RequestError."""
    if body["type"] == "selfAddress":
        return Wanted(Details())
    message = message_in(body, "message", rest)
    if body["type"] == "reply":
        tag_name = "replySurb" if is_early(body) else "senderTag"
        return Wanted(Reply(tag_in(body, tag_name), message), _lane(body))
    is_answerable = body["type"] == "sendAnonymous" or body.get("withReplySurb") is True
    address, provider = _recipient(body)
    send = Send(address, message, provider=provider, is_answerable=is_answerable)
    return Wanted(send, _lane(body))


def _recipient(body: dict[str, Any]) -> Recipient:
    try:
        return parse(short_text(body, "recipient"))
    except ValueError as error:
        raise IncompleteDataError(f"recipient is not an address: {error}") from error


def _lane(body: dict[str, Any]) -> int | None:
    lane: int | None = body.get("connectionId")
    # Not isinstance: to Python, true is an int.
    if lane is None or (type(lane) is int and 0 <= lane <= _LARGEST_LANE):
        return lane
    raise IncompleteDataError(f"connectionId has to be a number from 0 to {_LARGEST_LANE}")


class TextForm:
    """JSON objects. `tag_name` is the field for the tag in a message that can be answered."""

    is_text = True

    def __init__(self, tag_name: str) -> None:
        self._tag_name = tag_name

    def own_address(self, own: OwnDetails) -> bytes:
        """See Form."""
        return _object({"type": "selfAddress", "address": str(own_recipient(own))})

    def queue_length(self, lane: int, length: int) -> bytes:
        """See Form."""
        return _object({"type": "laneQueueLength", "lane": lane, "queue_length": length})

    def received(self, received: Received) -> Iterator[bytes]:
        """See Form."""
        yield b'{"type":"received","message":"'
        for piece in escaped(received.message):
            yield piece.encode()
        tag = json.dumps(received.reply_to and encode_base58(received.reply_to))
        yield f'","{self._tag_name}":{tag}}}'.encode()

    def error(self, error: RequestError) -> bytes:
        """See Form. It has a `code`, as in the other JSON objects."""
        return json_answers.encode_error(error).encode()


TEXT = TextForm("senderTag")
EARLY_TEXT = TextForm("replySurb")


def _object(body: dict[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()
