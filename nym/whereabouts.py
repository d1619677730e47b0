"""At which provider each recipient fetches its messages.

docs/protocol/directory.md, "Recipients". A provider says itself who is registered at it, anybody
can post one, and it sees how much its clients get. So what this client knew first decides:

- A recipient is where this client first saw it listed, as long as that provider lists it. While the
  provider is away, another one that lists the recipient will do, and after CLAIM seconds for good.
- Where several list a new recipient, a hash chooses: the same one for all senders, and no list can
  be ahead of another one.
- A recipient whose provider is away, and whom no other one lists, is waited for.
- A lone provider has everybody else. Those to whom this client wrote there stay there when other
  providers appear: whoever posts one takes nobody away.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from nym.topology import ProviderNode, Topology
from nym.view import CLAIM

MOST = 1 << 17  # recipients of providers that are away, and ones that nobody lists


class Whereabouts:
    """Knows the provider of each recipient, in the network that it followed last."""

    def __init__(self) -> None:
        self._topology: Topology | None = None
        self._homes: dict[bytes, _Home] = {}  # by provider; no recipient is in two of them
        self._unlisted: dict[bytes, bytes] = {}  # recipients by the lone provider's key

    def follow(self, topology: Topology, now: float) -> None:
        """The network is this now."""
        self._topology = topology
        for node in topology.providers:
            home = self._homes.setdefault(node.public_key, _Home())
            home.recipients &= node.clients
            home.seen = now
        held = [home.recipients for home in self._homes.values() if now - home.seen <= CLAIM]
        taken = set().union(*held)
        for key, new in _shared_out(topology.providers, taken).items():
            for home in self._homes.values():
                home.recipients -= new
            self._homes[key].recipients |= new
        self._forget(now)

    def provider_of(self, recipient: bytes) -> ProviderNode | None:
        """Where `recipient` fetches its messages; None while that isn't known."""
        if self._topology is None:
            return None
        providers = self._topology.providers
        for node in providers:
            if recipient in self._homes[node.public_key].recipients:
                return node
        if listing := [node for node in providers if recipient in node.clients]:
            return _chosen(recipient, listing)
        if any(recipient in home.recipients for home in self._homes.values()):
            return None
        if len(providers) == 1:
            self._note_unlisted(recipient, providers[0])
            return providers[0]
        return self._topology.provider(self._unlisted.get(recipient, b""))

    def _note_unlisted(self, recipient: bytes, lone: ProviderNode) -> None:
        if recipient not in self._unlisted and len(self._unlisted) >= MOST:
            del self._unlisted[next(iter(self._unlisted))]
        self._unlisted[recipient] = lone.public_key

    def _forget(self, now: float) -> None:
        """Too many recipients of providers that are away: those that are away for longest go."""
        away = sorted(
            (key for key, home in self._homes.items() if home.seen < now),
            key=lambda key: self._homes[key].seen,
            reverse=True,
        )
        count = 0
        for key in away:
            count += len(self._homes[key].recipients)
            if count > MOST or not self._homes[key].recipients:
                del self._homes[key]


@dataclass
class _Home:
    """Recipients that are at one provider, and when it was listed last."""

    recipients: set[bytes] = field(default_factory=set)
    seen: float = 0.0


def _shared_out(providers: Sequence[ProviderNode], taken: set[bytes]) -> dict[bytes, set[bytes]]:
    """The new recipients of each provider, each one at one of them."""
    new: dict[bytes, set[bytes]] = {}
    several: set[bytes] = set()
    seen: set[bytes] = set()
    for node in providers:
        new[node.public_key] = recipients = set(node.clients) - taken
        several |= recipients & seen
        seen |= recipients
    for recipient in several:
        listing = [node for node in providers if recipient in node.clients]
        for node in listing:
            new[node.public_key].discard(recipient)
        new[_chosen(recipient, listing).public_key].add(recipient)
    return new


def _chosen(recipient: bytes, listing: Iterable[ProviderNode]) -> ProviderNode:
    return min(listing, key=lambda node: hashlib.blake2b(recipient + node.public_key).digest())
