"""At which provider each recipient gets its messages (docs/protocol/directory.md, "Recipients").

A provider lists its clients itself, anyone can post a provider, and a provider sees how many
packets its clients get. So a provider must not be able to attract a recipient by listing it. What
this client knew first decides:

- A recipient is at the provider where this client first saw it listed, as long as that provider
  lists it. While that provider is away, another one that lists the recipient is used; after CLAIM
  seconds it is used for good.
- If several providers list a new recipient, a hash chooses one. All senders choose the same one,
  and no provider can get ahead of another.
- If a recipient's provider is away, and no other one lists the recipient, messages wait.
- A provider that is alone in the directory is taken to have all other recipients. Those to whom
  this client wrote then stay there when other providers appear, so posting a provider takes none
  away.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from nym.topology import ProviderNode, Topology
from nym.view import CLAIM

MOST = 1 << 17  # recipients remembered for absent providers, and as many that none lists


class Whereabouts:
    """The provider of each recipient, in the network that was followed last."""

    def __init__(self) -> None:
        self._known: _Known | None = None
        self._unlisted: dict[bytes, bytes] = {}  # recipient -> key of the then lone provider

    def follow(self, topology: Topology, now: float) -> None:
        """Use this network from now on.

        Lists of clients can be long, so callers may run this in another thread.
        """
        self._known = _followed(self._known, topology, now)

    def provider_of(self, recipient: bytes) -> ProviderNode | None:
        """The provider of `recipient`; None while it isn't known or is away."""
        known = self._known  # once: `follow` may replace it in another thread meanwhile
        if known is None:
            return None
        providers = known.providers
        if (key := known.listed.get(recipient)) is not None:
            return providers[key]
        if recipient in known.homes:  # its provider is away, and no other one lists it
            return None
        if len(providers) == 1:
            (lone,) = providers.values()
            self._note_unlisted(recipient, lone)
            return lone
        # Written to while a provider was alone: its messages go there, as long as that one is
        # there.
        return providers.get(self._unlisted.get(recipient, b""))

    def _note_unlisted(self, recipient: bytes, lone: ProviderNode) -> None:
        # Bounded, because applications can send to any number of addresses. The oldest one goes.
        if recipient not in self._unlisted and len(self._unlisted) >= MOST:
            del self._unlisted[next(iter(self._unlisted))]
        self._unlisted[recipient] = lone.public_key


class _Known(NamedTuple):
    """What is known with one network. Providers are named by their keys.

    `listed` has the provider to use for each recipient that some provider lists. `homes` has the
    provider where each recipient was first known. `seen` has the time when each of these providers
    was last in the directory.
    """

    providers: Mapping[bytes, ProviderNode]
    listed: Mapping[bytes, bytes]
    homes: Mapping[bytes, bytes]
    seen: Mapping[bytes, float]


def _followed(before: _Known | None, topology: Topology, now: float) -> _Known:
    """What is known with this network, given what was known `before`."""
    before = before or _Known({}, {}, {}, {})
    providers = {node.public_key: node for node in topology.providers}
    seen = {**before.seen, **dict.fromkeys(providers, now)}
    listed = _listed(topology.providers)
    homes = {}
    # A listed recipient goes to its home while that one lists it. If the home is there but has
    # dropped the recipient, the new provider becomes its home at once; if the home is away, after
    # CLAIM seconds.
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
    # If there are too many, those whose providers have been away for longest are forgotten.
    away.sort(key=lambda pair: seen[pair[1]], reverse=True)
    homes.update(away[:MOST])
    needed = providers.keys() | set(homes.values())
    return _Known(providers, listed, homes, {key: seen[key] for key in needed})


def _listed(providers: Sequence[ProviderNode]) -> dict[bytes, bytes]:
    """Each listed recipient with one of the providers that list it, whatever their order."""
    listed: dict[bytes, bytes] = {}
    for node in providers:
        for recipient in node.clients:
            other = listed.setdefault(recipient, node.public_key)
            if other != node.public_key:
                listed[recipient] = _chosen(recipient, other, node.public_key)
    return listed


def _chosen(recipient: bytes, *keys: bytes) -> bytes:
    # The hash depends on the recipient, too, so no provider's key wins for all recipients.
    return min(keys, key=lambda key: hashlib.blake2b(recipient + key).digest())
