"""What a program's requests say (docs/protocol/sockets.md, "JSON objects")."""

import base64

from nym.application import arguments
from nym.application.errors import TooLongError
from nym.application.lines import Request
from nym.application.values import Message

LONGEST_MESSAGE = 16 << 20  # bytes


def way_back(question: Message | str, anonymous_reply: bool | None) -> Request:
    """What a request for an answer says about its way. Raises ValueError, TypeError."""
    way: Request
    if isinstance(question, str):
        way = {"type": "reply", "tag": question}
    elif not isinstance(question, Message):
        raise TypeError(f"question must be a Message or its tag, not {type(question).__name__}")
    elif question.reply_to is not None:
        way = {"type": "reply", "tag": question.reply_to}
    elif question.sender is not None:
        way = {"type": "send", "recipient_address": question.sender}
        # Whoever was written to without an address isn't shown one now, unless that is asked for.
        if anonymous_reply is None and question.reply_from is not None:
            anonymous_reply = True
    else:
        raise ValueError("this message has neither a tag nor a sender, so nobody can be answered")
    return {**way, **given(anonymous_reply=anonymous_reply)}


def encoded(message: str | bytes) -> str:
    """A message, as a field of a request. Raises TooLongError, TypeError."""
    data = arguments.content("message", message)
    # A line that is too long for the client would break the connection, without its reason.
    if len(data) > LONGEST_MESSAGE:
        raise TooLongError(f"the message has {len(data)} bytes; {LONGEST_MESSAGE} are allowed")
    return base64.b64encode(data).decode()


def given(**options: bool | None) -> dict[str, bool]:
    """What the program has chosen; what it left open, the client decides. Raises TypeError."""
    return {
        name: arguments.choice(name, value) for name, value in options.items() if value is not None
    }


def about(kind: str, message_id: str) -> dict[str, str]:
    """A request about a message. Raises TypeError."""
    return {"type": kind, "id": arguments.text("message_id", message_id)}


def part(data: bytes) -> Request:
    """The next bytes of a message that is handed over in parts."""
    return {"type": "part", "data": base64.b64encode(data).decode()}
