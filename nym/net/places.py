"""Which of a name's addresses takes connections.

A node of 0.4 that announces a name listens at one of its addresses: at the first that its own
machine has for it. What shows is known to the whole process, as it is with the system's names:

- An address that took this process's last connection, or a trial, goes before others of its name
  at the same port. Where a connection fails there, the others are tried, and one of them leads.
- Else one at whose IP address something else of the network took a connection.
- Else the first: IPv4 before IPv6, then the system's order.

A trial, a connection that says nothing, is made on this machine only: from elsewhere it would show
a mixnode of a later layer who uses it. So behind the first hop the second rule has to do.
"""

from collections.abc import Iterable
from typing import TypeVar

from nym.wire.addresses import NodeAddress

MOST = 20_000  # addresses that are remembered; the longest known go

Places = tuple[NodeAddress, ...]
Key = TypeVar("Key")
Value = TypeVar("Value")


class Experience:
    """What connections have shown, of addresses of names that have several."""

    def __init__(self) -> None:
        self._alike: dict[NodeAddress, Places] = {}
        self._takes: dict[NodeAddress, None] = {}
        self._shown_by: dict[str, NodeAddress] = {}  # by IP address

    def note(self, places: Places) -> None:
        """They are those of one name and port."""
        for place in places:
            _put(self._alike, place, places)

    def best(self, places: Places) -> NodeAddress:
        """The one to use of a name's addresses, of which there is at least one."""
        good = [place for place in places if place in self._takes]
        hinted = [place for place in places if place.ip in self._shown_by]
        return (*good, *hinted, *places)[0]

    def in_turn(self, address: NodeAddress) -> Iterable[NodeAddress]:
        """The addresses to try where this one is wanted."""
        places = self._alike.get(address, ())
        others = [place for place in places if place != address]
        return sorted((address, *others), key=lambda place: place not in self._takes)

    def took(self, address: NodeAddress) -> None:
        """It took a connection."""
        if address in self._alike:
            _put(self._takes, address, None)
            _put(self._shown_by, address.ip, address)

    def refused(self, address: NodeAddress) -> None:
        """It didn't."""
        self._takes.pop(address, None)
        if self._shown_by.get(address.ip) == address:
            del self._shown_by[address.ip]


experience = Experience()


def _put(known: dict[Key, Value], key: Key, value: Value) -> None:
    known.pop(key, None)
    known[key] = value
    if len(known) > MOST:
        del known[next(iter(known))]
