"""What a local application can ask for, and what it gets, whatever the dialect."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, TypedDict

from nym.wire.addresses import NodeAddress
from nym.wire.pieces import Message

MOST_OFFERED = 100  # unacknowledged messages of one subscriber


class Send(NamedTuple):
    """Carry `message` to `recipient`, an address of 32 bytes.

    `is_plain`: as the published client does. `is_reliable`: until it is acknowledged. None: as
    configured.
    """

    recipient: bytes
    message: Message
    is_plain: bool | None = None
    is_reliable: bool | None = None


class Fetch(NamedTuple):
    """Hand over the messages received so far, as many as an answer has room for."""


class Clients(NamedTuple):
    """List the addresses that the directory knows."""


class Details(NamedTuple):
    """Say who one is."""


class Flush(NamedTuple):
    """Hand over the answers that were held back."""


class Status(NamedTuple):
    """Say how the client runs."""


class Network(NamedTuple):
    """Say which nodes are used."""


class Subscribe(NamedTuple):
    """Hand over each message as it comes, `window` of them ahead of their acknowledgements.

    Unless it `follows`, that is said when there are no more.
    """

    window: int = MOST_OFFERED
    follows: bool = True


class Acknowledge(NamedTuple):
    """The message with this id was taken care of."""

    id: str


class Progress(NamedTuple):
    """Say how far the message with this id has come."""

    id: str


class Waiting(NamedTuple):
    """List the messages that wait to be sent, those behind number `after`."""

    after: int = 0


class Cancel(NamedTuple):
    """Take back the message with this id."""

    id: str


class CancelAll(NamedTuple):
    """Take back all messages that wait, or those to one `recipient`."""

    recipient: bytes | None = None


Request = (
    Send
    | Fetch
    | Clients
    | Details
    | Flush
    | Status
    | Network
    | Subscribe
    | Acknowledge
    | Progress
    | Waiting
    | Cancel
    | CancelAll
)


class Received(NamedTuple):
    """A message for the application: its id here, and when it came, in seconds since 1970.

    `sender`, an address, is known of reliable messages only. `sealed`: it came in an envelope,
    which nobody on the way could read.
    """

    id: str
    message: Message
    at: float
    sender: bytes | None = None
    sealed: bool = False


class KnownClient(NamedTuple):
    """A client's address, 32 bytes, and its provider: key and mixnet listener, where known."""

    address: bytes
    provider_key: bytes = b""
    provider_address: NodeAddress | None = None


class Sent(NamedTuple):
    """The message was accepted, under this id."""

    id: str


class Fetched(NamedTuple):
    """The messages, oldest first; they are gone from the inbox."""

    messages: list[Received]


class ClientList(NamedTuple):
    """All clients that the directory knows."""

    clients: list[KnownClient]


class OwnDetails(NamedTuple):
    """Oneself."""

    client: KnownClient


class Flushed(NamedTuple):
    """Whatever was held back is before this."""


State = Literal[
    "waiting_for_directory",
    "waiting_for_provider",
    "waiting_for_disk",
    "waiting_for_network",
    "running",
]


class AvoidedNode(TypedDict):
    """A mixnode (its key in base58, its `host:port`) that is left out for so many seconds more."""

    key: str
    address: str
    why: str
    seconds: float


class BacklogReport(TypedDict):
    """What waits at the provider while more comes in than is pulled; times in seconds.

    It has `lasted` so long; so many messages are `pulled` per second. Where it can be told,
    about so many `messages` wait, whose number has a `change` per second, and what comes out now
    left so many `seconds` ago.
    """

    lasted: float
    pulled: float
    messages: int | None
    change: float | None
    seconds: float | None


class LeftOut(TypedDict):
    """So many of the directory's records don't count; `why` goes on behind "nodes"."""

    nodes: int
    why: str


class NetworkReport(TypedDict):
    """So many mixnodes in each layer, and so many providers; what isn't among them, and why.

    `digest` is the same for all who see the same network; None while there is none to use.
    """

    layers: list[int]
    providers: int
    left_out: list[LeftOut]
    digest: str | None


class ByStanding(TypedDict):
    """How many messages of each kind of senders; nobody knows who sent `anonymous` ones."""

    anonymous: int
    strangers: int
    contacts: int


NONE_OF_ANY: ByStanding = {"anonymous": 0, "strangers": 0, "contacts": 0}


class NodeDetails(TypedDict):
    """A mixnode: its key in base58, and where it takes packets."""

    key: str
    address: str


class ProviderDetails(NodeDetails):
    """A provider; clients ask it at `client_address`, and it has so many `clients`."""

    client_address: str
    clients: int


class NetworkDetails(NamedTuple):
    """The nodes that are used, by layer, and the rest as in NetworkReport."""

    layers: list[list[NodeDetails]]
    providers: list[ProviderDetails]
    left_out: list[LeftOut]
    digest: str


class StatusReport(NamedTuple):
    """How the client runs: addresses and keys in base58, times in seconds.

    What has a default has it at the start. `state` holds for `state_seconds`; `reason` says what
    went wrong last, in it or beside it. `outbox` and `inbox` wait to be sent, or acknowledged,
    and to be fetched; `partial` are messages of which fragments are missing. `inbox_refused` counts
    how often one found no room, `partial_given_up` those that were never complete. `plain_refused`
    came without a seal, which the settings refuse. `failed` are ids of messages that were given up.
    `packets_real` and `packets_cover` were handed to a mixnode since the start. `loop_time` is the
    median of the last loops, `loss` the share of them that did not come back; both are None while
    too few were sent to say.
    """

    version: str
    address: str
    state: State = "waiting_for_directory"
    state_seconds: float = 0.0
    reason: str | None = None
    network: NetworkReport | None = None
    provider: str | None = None
    registered: bool = False
    backlog: BacklogReport | None = None
    uptime: float = 0.0
    outbox: int = 0
    inbox: int = 0
    inbox_lost: int = 0
    inbox_refused: ByStanding = NONE_OF_ANY
    plain_refused: int = 0
    partial: int = 0
    partial_lost: int = 0
    partial_given_up: ByStanding = NONE_OF_ANY
    failed: Sequence[str] = ()
    packets_real: int = 0
    packets_cover: int = 0
    loops_sent: int = 0
    loops_returned: int = 0
    loop_time: float | None = None
    loss: float | None = None
    avoided_nodes: Sequence[AvoidedNode] = ()


class Subscribed(NamedTuple):
    """Messages follow."""


class Failed(NamedTuple):
    """Told to subscribers: the message with this id, which was one's own, was given up."""

    id: str


class Drained(NamedTuple):
    """Told to a subscriber who doesn't follow: nothing more waits."""


News = Received | Failed | Drained


class Acknowledged(NamedTuple):
    """The message with this id is gone from the inbox."""

    id: str


class MessageProgress(NamedTuple):
    """How far a message has come: of its `fragments`, `left` are still to be sent.

    Of a reliable one, to be acknowledged. `done`: nothing is left to be done, or no message with
    this id was ever accepted. `failed`: it was given up. `waits_for` and `why` as in
    WaitingMessage.
    """

    id: str
    state: Literal["waiting", "done", "failed", "cancelled"]
    left: int = 0
    fragments: int = 0
    waits_for: str | None = None
    why: str | None = None


class WaitingMessage(TypedDict):
    """A message that waits to be sent or acknowledged.

    It was `accepted` in seconds since 1970, `age` seconds ago, and is given up when it `expires`,
    in seconds from now, if ever. `waits_for` is a word for programs, `why` half a sentence for
    people.
    """

    id: str
    recipient: str
    size: int
    manner: Literal["plain", "anonymous", "reliable"]
    accepted: float
    age: float
    expires: float | None
    left: int
    fragments: int
    waits_for: str
    why: str


class WaitingMessages(NamedTuple):
    """Messages that wait, oldest first; there may be more behind the number `next`."""

    messages: list[WaitingMessage]
    next: int | None


class Cancelled(NamedTuple):
    """The message is taken back; what has left of it already can still arrive."""

    id: str


class AllCancelled(NamedTuple):
    """The messages with these ids are."""

    ids: list[str]


Response = (
    Sent
    | Fetched
    | ClientList
    | OwnDetails
    | Flushed
    | StatusReport
    | NetworkDetails
    | Subscribed
    | Acknowledged
    | MessageProgress
    | WaitingMessages
    | Cancelled
    | AllCancelled
)


class Room(NamedTuple):
    """What an answer to `Fetch` has room for, in one dialect.

    As many messages as fit into `most_bytes`, but at least one; `size` gives the bytes that a
    message takes. Those of more than `longest` bytes have no form there, and stay.
    """

    most_bytes: int | None = None
    size: Callable[[Message], int] = len
    longest: int | None = None


UNLIMITED = Room()
