"""The texts in JSON objects: those of requests, and messages as texts in answers."""

import codecs
import json
from collections.abc import Iterator
from typing import Any

from nym.errors import IncompleteDataError
from nym.wire.keys import decode_tag
from nym.wire.long_json import LongText, pieces_of
from nym.wire.pieces import Message, Rest, cut, gather


def short_text(body: dict[str, Any], name: str) -> str:
    """The text under this name. Raises IncompleteDataError, also for a long one."""
    value = any_text(body, name)
    if isinstance(value, LongText):
        raise IncompleteDataError(f"{name} is too long")
    return value


def tag_in(body: dict[str, Any], name: str) -> bytes:
    """The tag under this name. Raises IncompleteDataError."""
    try:
        return decode_tag(short_text(body, name))
    except ValueError as error:
        raise IncompleteDataError(f"{name} is not a tag: {error}") from error


def any_text(body: dict[str, Any], name: str) -> str | LongText:
    """The text under this name. Raises IncompleteDataError."""
    value = body.get(name)
    if not isinstance(value, str | LongText):
        raise IncompleteDataError(f"{name} is missing, or isn't a text")
    return value


def message_in(body: dict[str, Any], name: str, rest: Rest) -> Message:
    """The bytes of the text under this name, which is a message. Raises IncompleteDataError."""
    return gather(_encoded(any_text(body, name), rest))


def _encoded(text: str | LongText, rest: Rest) -> Iterator[bytes]:
    for piece in pieces_of(text):
        yield piece.encode()
        rest()


def escaped(message: Message) -> Iterator[str]:
    """The inside of a message's JSON text, in pieces. U+FFFD stands for what isn't UTF-8."""
    # A piece may end inside a character, so the decoder keeps its beginning for the next piece.
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    for piece in cut(message):
        yield json.dumps(decode(piece))[1:-1]
    yield json.dumps(decode(b"", True))[1:-1]
