"""A message that is to be sent, as the outbox keeps it."""

from enum import IntEnum
from typing import NamedTuple

from nym.wire.pieces import Message

ID_LENGTH = 16


class Manner(IntEnum):
    """How a message travels."""

    PLAIN = 0  # as the published client sends it
    SEALED = 1  # in an envelope, from nobody
    RELIABLE = 2  # in an envelope, acknowledged


class Outgoing(NamedTuple):
    """A message to `recipient`, an address of 32 bytes; `id` is ID_LENGTH bytes in hexadecimal.

    The outbox notes when it was `accepted`, by its own clock, and its `number` since the start.
    """

    id: str
    recipient: bytes
    message: Message
    manner: Manner
    accepted: float = 0.0
    number: int = 0
