"""A message that is waiting to be sent, as the outbox keeps it."""

import os
from enum import IntEnum
from typing import NamedTuple

from nym.wire.pieces import Message

ID_LENGTH = 16


class Manner(IntEnum):
    """How a message travels."""

    PLAIN = 0  # as the published client sends it
    SEALED = 1  # anonymous: in an envelope, without a sender
    RELIABLE = 2  # in an envelope, with a sender; the recipient acknowledges it


class Outgoing(NamedTuple):
    """A message to `recipient`, an address of 32 bytes; `id` is ID_LENGTH bytes in hexadecimal.

    The outbox sets `accepted`, the time by its own clock, and `number`, a count since the start.
    """

    id: str
    recipient: bytes
    message: Message
    manner: Manner
    accepted: float = 0.0
    number: int = 0


def new_id() -> str:
    """Return a random id, which no other message has."""
    return os.urandom(ID_LENGTH).hex()
