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
- A provider that takes another key at its place is the same one, and so is one that moves with its
  key (Topology.record_of). It keeps the name that this client gave it first: its key of then.
- A provider that is alone in the directory is taken to have all other recipients. Those to whom
  this client wrote then stay there when other providers appear, so posting a provider takes none
  away.
"""

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from nym.topology import ProviderNode, Topology
from nym.view import CLAIM

MOST = 1 << 17  # recipients remembered for absent providers, and as many that none lists


class Whereabouts:
    """The provider of each recipient, in the network that was followed last."""

    def __init__(self) -> None:
        self._known: _Known | None = None
        self._unlisted: dict[bytes, bytes] = {}  # recipient -> name of the then lone provider

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
        if (name := known.listed.get(recipient)) is not None:
            return providers[name]
        if recipient in known.homes:  # its provider is away, and no other one lists it
            return None
        if len(providers) == 1:
            ((name, lone),) = providers.items()
            self._note_unlisted(recipient, name)
            return lone
        # Written to while a provider was alone: its messages go there, as long as that one is
        # there.
        return providers.get(self._unlisted.get(recipient, b""))

    def _note_unlisted(self, recipient: bytes, lone: bytes) -> None:
        # Bounded, because applications can send to any number of addresses. The oldest one goes.
        if recipient not in self._unlisted and len(self._unlisted) >= MOST:
            del self._unlisted[next(iter(self._unlisted))]
        self._unlisted[recipient] = lone


class _Seen(NamedTuple):
    """A provider when it was last in the directory."""

    node: ProviderNode
    at: float


class _Known(NamedTuple):
    """What is known with one network. Providers have names of this client's own.

    `providers` has those that are in the directory, and `seen` also those where a recipient was
    known. `listed` has the provider to use for each recipient that some provider lists. `homes` has
    the provider where each recipient was first known.
    """

    topology: Topology
    providers: Mapping[bytes, ProviderNode]
    listed: Mapping[bytes, bytes]
    homes: Mapping[bytes, bytes]
    seen: Mapping[bytes, _Seen]


def _followed(before: _Known | None, topology: Topology, now: float) -> _Known:
    """What is known with this network, given what was known `before`."""
    before = before or _Known(Topology((), ()), {}, {}, {}, {})
    providers = _named(before, topology)
    here = {
        name: _Seen(node._replace(clients=frozenset()), now) for name, node in providers.items()
    }
    seen = {**before.seen, **here}
    listed = _listed(providers)
    homes = {}
    # A listed recipient goes to its home while that one lists it. If the home is there but has
    # dropped the recipient, the new provider becomes its home at once; if the home is away, after
    # CLAIM seconds.
    for recipient, name in listed.items():
        home = before.homes.get(recipient, name)
        if home in providers:
            is_home = recipient in providers[home].clients
            homes[recipient] = listed[recipient] = home if is_home else name
        else:
            homes[recipient] = home if now - seen[home].at <= CLAIM else name
    away = [
        (recipient, home)
        for recipient, home in before.homes.items()
        if recipient not in listed and home not in providers
    ]
    # If there are too many, those whose providers have been away for longest are forgotten.
    away.sort(key=lambda pair: seen[pair[1]].at, reverse=True)
    homes.update(away[:MOST])
    needed = providers.keys() | set(homes.values())
    return _Known(topology, providers, listed, homes, {name: seen[name] for name in needed})


def _named(before: _Known, topology: Topology) -> dict[bytes, ProviderNode]:
    """The providers in the directory, by their names: those of before keep theirs."""
    find = topology.finder(before.topology)
    # Those seen last come first: of two that had a key or a place one after the other, it is the
    # later one.
    known = sorted(before.seen.items(), key=lambda item: item[1].at, reverse=True)
    names: dict[bytes, bytes] = {}  # of each key
    for name, seen in known:
        if record := find(seen.node):
            names.setdefault(record.public_key, name)
    taken = before.seen.keys()
    return {
        names.get(key) or (_other_name(key) if key in taken else key): node
        for node in topology.providers
        for key in (node.public_key,)
    }


def _other_name(key: bytes) -> bytes:
    """A name for a provider whose key is another one's name: that one had the key before."""
    return hashlib.blake2b(key, digest_size=len(key)).digest()


def _listed(providers: Mapping[bytes, ProviderNode]) -> dict[bytes, bytes]:
    """Each listed recipient with the name of one of the providers that list it.

    The order of the providers doesn't matter, and neither do this client's names: all clients
    choose the same one.
    """
    listed: dict[bytes, bytes] = {}
    for name, node in providers.items():
        for recipient in node.clients:
            other = listed.setdefault(recipient, name)
            if other != name:
                keys = providers[other].public_key, node.public_key
                listed[recipient] = other if _chosen(recipient, *keys) == keys[0] else name
    return listed


def _chosen(recipient: bytes, *keys: bytes) -> bytes:
    # The hash depends on the recipient, too, so no provider's key wins for all recipients.
    return min(keys, key=lambda key: hashlib.blake2b(recipient + key).digest())
