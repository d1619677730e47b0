"""What a client does for local applications: it answers requests, whatever their dialect.

Parsing and writing are the dialects' business (nym.wire), connections that of nym.sockets. Here, a
request is a value, and so is its answer.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from heapq import merge
from itertools import groupby, repeat
from operator import itemgetter
from typing import Protocol

from nym.contacts import CurrentContacts
from nym.envelope import REPLY_HEAD_LENGTH
from nym.errors import (
    BadRecipientError,
    IncompleteDataError,
    MessageTooLongError,
    NoSuchMessageError,
    NoTopologyError,
    RequestError,
    StoreError,
)
from nym.net.threads import beside_the_hub
from nym.sphinx import is_public_key
from nym.store.inbox import Inbox
from nym.store.outbox import Ends, Manner, Outbox, Outgoing, new_id
from nym.subscriptions import ExclusiveSubscription, SharedSubscription, Subscription
from nym.topology import ProviderNode, Topology
from nym.wire.answers import (
    UNLIMITED,
    Acknowledged,
    AllCancelled,
    Cancelled,
    ClientList,
    ContactList,
    CorrespondentList,
    Fetched,
    Flushed,
    KnownClient,
    KnownContact,
    MessageProgress,
    OwnDetails,
    Response,
    Room,
    Sent,
    WaitingMessages,
)
from nym.wire.clients import AddressList
from nym.wire.keys import encode_base58
from nym.wire.pieces import prefix
from nym.wire.qr import squares
from nym.wire.reports import (
    HistoryReport,
    LoopsReport,
    NetworkDetails,
    StatusReport,
    WaitingMessage,
)
from nym.wire.requests import (
    Acknowledge,
    AddContact,
    Cancel,
    CancelAll,
    Clients,
    Contacts,
    Correspondents,
    Details,
    Fetch,
    Flush,
    History,
    Loops,
    Network,
    Observe,
    Page,
    Part,
    Progress,
    Read,
    RemoveContact,
    RenameContact,
    Reply,
    Request,
    Send,
    Status,
    Subscribe,
    Waiting,
)
from nym.wire.sizes import LONGEST_MESSAGE, LONGEST_SEALED

LONGEST_ANSWERABLE = LONGEST_SEALED - REPLY_HEAD_LENGTH  # of messages that can carry an address


class View(Protocol):
    """What the running client knows at the moment."""

    @property
    def topology(self) -> Topology | None:
        """The network; None while it isn't known."""

    @property
    def provider(self) -> ProviderNode | None:
        """The client's provider; None while there is none."""

    def report(self) -> StatusReport:
        """The report that answers a status request."""

    def history(self) -> HistoryReport:
        """What was counted over time."""

    def loops_report(self) -> LoopsReport:
        """What loops show."""

    def network(self) -> NetworkDetails | None:
        """The nodes that the client uses; None while there is no network to use."""


class Messages(Protocol):
    """The messages that are on their way."""

    def progress(self, message_id: str) -> MessageProgress | None:
        """How far this message has come; None if it isn't on its way."""

    def waiting(self, after: int) -> tuple[list[WaitingMessage], int | None]:
        """(some of those behind number `after`, the `after` to ask with for more, or None)."""

    def cancel(self, ids: Iterable[str]) -> list[str]:
        """Cancel these messages, and return the ids of those that there were. Raises StoreError."""

    def cancel_all(self, recipient: bytes | None) -> list[str]:
        """Cancel all messages, or all to one recipient, an address or a tag, and return their ids.

        Raises StoreError.
        """


class Replies(Protocol):
    """Reply addresses, those of this client and those of others."""

    def address_for(self, correspondent: bytes) -> tuple[bytes, bytes]:
        """(a reply address that is given to this correspondent, what its messages begin with).

        Raises NoReplyAddressError, NoAnswersError.
        """

    def way_to(self, tag: bytes, *, is_answerable: bool) -> tuple[Ends, bytes]:
        """(from where to where an answer to this tag goes, what it begins with).

        `is_answerable`: it has to leave from a reply address. It does anyway if the message that
        came with the tag was for one. Raises NoSuchTagError, NoReplyAddressError, NoAnswersError.
        """

    def correspondents(self) -> list[bytes]:
        """Those to whom a reply address was given that has not ended: addresses, and tags."""

    def answered(self) -> list[bytes]:
        """Tags that came to the main address, were answered, and can be answered again."""


class Service:
    """Answers the requests of local applications."""

    def __init__(
        self,
        address: bytes,
        outbox: Outbox,
        inbox: Inbox,
        view: View,
        messages: Messages,
        manner: Manner,
        contacts: CurrentContacts,
        replies: Replies,
        name_provider: Callable[[bytes, bytes | None], None] = lambda _, __: None,
    ) -> None:
        self.inbox = inbox
        self.outbox = outbox
        self._address = address
        self._view = view
        self._messages = messages
        self.manner = manner  # for requests that don't choose one
        self._contacts = contacts
        self._replies = replies
        self._name_provider = name_provider  # told of each recipient, and what its provider is

    def answer(self, request: Request, room: Room = UNLIMITED) -> Response:
        """Do what is asked, and return the answer. `room` limits the messages in one answer.

        For Subscribe requests, callers use `subscribe` instead. Raises a RequestError, whose text
        is for the application.
        """
        match request:
            case Send() | Reply():
                return _only(self.send([request]))
            case Fetch():
                taken = self.inbox.take(
                    most_bytes=room.most_bytes, size=room.size, longest=room.longest
                )
                return Fetched(taken)
            case Clients():
                return ClientList(_known_clients(self._view.topology))
            case Details(has_code):
                provider = self._view.provider
                own = _known(self._address, provider)
                text = encode_base58(self._address)
                code = beside_the_hub(squares, text) if has_code else ()
                return OwnDetails(own, code, provider and provider.identity)
            case Contacts():
                return self._listed_contacts()
            case AddContact(name, recipient):
                # As in `contacts add`: only plain messages can go to any 32 bytes.
                address = recipient.address
                if not (is_public_key(address) or self._contacts.is_plain(address)):
                    raise BadRecipientError
                return self._changed_contacts(self._contacts.add, name, recipient)
            case RenameContact(name, new_name):
                return self._changed_contacts(self._contacts.rename, name, new_name)
            case RemoveContact(name):
                return self._changed_contacts(self._contacts.remove, name)
            case Correspondents():
                return CorrespondentList(self._replies.correspondents(), self._replies.answered())
            case Flush():
                return Flushed()
            case Status():
                return self._view.report()
            case History():
                return self._view.history()
            case Loops():
                return self._view.loops_report()
            case Network():
                if (network := self._view.network()) is None:
                    raise NoTopologyError
                return network
            case Subscribe():
                raise TypeError("use subscribe(), which knows whom to notify")
            case Part():
                raise TypeError("a connection keeps parts itself (nym.sockets.conversation)")
            case Observe() | Page():
                raise TypeError("only the control socket answers this (nym.sockets.control)")
            case Progress(message_id):
                return self._progress_of(message_id)
            case Waiting(after):
                return WaitingMessages(*self._messages.waiting(after))
            case Cancel(message_id):
                if not self._messages.cancel([message_id]):
                    raise NoSuchMessageError(message_id)
                return Cancelled(message_id)
            case CancelAll(recipient):
                return AllCancelled(self._messages.cancel_all(recipient))
            case Read(message_id):
                if (received := self.inbox.find(message_id)) is None:
                    raise NoSuchMessageError(message_id)
                return received
            case Acknowledge():
                return _only(self.acknowledge([request]))

    def has_messages(self) -> bool:
        """Whether a fetch would bring a message."""
        return self.inbox.has_free()

    def subscribe(self, request: Subscribe, notify: Callable[[], None]) -> "Subscription":
        """Start a subscription. `notify` is called whenever it may have news."""
        kind = SharedSubscription if request.is_shared else ExclusiveSubscription
        return kind(self.inbox, self.outbox, request, notify)

    def send(self, requests: Iterable[Send | Reply]) -> list[Sent | RequestError]:
        """Accept messages. Returns an outcome for each, in the same order.

        Those that are accepted are on disk when this returns. All of them are written in one
        commit, because each commit waits for the disk.
        """
        outcomes: list[Outgoing | RequestError] = []
        for request in requests:
            try:
                if isinstance(request, Reply):
                    outcomes.append(self._answer_to(request))
                else:
                    outcomes.append(self._outgoing(request))
            except RequestError as error:
                outcomes.append(error)
        failures = iter(self.outbox.accept([o for o in outcomes if isinstance(o, Outgoing)]))
        return [
            outcome if isinstance(outcome, RequestError) else next(failures) or Sent(outcome.id)
            for outcome in outcomes
        ]

    def acknowledge(self, requests: Iterable[Acknowledge]) -> list[Acknowledged | RequestError]:
        """Delete messages that applications have. Returns an outcome for each, in the same order.

        Those that are acknowledged are gone from the disk when this returns, by one commit, too.
        """
        ids = [request.id for request in requests]
        try:
            found = self.inbox.acknowledge(ids)
        except StoreError as error:
            return [error] * len(ids)
        return [
            Acknowledged(message_id) if is_there else NoSuchMessageError(message_id)
            for message_id, is_there in zip(ids, found, strict=True)
        ]

    def delivered(self, response: Response) -> None:
        """Note that an answer reached the application: its messages can leave the inbox."""
        if isinstance(response, Fetched):
            self.inbox.handed_over(response.messages)

    def take_back(self, response: Response) -> None:
        """Note that an answer did not reach the application: its messages stay in the inbox."""
        if isinstance(response, Fetched):
            self.inbox.give_back(response.messages)

    def _changed_contacts(self, change: Callable[..., None], *arguments: object) -> ContactList:
        # In a thread: it waits for the disk, and for others who change the file.
        beside_the_hub(change, *arguments)
        return self._listed_contacts()

    def _listed_contacts(self) -> ContactList:
        return ContactList(
            [
                KnownContact(name, contact.recipient, contact.is_plain)
                for name, contact in self._contacts.by_name()
            ]
        )

    def _outgoing(self, request: Send) -> Outgoing:
        manner = self._manner_of(request)
        if request.is_answerable and manner is Manner.PLAIN:
            raise IncompleteDataError("a plain message can't carry an address for an answer")
        sealed = LONGEST_ANSWERABLE if request.is_answerable else LONGEST_SEALED
        longest = LONGEST_MESSAGE if manner is Manner.PLAIN else sealed
        if len(request.message) > longest:
            raise MessageTooLongError(len(request.message), longest)
        # Anyone can post a provider whose address is this client's own socket, so that the client's
        # own pull arrives here. Its bytes, 01 00 | client address | token, are a send in the raw
        # dialect, to a recipient that begins with the 00. Its "message" would have the token in it.
        pulled = b"\0" + self._address[:-1]
        if request.recipient == pulled:
            raise BadRecipientError
        # Plain messages aren't encrypted for their recipient, so any 32 bytes can be an address, as
        # in the published client.
        if manner is not Manner.PLAIN and not is_public_key(request.recipient):
            raise BadRecipientError
        # Before the message: on disk, they are written in this order.
        self._name_provider(request.recipient, request.provider)
        own, head = b"", b""
        if request.is_answerable:
            own, head = self._replies.address_for(request.recipient)
        message = prefix(head, request.message)
        return Outgoing(new_id(), request.recipient, message, manner, own=own)

    def _answer_to(self, request: Reply) -> Outgoing:
        if len(request.message) > LONGEST_ANSWERABLE:
            raise MessageTooLongError(len(request.message), LONGEST_ANSWERABLE)
        is_reliable = self.manner is Manner.RELIABLE
        if request.is_reliable is not None:
            is_reliable = request.is_reliable
        manner = Manner.RELIABLE if is_reliable else Manner.SEALED
        ends, head = self._replies.way_to(request.tag, is_answerable=request.is_answerable)
        message = prefix(head, request.message)
        return Outgoing(new_id(), ends.peer, message, manner, own=ends.own, tag=ends.tag)

    def _manner_of(self, request: Send) -> Manner:
        """How the message travels: as requested, else as its recipient needs, else as configured.

        Raises RequestError.
        """
        if request.is_plain is None and self._contacts.is_plain(request.recipient):
            if request.is_reliable:
                raise IncompleteDataError(
                    "contacts.toml says that this recipient runs the published client, which "
                    'acknowledges nothing: leave out "reliable", or add "plain":false'
                )
            return Manner.PLAIN
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
            # Manners are ordered: plain, sealed, reliable. One flag moves the configured manner
            # only as far as it says: "not plain" is at least sealed, "not reliable" at most sealed.
            case False, None:
                return max(self.manner, Manner.SEALED)
            case None, False:
                return min(self.manner, Manner.SEALED)
        return self.manner

    def _progress_of(self, message_id: str) -> MessageProgress:
        if progress := self._messages.progress(message_id):
            return progress
        if self.outbox.was_cancelled(message_id):
            return MessageProgress(message_id, "cancelled")
        return MessageProgress(
            message_id, "failed" if self.outbox.has_failed(message_id) else "done"
        )


def _only(outcomes: Sequence[Response | RequestError]) -> Response:
    """The outcome of a single request. Raises it if it is an error."""
    (outcome,) = outcomes
    if isinstance(outcome, RequestError):
        raise outcome
    return outcome


def _known(address: bytes, provider: ProviderNode | None) -> KnownClient:
    if provider is None:
        return KnownClient(address)
    return KnownClient(address, provider.public_key, provider.address)


def _known_clients(topology: Topology | None) -> Iterator[KnownClient]:
    """Each listed client once, in a fixed order, even if several providers list it.

    There can be a hundred thousand, so they are made one by one.
    """
    if topology is None:
        raise NoTopologyError
    listed = [zip(_in_order(provider.clients), repeat(provider)) for provider in topology.providers]
    by_address = groupby(merge(*listed, key=itemgetter(0)), key=itemgetter(0))
    return (_known(address, list(known)[-1][1]) for address, known in by_address)


def _in_order(clients: Set[bytes]) -> Iterable[bytes]:
    return clients if isinstance(clients, AddressList) else sorted(clients)
