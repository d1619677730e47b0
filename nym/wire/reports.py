"""What a client reports of itself, of its network, and of the messages that wait.

These are the answers to requests about them, and what commands print as JSON.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, TypedDict

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


class TempoReport(TypedDict):
    """How many packets a second the settings ask for, and how many this machine can send."""

    asked: float
    possible: float


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
    correspondents: int


NONE_OF_ANY: ByStanding = {"anonymous": 0, "strangers": 0, "contacts": 0, "correspondents": 0}


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


class ReplyAddressesReport(TypedDict):
    """How many reply addresses are registered, and how many of these nobody was told of."""

    registered: int
    free: int


NO_REPLY_ADDRESSES = ReplyAddressesReport(registered=0, free=0)


class StatusReport(NamedTuple):
    """The state of the client. Addresses and keys are in base58, times in seconds.

    The defaults are the values at the start. docs/protocol/sockets.md ("Status") has all fields.

    - `state` has lasted for `state_seconds`. `reason` says what went wrong last.
    - `directory` is the URL of the one that is used, without a password; `directory_verified`: its
      last list was signed with a key that the settings name.
    - `provider_sealed`: the client speaks with its provider on a sealed line.
    - `tempo` is there while this machine can't send as much as the settings ask for.
    - `outbox` messages wait to be sent or acknowledged, `inbox` messages to be fetched. `partial`
      messages lack fragments.
    - `inbox_refused` counts how often a message found no room, `partial_given_up` the messages that
      were given up incomplete.
    - `plain_refused` counts messages that came without a seal, which the settings refuse.
    - `failed` has the ids of messages that were given up.
    - `packets_real` and `packets_cover` count packets that a mixnode took since the start,
      `packets_received` those with something in them that the provider handed over.
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
    provider_identity: str | None = None
    registered: bool = False
    provider_sealed: bool = False
    backlog: BacklogReport | None = None
    tempo: TempoReport | None = None
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
    packets_received: int = 0
    loops_sent: int = 0
    loops_returned: int = 0
    loop_time: float | None = None
    loss: float | None = None
    avoided_nodes: Sequence[AvoidedNode] = ()
    reply_addresses: ReplyAddressesReport = NO_REPLY_ADDRESSES


class HistorySample(NamedTuple):
    """The numbers of one moment: their meaning is that of the fields of StatusReport."""

    packets_real: int
    packets_cover: int
    packets_received: int
    loops_returned: int
    outbox: int
    inbox: int
    loop_time: float | None
    loss: float | None


HISTORY = ("time", *HistorySample._fields)  # the columns; the first is in seconds since 1970


class HistorySeries(NamedTuple):
    """Samples that were taken every `step` seconds, oldest first: a column for each of HISTORY.

    What wasn't known is NaN.
    """

    step: int
    columns: Mapping[str, Sequence[float]]


class HistoryReport(NamedTuple):
    """What was counted so far, in several resolutions."""

    series: Sequence[HistorySeries]


class LoopHop(NodeDetails):
    """A mixnode of a loop's route, and the seconds for which it kept the loop."""

    delay: float


class LastLoop(TypedDict):
    """The loop that came back last: the `seconds` that it took, and its route."""

    seconds: float
    hops: list[LoopHop]


class NodeLoops(TypedDict):
    """How many of the last loops went through a mixnode, and how many of these were lost."""

    loops: int
    lost: int


class LoopsReport(NamedTuple):
    """What loops show; `nodes` are by their keys in base58."""

    last: LastLoop | None
    nodes: Mapping[str, NodeLoops]


class WaitingMessage(TypedDict):
    """A message that waits to be sent or acknowledged.

    `accepted` is in seconds since 1970, `age` in seconds. It is given up in `expires` seconds; None
    means never. `waits_for` is a word for programs, `why` half a sentence for people.
    `anonymous_reply`: it leaves from a reply address.
    """

    id: str
    recipient: str
    size: int
    manner: Literal["plain", "anonymous", "reliable"]
    anonymous_reply: bool
    accepted: float
    age: float
    expires: float | None
    left: int
    fragments: int
    waits_for: str
    why: str
