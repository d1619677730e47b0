"""Answers one local request, whatever dialect it came in."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from nym import __version__
from nym.envelope import is_sealable
from nym.errors import (
    BadRecipientError,
    IncompleteDataError,
    MessageTooLongError,
    NoSuchMessageError,
    NoTopologyError,
    RequestError,
)
from nym.health import Avoided
from nym.store.inbox import Inbox
from nym.store.outbox import Manner, Outbox, Outgoing, new_id
from nym.topology import ProviderNode, Topology
from nym.wire.keys import encode_base58
from nym.wire.requests import (
    Acknowledge,
    Acknowledged,
    AvoidedNode,
    ClientList,
    Clients,
    Details,
    Fetch,
    Fetched,
    Flush,
    Flushed,
    KnownClient,
    MessageProgress,
    OwnDetails,
    Progress,
    Request,
    Response,
    Send,
    Sent,
    State,
    Status,
    StatusReport,
    Subscribe,
    Subscribed,
)
from nym.wire.sizes import LONGEST_MESSAGE, LONGEST_SEALED


class View(NamedTuple):
    """What the running client knows just now."""

    topology: Topology | None
    provider: ProviderNode | None
    is_registered: bool
    is_served: bool = True  # what waits at the provider comes from there
    partial: int = 0  # messages of which fragments are missing
    partial_lost: int = 0  # of those, given up
    packets_real: int = 0
    packets_cover: int = 0
    loops_sent: int = 0
    loops_returned: int = 0
    loop_time: float | None = None
    loss: float | None = None
    avoided: Sequence[Avoided] = ()


class Service:
    """What a client does for the applications beside it."""

    def __init__(
        self,
        address: bytes,
        outbox: Outbox,
        inbox: Inbox,
        view: Callable[[], View],
        progress: Callable[[str], tuple[int, int] | None],
        manner: Manner,
    ) -> None:
        self.inbox = inbox
        self.outbox = outbox
        self._address = address
        self._view = view
        self._progress = progress
        self.manner = manner  # of messages that ask for none
        self._started = time.monotonic()

    def answer(self, request: Request) -> Response:
        """Do what is asked. Raises a RequestError, whose text is for the application."""
        match request:
            case Send():
                (outcome,) = self.send([request])
                if isinstance(outcome, RequestError):
                    raise outcome
                return outcome
            case Fetch():
                return Fetched(self.inbox.take(*request))
            case Clients():
                return ClientList(_known_clients(self._view().topology))
            case Details():
                return OwnDetails(_known(self._address, self._view().provider))
            case Flush():
                return Flushed()
            case Status():
                return self._status()
            case Subscribe():
                return Subscribed(*request)
            case Progress(message_id):
                return self._progress_of(message_id)
            case Acknowledge(message_id):
                if not self.inbox.acknowledge(message_id):
                    raise NoSuchMessageError(message_id)
                return Acknowledged(message_id)

    def send(self, requests: Iterable[Send]) -> list[Sent | RequestError]:
        """Accept messages: when this returns they are on disk, by one commit, but for errors."""
        outcomes: list[Outgoing | RequestError] = []
        for request in requests:
            try:
                outcomes.append(self._outgoing(request))
            except RequestError as error:
                outcomes.append(error)
        failures = iter(self.outbox.accept([o for o in outcomes if isinstance(o, Outgoing)]))
        return [
            outcome if isinstance(outcome, RequestError) else next(failures) or Sent(outcome.id)
            for outcome in outcomes
        ]

    def delivered(self, response: Response) -> None:
        """An answer reached the application: what was in it is the application's now."""
        if isinstance(response, Fetched):
            self.inbox.handed_over(response.messages)

    def take_back(self, response: Response) -> None:
        """An answer that did not reach the application: keep what was in it."""
        if isinstance(response, Fetched):
            self.inbox.give_back(response.messages)

    def _outgoing(self, request: Send) -> Outgoing:
        manner = self._manner_of(request)
        longest = LONGEST_MESSAGE if manner is Manner.PLAIN else LONGEST_SEALED
        if len(request.message) > longest:
            raise MessageTooLongError(len(request.message), longest)
        if manner is not Manner.PLAIN and not is_sealable(request.recipient):
            raise BadRecipientError
        return Outgoing(new_id(), request.recipient, request.message, manner)

    def _manner_of(self, request: Send) -> Manner:
        match request.is_plain, request.is_reliable:
            case True, True:
                raise IncompleteDataError(
                    "a plain message can't be reliable: nobody would acknowledge it"
                )
            case True, _:
                return Manner.PLAIN
            case _, True:
                return Manner.RELIABLE
            case False, False:
                return Manner.SEALED
            case False, None:
                return max(self.manner, Manner.SEALED)
            case None, False:
                return min(self.manner, Manner.SEALED)
        return self.manner

    def _progress_of(self, message_id: str) -> MessageProgress:
        if message_id in self.outbox:
            return MessageProgress(message_id, "waiting", *(self._progress(message_id) or ()))
        return MessageProgress(
            message_id, "failed" if self.outbox.has_failed(message_id) else "done"
        )

    def _status(self) -> StatusReport:
        view = self._view()
        return StatusReport(
            version=__version__,
            state=_state(view),
            address=encode_base58(self._address),
            provider=encode_base58(view.provider.public_key) if view.provider else None,
            registered=view.is_registered,
            uptime=round(time.monotonic() - self._started, 3),
            outbox=len(self.outbox),
            inbox=len(self.inbox),
            inbox_lost=self.inbox.lost,
            partial=view.partial,
            partial_lost=view.partial_lost,
            failed=self.outbox.failed,
            packets_real=view.packets_real,
            packets_cover=view.packets_cover,
            loops_sent=view.loops_sent,
            loops_returned=view.loops_returned,
            loop_time=_rounded(view.loop_time),
            loss=_rounded(view.loss),
            avoided_nodes=[
                AvoidedNode(key=encode_base58(node), why=why, seconds=round(seconds, 1))
                for node, why, seconds in view.avoided
            ],
        )


def _state(view: View) -> State:
    if view.topology is None:
        return "waiting_for_directory"
    return "running" if view.is_registered and view.is_served else "waiting_for_provider"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


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
