"""What a local application can ask for, and what it gets, whatever the dialect."""

from typing import NamedTuple


class Send(NamedTuple):
    """Carry `message` to `recipient`, an address of 32 bytes."""

    recipient: bytes
    message: bytes


class Fetch(NamedTuple):
    """Hand over all messages received so far."""


class Clients(NamedTuple):
    """List the addresses that the directory knows."""


class Details(NamedTuple):
    """Say the own address."""


Request = Send | Fetch | Clients | Details


class Sent(NamedTuple):
    """The message was accepted."""


class Fetched(NamedTuple):
    """The messages, oldest first; they are gone from the inbox."""

    messages: list[bytes]


class ClientList(NamedTuple):
    """Addresses of 32 bytes."""

    addresses: list[bytes]


class OwnDetails(NamedTuple):
    """The own address, 32 bytes."""

    address: bytes


Response = Sent | Fetched | ClientList | OwnDetails
