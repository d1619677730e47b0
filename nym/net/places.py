"""Remembers which of a name's addresses takes connections (docs/protocol/directory.md, "Names").

A node of 0.4 that announces a name listens at only one of the name's addresses: the first that its
own machine has for the name. The address to use is, for the whole process,

- the one that took the last connection, or the last trial, at this port; when a connection there
  fails, the other addresses of the name are tried, and one that answers is used from then on;
- else one at whose IP address another node took a connection;
- else the first: IPv4 before IPv6, then in the system's order.

A trial is a connection over which nothing is sent. Trials are made on this machine only: elsewhere,
one would show a mixnode of a later layer who uses it. So for nodes behind the first hop, only the
last two rules apply.
"""

from collections.abc import Iterable
from typing import TypeVar

from nym.wire.addresses import NodeAddress

# Addresses that each table holds; the one noted longest ago goes first. Anybody can post names to a
# directory, so without a limit the tables would grow for ever.
MOST = 20_000

Places = tuple[NodeAddress, ...]
Key = TypeVar("Key")
Value = TypeVar("Value")


class Experience:
    """What connections have shown about the addresses of names that have several."""

    def __init__(self) -> None:
        self._alike: dict[NodeAddress, Places] = {}  # all addresses of the same name and port
        self._takes: dict[NodeAddress, None] = {}  # a set in the order of the last connections
        self._shown_by: dict[str, NodeAddress] = {}  # IP address -> who took a connection there

    def note(self, places: Places) -> None:
        """`places` are the addresses of one name and port."""
        for place in places:
            _put(self._alike, place, places)

    def best(self, places: Places) -> NodeAddress:
        """Which of a name's addresses to use; there must be at least one."""
        good = [place for place in places if place in self._takes]
        hinted = [place for place in places if place.ip in self._shown_by]
        return (*good, *hinted, *places)[0]

    def in_turn(self, address: NodeAddress) -> Iterable[NodeAddress]:
        """The addresses to try, in this order, for a connection to `address`."""
        places = self._alike.get(address)
        if places is None:  # as for nearly every packet: its node has one address
            return (address,)
        others = [place for place in places if place != address]
        # False sorts before True. The sort is stable, so `address` comes first among equals.
        return sorted((address, *others), key=lambda place: place not in self._takes)

    def took(self, address: NodeAddress) -> None:
        """A connection to `address` succeeded."""
        if address in self._alike:
            _put(self._takes, address, None)
            _put(self._shown_by, address.ip, address)

    def refused(self, address: NodeAddress) -> None:
        """A connection to `address` failed."""
        self._takes.pop(address, None)
        if self._shown_by.get(address.ip) == address:
            del self._shown_by[address.ip]


experience = Experience()


def _put(known: dict[Key, Value], key: Key, value: Value) -> None:
    known.pop(key, None)  # without this, a known key would keep its old place in the order
    known[key] = value
    if len(known) > MOST:
        del known[next(iter(known))]
