"""Answers one local request, whatever dialect it came in."""

import time
from collections.abc import Callable
from typing import NamedTuple

from nym.errors import MessageTooLongError, NoSuchMessageError, NoTopologyError
from nym.store import Inbox, Outbox, Outgoing
from nym.topology import ProviderNode, Topology
from nym.wire.keys import encode_base58
from nym.wire.requests import (
    Acknowledge,
    Acknowledged,
    ClientList,
    Clients,
    Details,
    Fetch,
    Fetched,
    Flush,
    Flushed,
    KnownClient,
    OwnDetails,
    Request,
    Response,
    Send,
    Sent,
    Status,
    StatusReport,
    Subscribe,
    Subscribed,
)
from nym.wire.sizes import LONGEST_MESSAGE


class View(NamedTuple):
    """What the running client knows just now."""

    topology: Topology | None
    provider: ProviderNode | None
    is_registered: bool


class Service:
    """What a client does for the applications beside it."""

    def __init__(
        self, address: bytes, outbox: Outbox, inbox: Inbox, view: Callable[[], View]
    ) -> None:
        self.inbox = inbox
        self._address = address
        self._outbox = outbox
        self._view = view
        self._started = time.monotonic()

    def answer(self, request: Request) -> Response:
        """Do what is asked. Raises a RequestError, whose text is for the application."""
        match request:
            case Send(recipient, message):
                if len(message) > LONGEST_MESSAGE:
                    raise MessageTooLongError(len(message), LONGEST_MESSAGE)
                return Sent(self._outbox.accept(Outgoing(recipient, message)))
            case Fetch(most_bytes, size):
                return Fetched(self.inbox.take(most_bytes, size))
            case Clients():
                return ClientList(_known_clients(self._view().topology))
            case Details():
                return OwnDetails(_known(self._address, self._view().provider))
            case Flush():
                return Flushed()
            case Status():
                return self._status()
            case Subscribe():
                return Subscribed()
            case Acknowledge(message_id):
                if not self.inbox.acknowledge(message_id):
                    raise NoSuchMessageError(message_id)
                return Acknowledged(message_id)

    def take_back(self, response: Response) -> None:
        """An answer that did not reach the application: keep what was in it."""
        if isinstance(response, Fetched):
            self.inbox.give_back(response.messages)

    def _status(self) -> StatusReport:
        view = self._view()
        return StatusReport(
            address=encode_base58(self._address),
            provider=encode_base58(view.provider.public_key) if view.provider else None,
            registered=view.is_registered,
            uptime=round(time.monotonic() - self._started, 3),
            outbox=len(self._outbox),
            inbox=len(self.inbox),
            inbox_lost=self.inbox.lost,
        )


def _known(address: bytes, provider: ProviderNode | None) -> KnownClient:
    if provider is None:
        return KnownClient(address)
    return KnownClient(address, provider.public_key, provider.address)


def _known_clients(topology: Topology | None) -> list[KnownClient]:
    """Each client once, in a fixed order, whatever the number of providers that list it."""
    if topology is None:
        raise NoTopologyError
    known = {c: _known(c, provider) for provider in topology.providers for c in provider.clients}
    return [known[address] for address in sorted(known)]
