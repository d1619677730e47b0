"""What a local application can ask for, and what it gets, whatever the dialect."""

from typing import NamedTuple

from nym.wire.addresses import NodeAddress


class Send(NamedTuple):
    """Carry `message` to `recipient`, an address of 32 bytes."""

    recipient: bytes
    message: bytes


class Fetch(NamedTuple):
    """Hand over the messages received so far: all, or as many as `most_bytes` have room for."""

    most_bytes: int | None = None


class Clients(NamedTuple):
    """List the addresses that the directory knows."""


class Details(NamedTuple):
    """Say who one is."""


class Flush(NamedTuple):
    """Hand over the answers that were held back."""


Request = Send | Fetch | Clients | Details | Flush


class KnownClient(NamedTuple):
    """A client's address, 32 bytes, and its provider: key and mixnet listener, where known."""

    address: bytes
    provider_key: bytes = b""
    provider_address: NodeAddress | None = None


class Sent(NamedTuple):
    """The message was accepted."""


class Fetched(NamedTuple):
    """The messages, oldest first; they are gone from the inbox."""

    messages: list[bytes]


class ClientList(NamedTuple):
    """All clients that the directory knows."""

    clients: list[KnownClient]


class OwnDetails(NamedTuple):
    """Oneself."""

    client: KnownClient


class Flushed(NamedTuple):
    """Whatever was held back is before this."""


Response = Sent | Fetched | ClientList | OwnDetails | Flushed
