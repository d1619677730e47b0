"""Answers one local request, whatever dialect it came in."""

from collections.abc import Callable

from nym.errors import NoTopologyError
from nym.store import Inbox, Outbox, Outgoing
from nym.topology import Topology
from nym.wire.requests import (
    ClientList,
    Clients,
    Details,
    Fetch,
    Fetched,
    OwnDetails,
    Request,
    Response,
    Send,
    Sent,
)


class Service:
    """What a client does for the applications beside it."""

    def __init__(
        self,
        address: bytes,
        outbox: Outbox,
        inbox: Inbox,
        topology: Callable[[], Topology | None],
    ) -> None:
        self._address = address
        self._outbox = outbox
        self._inbox = inbox
        self._topology = topology

    def answer(self, request: Request) -> Response:
        """Do what is asked. Raises a RequestError, whose text is for the application."""
        match request:
            case Send(recipient, message):
                self._outbox.accept(Outgoing(recipient, message))
                return Sent()
            case Fetch():
                return Fetched(self._inbox.take_all())
            case Clients():
                topology = self._topology()
                if topology is None:
                    raise NoTopologyError
                return ClientList(topology.clients())
            case Details():
                return OwnDetails(self._address)

    def take_back(self, response: Response) -> None:
        """An answer that did not reach the application: keep what was in it."""
        if isinstance(response, Fetched):
            self._inbox.give_back(response.messages)
