"""Answers one local request, whatever dialect it came in."""

from collections.abc import Callable

from nym.errors import MessageTooLongError, NoTopologyError
from nym.store import Inbox, Outbox, Outgoing
from nym.topology import ProviderNode, Topology
from nym.wire.requests import (
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
)
from nym.wire.sizes import LONGEST_MESSAGE


class Service:
    """What a client does for the applications beside it."""

    def __init__(
        self,
        address: bytes,
        outbox: Outbox,
        inbox: Inbox,
        topology: Callable[[], Topology | None],
        provider: Callable[[], ProviderNode | None],
    ) -> None:
        self._address = address
        self._outbox = outbox
        self._inbox = inbox
        self._topology = topology
        self._provider = provider

    def answer(self, request: Request) -> Response:
        """Do what is asked. Raises a RequestError, whose text is for the application."""
        match request:
            case Send(recipient, message):
                if len(message) > LONGEST_MESSAGE:
                    raise MessageTooLongError(len(message), LONGEST_MESSAGE)
                self._outbox.accept(Outgoing(recipient, message))
                return Sent()
            case Fetch(most_bytes):
                return Fetched(self._inbox.take(most_bytes))
            case Clients():
                topology = self._topology()
                if topology is None:
                    raise NoTopologyError
                return ClientList(_known_clients(topology))
            case Details():
                return OwnDetails(_known(self._address, self._provider()))
            case Flush():
                return Flushed()

    def take_back(self, response: Response) -> None:
        """An answer that did not reach the application: keep what was in it."""
        if isinstance(response, Fetched):
            self._inbox.give_back(response.messages)


def _known(address: bytes, provider: ProviderNode | None) -> KnownClient:
    if provider is None:
        return KnownClient(address)
    return KnownClient(address, provider.public_key, provider.address)


def _known_clients(topology: Topology) -> list[KnownClient]:
    """Each client once, in a fixed order, whatever the number of providers that list it."""
    known = {c: _known(c, provider) for provider in topology.providers for c in provider.clients}
    return [known[address] for address in sorted(known)]
