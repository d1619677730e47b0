"""A message that is waiting to be sent, as the outbox keeps it."""

import os
from enum import IntEnum
from typing import NamedTuple

from nym.wire.keys import encode_base58
from nym.wire.pieces import Message

ID_LENGTH = 16


class Manner(IntEnum):
    """How a message travels."""

    PLAIN = 0  # as the published client sends it
    SEALED = 1  # anonymous: in an envelope, without a sender
    RELIABLE = 2  # in an envelope, with a sender; the recipient acknowledges it


class Ends(NamedTuple):
    """From where to where something is sent.

    `own` is the reply address that sends it, or empty: the main one. `peer` is the address that it
    goes to. If that is a reply address, `tag` is its name here; or it is empty.

    What is known about a peer is kept for both ends together. Two addresses of this client must not
    share it: a peer that writes to both could learn that they belong to the same client.
    """

    own: bytes
    peer: bytes
    tag: bytes = b""

    @property
    def pair(self) -> tuple[bytes, bytes]:
        """The two addresses."""
        return self.own, self.peer

    @property
    def is_reply(self) -> bool:
        """Whether one of them is a reply address."""
        return bool(self.own or self.tag)


class Outgoing(NamedTuple):
    """A message to `recipient`, an address of 32 bytes; `id` is ID_LENGTH bytes in hexadecimal.

    The outbox sets `accepted`, the time by its own clock, and `number`, a count since the start.

    `own` is the reply address that it is sent from, or empty: the client's main one. From a reply
    address, the message begins with a ReplyHead. `tag` names the recipient if it is a reply address
    of somebody else; or it is empty.
    """

    id: str
    recipient: bytes
    message: Message
    manner: Manner
    accepted: float = 0.0
    number: int = 0
    own: bytes = b""
    tag: bytes = b""

    @property
    def ends(self) -> Ends:
        """From where to where it goes."""
        return Ends(self.own, self.recipient, self.tag)

    @property
    def to(self) -> str:
        """The recipient as people see it. They see no reply address of others, but its tag."""
        return encode_base58(self.tag or self.recipient)


def new_id() -> str:
    """Return a random id, which no other message has."""
    return os.urandom(ID_LENGTH).hex()
