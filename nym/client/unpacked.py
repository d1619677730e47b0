"""What applications get of a message that has arrived."""

from typing import NamedTuple

from nym.envelope import Fragment
from nym.wire.pieces import Message


class Unpacked(NamedTuple):
    """The message, and what is known about where it came from (see nym.wire.answers.Received)."""

    message: Message
    sender: bytes | None = None
    reply_to: bytes | None = None
    reply_from: bytes | None = None
    account: bytes = b""


def as_it_came(last: Fragment, own: bytes, message: Message) -> Unpacked:
    """That of a message between main addresses: nothing but the message is in it."""
    return Unpacked(message, last.sender)
