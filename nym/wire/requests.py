"""The requests of local applications, and the answers, in one form for all dialects.

Dialects translate bytes to these values and back; nym.service answers the requests.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, TypedDict

from nym.wire.addresses import NodeAddress
from nym.wire.pieces import Message

MOST_OFFERED = 100  # messages that one subscriber can have without having acknowledged them


class Send(NamedTuple):
    """Send `message` to `recipient`, an address of 32 bytes.

    `is_plain`: as the published client does. `is_reliable`: again, until it is acknowledged. None
    leaves the choice to the contacts and the settings.
    """

    recipient: bytes
    message: Message
    is_plain: bool | None = None
    is_reliable: bool | None = None


class Fetch(NamedTuple):
    """Hand over received messages, as many as an answer has room for."""


class Clients(NamedTuple):
    """List the clients that the directory lists."""


class Details(NamedTuple):
    """Report the client's own address and its provider."""


class Flush(NamedTuple):
    """Write the answers that were held back (framed dialect)."""


class Status(NamedTuple):
    """Report the state of the client."""


class Network(NamedTuple):
    """List the nodes that the client uses."""


class Subscribe(NamedTuple):
    """Hand over each message as it comes, up to `window` of them without acknowledgement.

    Without `follows`, the subscriber is told when no more messages wait.
    """

    window: int = MOST_OFFERED
    follows: bool = True


class Acknowledge(NamedTuple):
    """Remove the message with this id from the inbox: the application has taken care of it."""

    id: str


class Progress(NamedTuple):
    """Report how far the message with this id has come."""

    id: str


class Waiting(NamedTuple):
    """List the messages that wait to be sent, from the one after number `after` on."""

    after: int = 0


class Cancel(NamedTuple):
    """Cancel the message with this id."""

    id: str


class CancelAll(NamedTuple):
    """Cancel all messages that wait, or those to one `recipient`."""

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
    """A message for the application. `at` is when it came, in seconds since 1970.

    `id` names it at this client only. `sender`, an address, is known for reliable messages only.
    `sealed`: it came in an envelope, which nobody on the way could read.
    """

    id: str
    message: Message
    at: float
    sender: bytes | None = None
    sealed: bool = False


class KnownClient(NamedTuple):
    """A client's address, 32 bytes, and, if known, the key and the address of its provider."""

    address: bytes
    provider_key: bytes = b""
    provider_address: NodeAddress | None = None


class Sent(NamedTuple):
    """The message was accepted, and has this id."""

    id: str


class Fetched(NamedTuple):
    """The messages, oldest first. They leave the inbox once the answer is written."""

    messages: list[Received]


class ClientList(NamedTuple):
    """All clients that the directory lists."""

    clients: list[KnownClient]


class OwnDetails(NamedTuple):
    """The client itself."""

    client: KnownClient


class Flushed(NamedTuple):
    """All answers that were held back come before this one."""


State = Literal[
    "waiting_for_directory",
    "waiting_for_provider",
    "waiting_for_disk",
    "waiting_for_network",
    "running",
]


class AvoidedNode(TypedDict):
    """A mixnode that is left out for `seconds` more: its key in base58, its address, and why."""

    key: str
    address: str
    why: str
    seconds: float


class BacklogReport(TypedDict):
    """The backlog: what waits at the provider while more comes in than the client pulls.

    It has `lasted` for so many seconds. `pulled` is messages per second. `messages` is about how
    many wait, and `change` by how many that number grows per second (shrinks, if negative).
    `seconds` is how long ago the messages left that are pulled now. The last three are None until
    they can be told.
    """

    lasted: float
    pulled: float
    messages: int | None
    change: float | None
    seconds: float | None


class LeftOut(TypedDict):
    """How many of the directory's records are left out, and why; `why` follows "3 nodes"."""

    nodes: int
    why: str


class NetworkReport(TypedDict):
    """How many mixnodes each layer has, how many providers there are, and what is left out.

    `digest` is the same for all who use the same nodes. It is None while there is no network to
    use.
    """

    layers: list[int]
    providers: int
    left_out: list[LeftOut]
    digest: str | None


class ByStanding(TypedDict):
    """How many messages, for each kind of sender."""

    anonymous: int
    strangers: int
    contacts: int


NONE_OF_ANY: ByStanding = {"anonymous": 0, "strangers": 0, "contacts": 0}


class NodeDetails(TypedDict):
    """A mixnode: its key in base58, and the `ip:port` where it takes packets."""

    key: str
    address: str


class ProviderDetails(NodeDetails):
    """A provider: it takes clients at `client_address`, and lists `clients` of them."""

    client_address: str
    clients: int


class NetworkDetails(NamedTuple):
    """The nodes that the client uses, by layer.

    The other fields are as in NetworkReport and StatusReport.
    """

    layers: list[list[NodeDetails]]
    providers: list[ProviderDetails]
    left_out: list[LeftOut]
    digest: str
    directory: str = ""
    directory_verified: bool = False


class StatusReport(NamedTuple):
    """The state of the client. Addresses and keys are in base58, times in seconds.

    The defaults are the values at the start. docs/protocol/sockets.md ("Status") has all fields.

    - `state` has lasted for `state_seconds`. `reason` says what went wrong last.
    - `directory` is the URL of the one that is used, without a password; `directory_verified`: its
      last list was signed with a key that the settings name.
    - `outbox` messages wait to be sent or acknowledged, `inbox` messages to be fetched. `partial`
      messages lack fragments.
    - `inbox_refused` counts how often a message found no room, `partial_given_up` the messages that
      were given up incomplete.
    - `plain_refused` counts messages that came without a seal, which the settings refuse.
    - `failed` has the ids of messages that were given up.
    - `packets_real` and `packets_cover` count packets that a mixnode took since the start.
    - `loop_time` is the median of the last loops. `loss` is the share of them that didn't come
      back. Both are None while too little is known.
    """

    version: str
    address: str
    state: State = "waiting_for_directory"
    state_seconds: float = 0.0
    reason: str | None = None
    directory: str = ""
    directory_verified: bool = False
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
    """The subscription has begun, and its news follows."""


class Failed(NamedTuple):
    """News: the message with this id, which an application sent, was given up."""

    id: str


class Drained(NamedTuple):
    """News for a subscriber that doesn't follow: nothing more waits."""


News = Received | Failed | Drained


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


class WaitingMessage(TypedDict):
    """A message that waits to be sent or acknowledged.

    `accepted` is in seconds since 1970, `age` in seconds. It is given up in `expires` seconds; None
    means never. `waits_for` is a word for programs, `why` half a sentence for people.
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
    """How many messages fit into one answer to `Fetch`, in one dialect.

    An answer has as many messages as fit into `most_bytes`, but at least one. `size` gives the
    bytes that a message takes there. Messages of more than `longest` bytes can't be written in the
    dialect, and stay in the inbox.
    """

    most_bytes: int | None = None
    size: Callable[[Message], int] = len
    longest: int | None = None


UNLIMITED = Room()
