"""What can be seen of each client by who watches its line, by providers, and by the directory."""

import time
from dataclasses import dataclass, field
from typing import NamedTuple


class Visit(NamedTuple):
    """One connection of a client: when it began, to whom, and how many bytes went each way."""

    at: float
    place: str
    sent: int
    received: int


@dataclass
class Line:
    """What is seen of one client by who watches its line, and, by its requests, the directory."""

    directory: str = ""
    packets: list[Visit] = field(default_factory=list)
    pulls: list[Visit] = field(default_factory=list)
    lookups: list[float] = field(default_factory=list)
    pulling: int = 0


@dataclass
class Inbox:
    """What a provider sees of one address."""

    owners: set[str]  # clients that had a connection to a provider at each of its pulls
    registered: list[float] = field(default_factory=list)
    pulled: list[float] = field(default_factory=list)
    arrived: list[float] = field(default_factory=list)


class Seen:
    """All of it: the lines by the names of clients, and the inboxes by addresses."""

    def __init__(self) -> None:
        self.lines: dict[str, Line] = {}
        self.inboxes: dict[bytes, Inbox] = {}

    def inbox(self, address: bytes) -> Inbox:
        """What providers see of an address."""
        return self.inboxes.setdefault(address, Inbox(set(self.lines)))

    def pulled(self, address: bytes) -> None:
        """A provider tells that somebody pulls this address just now."""
        inbox = self.inbox(address)
        inbox.pulled.append(time.monotonic())
        inbox.owners.intersection_update(name for name, line in self.lines.items() if line.pulling)

    def of(self, name: str) -> list[Inbox]:
        """What providers see of one client: its addresses, those with most packets first."""
        own = [inbox for inbox in self.inboxes.values() if inbox.owners == {name}]
        return sorted(own, key=lambda inbox: -len(inbox.arrived))
