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
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from nym.topology import ProviderNode, Topology
from nym.view import CLAIM

MOST = 1 << 17  # recipients of providers that are away, and ones that nobody lists


class Whereabouts:
    """Knows the provider of each recipient, in the network that it followed last."""

    def __init__(self) -> None:
        self._known: _Known | None = None
        self._unlisted: dict[bytes, bytes] = {}  # recipients by the lone provider's key

    def follow(self, topology: Topology, now: float) -> None:
        """The network is this now. Lists can be long, so this may run beside the hub."""
        self._known = _followed(self._known, topology, now)

    def provider_of(self, recipient: bytes) -> ProviderNode | None:
        """Where `recipient` fetches its messages; None while that isn't known."""
        if self._known is None:
            return None
        providers = self._known.providers
        if (key := self._known.listed.get(recipient)) is not None:
            return providers[key]
        if recipient in self._known.homes:
            return None
        if len(providers) == 1:
            (lone,) = providers.values()
            self._note_unlisted(recipient, lone)
            return lone
        return providers.get(self._unlisted.get(recipient, b""))

    def _note_unlisted(self, recipient: bytes, lone: ProviderNode) -> None:
        if recipient not in self._unlisted and len(self._unlisted) >= MOST:
            del self._unlisted[next(iter(self._unlisted))]
        self._unlisted[recipient] = lone.public_key


class _Known(NamedTuple):
    """What was found out with one network, by recipients and by keys of providers.

    `listed` is where each recipient of a list is written to, `homes` where it was known first,
    `seen` when each of those was listed last.
    """

    providers: Mapping[bytes, ProviderNode]
    listed: Mapping[bytes, bytes]
    homes: Mapping[bytes, bytes]
    seen: Mapping[bytes, float]


def _followed(before: _Known | None, topology: Topology, now: float) -> _Known:
    """What is known with this network, after what was known before."""
    before = before or _Known({}, {}, {}, {})
    providers = {node.public_key: node for node in topology.providers}
    seen = {**before.seen, **dict.fromkeys(providers, now)}
    listed = _listed(topology.providers)
    homes = {}
    for recipient, key in listed.items():
        home = before.homes.get(recipient, key)
        if home in providers:
            is_home = recipient in providers[home].clients
            homes[recipient] = listed[recipient] = home if is_home else key
        else:
            homes[recipient] = home if now - seen[home] <= CLAIM else key
    away = [
        (recipient, home)
        for recipient, home in before.homes.items()
        if recipient not in listed and home not in providers
    ]
    # Where there are too many, those go whose providers are away for longest.
    away.sort(key=lambda pair: seen[pair[1]], reverse=True)
    homes.update(away[:MOST])
    needed = providers.keys() | set(homes.values())
    return _Known(providers, listed, homes, {key: seen[key] for key in needed})


def _listed(providers: Sequence[ProviderNode]) -> dict[bytes, bytes]:
    """Each recipient of a list, at one of the providers that list it: whatever their order."""
    listed: dict[bytes, bytes] = {}
    for node in providers:
        for recipient in node.clients:
            other = listed.setdefault(recipient, node.public_key)
            if other != node.public_key:
                listed[recipient] = _chosen(recipient, other, node.public_key)
    return listed


def _chosen(recipient: bytes, *keys: bytes) -> bytes:
    return min(keys, key=lambda key: hashlib.blake2b(recipient + key).digest())
