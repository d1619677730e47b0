"""What a request of this dialect asks for, and the forms in which answers are written."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from nym.errors import RequestError
from nym.wire.answers import OwnDetails, Received
from nym.wire.recipients import Recipient
from nym.wire.requests import Details, Reply, Send


class Wanted(NamedTuple):
    """What a request asks for.

    `request` has to be carried out, if there is one. The answer to a message, if any, is how long
    the queue of its `lane` is. A lane is a number that the application has chosen.
    """

    request: Send | Reply | Details | None
    lane: int | None = None


class Form(Protocol):
    """Texts or binary messages, as the client writes them: each method gives a whole message."""

    is_text: bool

    def own_address(self, own: OwnDetails) -> bytes:
        """The answer that has the client's own address."""

    def queue_length(self, lane: int, length: int) -> bytes:
        """The answer that says how long the queue of a lane is."""

    def received(self, received: Received) -> Iterator[bytes]:
        """A message for the application, in pieces."""

    def error(self, error: RequestError) -> bytes:
        """The answer to a request that can't be granted."""


def own_recipient(own: OwnDetails) -> Recipient:
    """The client itself, as others address it: at its provider, if that is known."""
    return Recipient(own.client.address, own.provider_identity or own.client.provider_key or None)
