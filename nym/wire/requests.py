"""What a local application can ask for, and what it gets, whatever the dialect."""

from collections.abc import Callable
from typing import NamedTuple

from nym.wire.addresses import NodeAddress


class Send(NamedTuple):
    """Carry `message` to `recipient`, an address of 32 bytes.

    `is_plain`: as the published client does. `is_reliable`: until it is acknowledged. None: as
    configured.
    """

    recipient: bytes
    message: bytes
    is_plain: bool | None = None
    is_reliable: bool | None = None


class Fetch(NamedTuple):
    """Hand over the messages received so far: all, or as many as `most_bytes` have room for.

    `size` gives the bytes that a message takes in the answer; those of more than `longest` bytes
    have no form in this dialect, and stay.
    """

    most_bytes: int | None = None
    size: Callable[[bytes], int] = len
    longest: int | None = None


class Clients(NamedTuple):
    """List the addresses that the directory knows."""


class Details(NamedTuple):
    """Say who one is."""


class Flush(NamedTuple):
    """Hand over the answers that were held back."""


class Status(NamedTuple):
    """Say how the client runs."""


class Subscribe(NamedTuple):
    """Hand over each message as it comes, until it is acknowledged."""


class Acknowledge(NamedTuple):
    """The message with this id was taken care of."""

    id: str


Request = Send | Fetch | Clients | Details | Flush | Status | Subscribe | Acknowledge


class Received(NamedTuple):
    """A message for the application: its id here, and when it came, in seconds since 1970.

    `sender`, an address, is known of reliable messages only.
    """

    id: str
    message: bytes
    at: float
    sender: bytes | None = None


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


class StatusReport(NamedTuple):
    """How the client runs: addresses and keys in base58, times in seconds.

    `outbox` and `inbox` wait to be sent, or acknowledged, and to be fetched; `partial` are
    messages of which fragments are missing. `failed` are ids of reliable messages that were given
    up. `loss` is the share of one's own loops that did not come back lately, None while too few
    were sent to say.
    """

    address: str
    provider: str | None
    registered: bool
    uptime: float
    outbox: int
    inbox: int
    inbox_lost: int
    partial: int
    partial_lost: int
    failed: list[str]
    loss: float | None
    avoided_nodes: int


class Subscribed(NamedTuple):
    """Messages follow."""


class Acknowledged(NamedTuple):
    """The message with this id is gone from the inbox."""

    id: str


Response = (
    Sent | Fetched | ClientList | OwnDetails | Flushed | StatusReport | Subscribed | Acknowledged
)
