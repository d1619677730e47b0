"""The answers to the requests of local applications, and the news for subscribers."""

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

from nym.wire.addresses import NodeAddress
from nym.wire.pieces import Message
from nym.wire.recipients import Recipient
from nym.wire.reports import (
    HistoryReport,
    LoopsReport,
    NetworkDetails,
    StatusReport,
    WaitingMessage,
)
from nym.wire.sightings import Observing


class Received(NamedTuple):
    """A message for the application. `at` is when it came, in seconds since 1970.

    `id` names it at this client only. `sender`, an address, is known for reliable messages only.
    `sealed`: it came in an envelope, which nobody on the way could read.

    `reply_to` is the tag with which it can be answered. `reply_from` says to whom the address that
    it came to was given: an address of 32 bytes, or a tag (docs/protocol/replies.md). `account` is
    not for applications: the reply address, of one side or the other, whose room the message takes.
    """

    id: str
    message: Message
    at: float
    sender: bytes | None = None
    sealed: bool = False
    reply_to: bytes | None = None
    reply_from: bytes | None = None
    account: bytes = b""


class KnownClient(NamedTuple):
    """A client's address, 32 bytes, and, if known, the key and the address of its provider."""

    address: bytes
    provider_key: bytes = b""
    provider_address: NodeAddress | None = None


class Sent(NamedTuple):
    """The message was accepted, and has this id."""

    id: str


class PartKept(NamedTuple):
    """The part was kept; the parts so far have so many `bytes`."""

    bytes: int


class Fetched(NamedTuple):
    """The messages, oldest first. They leave the inbox once the answer is written."""

    messages: list[Received]


class ClientList(NamedTuple):
    """All clients that the directory lists."""

    clients: Iterable[KnownClient]


class OwnDetails(NamedTuple):
    """The client itself, and the identity of its provider, if that has one.

    `code` has the rows of a QR code of its address, if that was asked for.
    """

    client: KnownClient
    code: Sequence[str] = ()
    provider_identity: bytes | None = None


class KnownContact(NamedTuple):
    """A name that the user has given to a recipient. `is_plain`: it runs the published client."""

    name: str
    recipient: Recipient
    is_plain: bool


class ContactList(NamedTuple):
    """The user's contacts."""

    contacts: Sequence[KnownContact]


class CorrespondentList(NamedTuple):
    """Those to whom a reply address was given, addresses and tags; and tags that were answered."""

    correspondents: Sequence[bytes]
    answered: Sequence[bytes]


class Flushed(NamedTuple):
    """All answers that were held back come before this one."""


class Subscribed(NamedTuple):
    """The subscription has begun, and its news follows."""


class Failed(NamedTuple):
    """News: the message with this id, which an application sent, was given up."""

    id: str


class Shown(NamedTuple):
    """News for a subscriber that shares: this message is in the inbox."""

    received: Received


class Gone(NamedTuple):
    """News for a subscriber that shares: the message with this id has left the inbox."""

    id: str


class Drained(NamedTuple):
    """News for a subscriber that doesn't follow: nothing more waits."""


News = Received | Shown | Gone | Failed | Drained


class PageLink(NamedTuple):
    """The link to the client's page. It shows that whoever has it is the client's owner."""

    link: str


class Acknowledged(NamedTuple):
    """The message with this id has been removed from the inbox."""

    id: str


class MessageProgress(NamedTuple):
    """How far a message has come.

    Of its `fragments`, `left` are still to be sent, or, if it is reliable, to be acknowledged.
    `done` means that nothing is left to do, or that no message with this id is known. `failed`: it
    was given up. `waits_for` and `why` are as in WaitingMessage.
    """

    id: str
    state: Literal["waiting", "done", "failed", "cancelled"]
    left: int = 0
    fragments: int = 0
    waits_for: str | None = None
    why: str | None = None


class WaitingMessages(NamedTuple):
    """Messages that wait, oldest first. If `next` isn't None, there may be more after it."""

    messages: list[WaitingMessage]
    next: int | None


class Cancelled(NamedTuple):
    """The message is cancelled. Packets of it that have left already can still arrive."""

    id: str


class AllCancelled(NamedTuple):
    """The messages with these ids are cancelled."""

    ids: list[str]


Response = (
    Sent
    | Fetched
    | ClientList
    | OwnDetails
    | ContactList
    | CorrespondentList
    | PartKept
    | Flushed
    | StatusReport
    | HistoryReport
    | LoopsReport
    | NetworkDetails
    | Received
    | Subscribed
    | Observing
    | PageLink
    | Acknowledged
    | MessageProgress
    | WaitingMessages
    | Cancelled
    | AllCancelled
)


class Room(NamedTuple):
    """How many messages fit into one answer to `Fetch`, in one dialect.

    An answer has as many messages as fit into `most_bytes`, but at least one. `size` gives the
    bytes that a message takes there. Messages of more than `longest` bytes can't be written in the
    dialect, and stay in the inbox.
    """

    most_bytes: int | None = None
    size: Callable[[Message], int] = len
    longest: int | None = None


UNLIMITED = Room()
