"""Other providers at which messages may wait (docs/protocol/provider.md, "Over time")."""

from collections.abc import Iterable, Iterator

from nym.client.registration import Registration
from nym.topology import ProviderNode, Topology

MOST_OTHERS = 64  # anybody can post providers to the directory, so there must be a limit


class Others:
    """The registrations at other providers, the latest first."""

    def __init__(self, registrations: Iterable[Registration] = ()) -> None:
        self._registrations = list(registrations)

    def __iter__(self) -> Iterator[Registration]:
        return iter(self._registrations)

    def add(self, registration: Registration) -> None:
        """Add a registration. If there are too many, the oldest that isn't complete is removed.

        Only if all are, the oldest of all is removed. At the others, the client never registered,
        or has to register again.
        """
        self._registrations.insert(0, registration)
        if len(self._registrations) > MOST_OTHERS:
            # Never the new one: it isn't complete yet, and somebody is about to register there.
            oldest = self._registrations[:0:-1]
            incomplete = (other for other in oldest if not other.is_complete)
            self._registrations.remove(next(incomplete, oldest[0]))

    def find(self, node: ProviderNode) -> Registration | None:
        """Return the registration at this provider, or None."""
        return next((other for other in self if is_same_provider(other.node, node)), None)

    def take(self, node: ProviderNode) -> Registration | None:
        """Remove the registration at this provider and return it, or None."""
        registration = self.find(node)
        if registration:
            self._registrations.remove(registration)
            registration.follow(node)
        return registration

    def follow(self, topology: Topology, before: Topology | None = None) -> None:
        """Take over the providers' records in a new topology."""
        for registration in self:
            if node := topology.record_of(registration.node, before):
                registration.follow(node)

    def present(self, topology: Topology) -> list[Registration]:
        """Return the registrations at providers that are in this topology."""
        return [other for other in self if topology.record_of(other.node)]


def is_same_provider(node: ProviderNode, other: ProviderNode) -> bool:
    """Whether two records are of the same provider: they have the same key or the same place."""
    # Providers take new keys, those of 0.4 at each start, so the key alone would not do.
    return node.public_key == other.public_key or node.place == other.place
