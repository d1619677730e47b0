"""Other providers at which messages may wait: those that were left, and lone ones."""

from collections.abc import Iterable, Iterator

from nym.client.registration import Registration
from nym.topology import ProviderNode, Topology

MOST_OTHERS = 64


class Others:
    """Registrations at them, the latest first."""

    def __init__(self, registrations: Iterable[Registration] = ()) -> None:
        self._registrations = list(registrations)

    def __iter__(self) -> Iterator[Registration]:
        return iter(self._registrations)

    def add(self, registration: Registration) -> None:
        """Another one; where there are too many, the oldest goes, rather one without a token."""
        self._registrations.insert(0, registration)
        if len(self._registrations) > MOST_OTHERS:
            oldest = self._registrations[::-1]
            without_token = (other for other in oldest if other.token is None)
            self._registrations.remove(next(without_token, oldest[0]))

    def find(self, node: ProviderNode) -> Registration | None:
        """The registration at this provider, if there is one."""
        return next((other for other in self if is_same_provider(other.node, node)), None)

    def take(self, node: ProviderNode) -> Registration | None:
        """The same, but it is none of the others any more."""
        registration = self.find(node)
        if registration:
            self._registrations.remove(registration)
            registration.follow(node)
        return registration

    def follow(self, topology: Topology) -> None:
        """Their records may be new ones."""
        for registration in self:
            if node := record_of(registration.node, topology):
                registration.follow(node)

    def present(self, topology: Topology) -> list[Registration]:
        """Those that are in the directory."""
        return [other for other in self if record_of(other.node, topology)]


def is_same_provider(node: ProviderNode, other: ProviderNode) -> bool:
    """Whether it is one provider: its key says so, or its address, as 0.4 renews keys."""
    return node.public_key == other.public_key or node.client_address == other.client_address


def record_of(node: ProviderNode, topology: Topology) -> ProviderNode | None:
    """The same provider in a topology; its key says more than its address."""
    return topology.provider(node.public_key) or next(
        (other for other in topology.providers if is_same_provider(node, other)), None
    )
