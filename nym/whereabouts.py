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

Lists are long, and most recipients are in one list alone. So nothing is kept for each of them: who
is where is looked up in the lists when somebody asks. Only for recipients that several providers
list, it is noted who had them first.
"""

import hashlib
from collections.abc import Iterable, Mapping, Set
from typing import NamedTuple

from nym.topology import ProviderNode, Topology
from nym.view import CLAIM
from nym.wire.clients import EMPTY, AddressList

MOST = 1 << 19  # recipients in the lists of absent providers, and as many that none lists
MOST_ABSENT = 1000  # providers
MOST_ASKED = 10_000  # recipients whose providers are looked up beforehand in the next network


class Whereabouts:
    """The provider of each recipient, in the network that was followed last."""

    def __init__(self) -> None:
        self._known: _Known | None = None
        self._unlisted: dict[bytes, bytes] = {}  # recipient -> name of the then lone provider

    def follow(self, topology: Topology, now: float) -> None:
        """Use this network from now on.

        Lists of clients can be long, so callers may run this in another thread.
        """
        before = self._known
        known = _followed(before or _Known(Topology.of((), ()), {}, {}, {}, {}), topology, now)
        for recipient in list(before.asked if before else ()):
            known.place_of(recipient)
        self._known = known

    def provider_of(self, recipient: bytes) -> ProviderNode | None:
        """The provider of `recipient`; None while it isn't known or is away."""
        known = self._known  # once: `follow` may replace it in another thread meanwhile
        if known is None:
            return None
        name, is_listed = known.place_of(recipient)
        if is_listed:  # if no name is known, its provider is away, and no other one lists it
            return known.providers[name] if name else None
        providers = known.providers
        if len(providers) == 1:
            ((name, lone),) = providers.items()
            self._note_unlisted(recipient, name)
            return lone
        # Written to while a provider was alone: its messages go there, as long as that one is
        # there.
        return providers.get(self._unlisted.get(recipient, b""))

    def named(self, name: bytes) -> ProviderNode | None:
        """The provider with this identity, or with this key; None if it isn't there.

        An identity is a claim that anybody can make. So it means the provider that claimed it alone
        when this client first saw it, as long as that one isn't away for more than CLAIM seconds.
        """
        known = self._known
        if known is None:
            return None
        return known.providers.get(known.claimed.get(name, name))

    def _note_unlisted(self, recipient: bytes, lone: bytes) -> None:
        # Bounded, because applications can send to any number of addresses. The oldest one goes.
        if recipient not in self._unlisted and len(self._unlisted) >= MOST:
            del self._unlisted[next(iter(self._unlisted))]
        self._unlisted[recipient] = lone


class _Seen(NamedTuple):
    """A provider when it was last in the directory, and when that was."""

    node: ProviderNode
    at: float


class _Known:
    """What is known with one network. Providers have names of this client's own.

    `providers` has those that are in the directory, and `seen` also those that are away. `homes`
    has the provider where a recipient was known before another provider listed it, too. `claimed`
    has the provider that each identity means.
    """

    def __init__(
        self,
        topology: Topology,
        providers: Mapping[bytes, ProviderNode],
        seen: Mapping[bytes, _Seen],
        homes: Mapping[bytes, bytes],
        claimed: Mapping[bytes, bytes],
    ) -> None:
        self.topology = topology
        self.providers = providers
        self.seen = seen
        self.homes = homes
        self.claimed = claimed
        self.asked: dict[bytes, tuple[bytes | None, bool]] = {}

    def place_of(self, recipient: bytes) -> tuple[bytes | None, bool]:
        """(name of the provider to use or None, whether any provider lists or listed it)."""
        found = self.asked.get(recipient)
        if found is None:
            holders = [name for name, seen in self.seen.items() if recipient in seen.node.clients]
            here = [name for name in holders if name in self.providers]
            found = self.chosen(recipient, here), bool(holders)
            if len(self.asked) >= MOST_ASKED:
                del self.asked[next(iter(self.asked))]
            self.asked[recipient] = found
        return found

    def chosen(self, recipient: bytes, holders: Iterable[bytes]) -> bytes | None:
        """Which of these providers, which list the recipient, is the recipient's; None of none.

        The order of the providers doesn't matter, and neither do this client's names: all clients
        choose the same one of providers that they came to know together.
        """
        names = list(holders)
        if (home := self.homes.get(recipient)) in names:
            return home
        # The hash depends on the recipient, too, so no provider's key wins for all recipients.
        return min(
            names,
            key=lambda name: hashlib.blake2b(recipient + self.seen[name].node.public_key).digest(),
            default=None,
        )

    def claims(self, now: float) -> dict[bytes, Set[bytes]]:
        """The list of each provider that is there, or wasn't away for too long, by its name."""
        return {
            name: seen.node.clients
            for name, seen in self.seen.items()
            if name in self.providers or now - seen.at <= CLAIM
        }


def _followed(before: _Known, topology: Topology, now: float) -> _Known:
    """What is known with this network, given what was known `before`."""
    providers = _named(before, topology)
    claims = before.claims(now)
    changed = {
        name: node.clients
        for name, node in providers.items()
        if name not in claims or (node.clients is not claims[name] and node.clients != claims[name])
    }
    homes = dict(before.homes)
    _note_homes(homes, before, claims, changed)
    # A provider that is there, and doesn't list a recipient any more, isn't its home any more.
    lists = {**claims, **changed}
    lost = {name for name in homes.values() if name in changed or name not in lists}
    if lost:
        homes = {
            recipient: name
            for recipient, name in homes.items()
            if name not in lost or recipient in lists.get(name, ())
        }
    away = _away(before, providers)
    here = {name: _Seen(node, now) for name, node in providers.items()}
    claimed = _claimed(before, providers, {name for name in away if name in claims})
    return _Known(topology, providers, {**away, **here}, homes, claimed)


def _claimed(
    before: _Known, providers: Mapping[bytes, ProviderNode], away: Set[bytes]
) -> dict[bytes, bytes]:
    """The name of the provider that each identity means; `away` are those that may come back."""
    claiming: dict[bytes, list[bytes]] = {}
    for name, node in providers.items():
        if node.identity is not None:
            claiming.setdefault(node.identity, []).append(name)
    kept = {
        identity: name
        for identity, name in before.claimed.items()
        if name in providers or name in away
    }
    return {identity: names[0] for identity, names in claiming.items() if len(names) == 1} | kept


def _note_homes(
    homes: dict[bytes, bytes],
    before: _Known,
    claims: Mapping[bytes, Set[bytes]],
    changed: Mapping[bytes, Set[bytes]],
) -> None:
    """Note where recipients were that somebody else lists now, too."""
    if not claims:
        return  # at first sight, all lists are new
    added: set[bytes] = set()
    for name, clients in changed.items():
        added |= _without(clients, claims.get(name, EMPTY))
    holders: dict[bytes, list[bytes]] = {}
    for name, clients in claims.items():
        for recipient in _common(added, clients):
            holders.setdefault(recipient, []).append(name)
    for recipient, names in holders.items():
        if (home := before.chosen(recipient, names)) is not None:
            homes[recipient] = home


def _without(clients: Set[bytes], before: Set[bytes]) -> set[bytes]:
    if isinstance(clients, AddressList) and isinstance(before, AddressList):
        return set(clients.without(before))
    return set(clients).difference(before)


def _common(some: set[bytes], clients: Set[bytes]) -> Iterable[bytes]:
    # A search in a list takes a few times as long as one in a set.
    if 4 * len(some) < len(clients):
        return [recipient for recipient in some if recipient in clients]
    return [recipient for recipient in clients if recipient in some]


def _away(before: _Known, providers: Mapping[bytes, ProviderNode]) -> dict[bytes, _Seen]:
    """The providers that are away.

    If they are too many, or have too many clients, some are forgotten: first those without clients,
    then those that have been away for longest.
    """
    away = [item for item in before.seen.items() if item[0] not in providers]
    away.sort(key=lambda item: (bool(item[1].node.clients), item[1].at), reverse=True)
    kept, room = {}, MOST
    for name, seen in away[:MOST_ABSENT]:
        room -= len(seen.node.clients)
        if room >= 0:
            kept[name] = seen
    return kept


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
