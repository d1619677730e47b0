"""Drafts all packets: seals the content, finds the recipient's provider, draws a route."""

import time
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from nym.client.delivery import Stage
from nym.client.named import NamedProviders
from nym.client.own_addresses import OwnAddresses
from nym.client.session import ProviderSession
from nym.client.tags import Tags
from nym.envelope import Content
from nym.errors import NoTopologyError
from nym.health import Health
from nym.routes import NANOSECONDS, random_route
from nym.sphinx import Request
from nym.store.outgoing import Ends
from nym.topology import Mix, ProviderNode, Topology
from nym.whereabouts import Whereabouts


class Draft(NamedTuple):
    """What a packet is made from, and the mixnodes of its route. It goes to the first of them.

    `delays`: the seconds for which each of them keeps it. `packet` is empty until it is made.
    """

    request: Request
    route: tuple[Mix, ...]
    delays: tuple[float, ...] = ()
    packet: bytes = b""


class PacketMaker:
    """Says what packets are made from. All have routes and delays from the same distributions.

    So neither shows whether a packet carries a message or cover.
    """

    def __init__(
        self,
        own: OwnAddresses,
        tags: Tags,
        topology: Callable[[], Topology | None],
        whereabouts: Whereabouts,
        named: NamedProviders,
        session: ProviderSession,
        health: Health,
        average_delay: float,
        random: Random,
    ) -> None:
        self._own = own
        self._tags = tags
        self._topology = topology
        self._whereabouts = whereabouts
        self._named = named
        self._session = session
        self._health = health
        self._average_delay = average_delay
        self._random = random

    def is_routable(self, ends: Ends) -> bool:
        """Whether a packet between these ends can be drafted now."""
        return not self._is_over(ends) and self._provider(ends) is not None

    def obstacle(self, ends: Ends) -> Stage | None:
        """Return what prevents packets between these ends now, or None."""
        if self._is_over(ends):
            return Stage.EXPIRED
        if self._topology() is None:
            return Stage.NETWORK
        # A provider drops packets for a client that isn't registered there. One of 0.4 forgets its
        # clients when it restarts, so this client sends itself nothing until it has registered
        # again.
        # Messages to others only have to wait for the first registration.
        is_own = self._own.is_own(ends.peer)
        if not (self._session.can_pull if is_own else self._session.registered.is_set()):
            return Stage.REGISTRATION
        if self.is_routable(ends):
            return None
        is_named = ends.tag or self._named.is_said(ends.peer)
        return Stage.PROVIDER if is_named else Stage.RECIPIENT

    def draft(
        self, ends: Ends, content: Content | bytes, provider: ProviderNode | None = None
    ) -> Draft:
        """Draft a packet with `content` in an envelope, or with a plain message.

        Plain messages are bytes, at most 975 of them. The packet goes to the peer's provider,
        unless another `provider` is given. Raises NoTopologyError.
        """
        topology, provider = self._topology(), provider or self._provider(ends)
        if topology is None or provider is None:
            raise NoTopologyError
        if not isinstance(content, bytes):
            content = self._own.seal(content, ends)
        now = time.monotonic()
        # Without the nodes that lose packets at present. This is drawn for each packet.
        layers = self._health.usable(topology.layers_to(provider), now, self._random)
        route, hops = random_route(layers, provider, self._average_delay, self._random)
        delays = tuple(hop.delay / NANOSECONDS for hop in hops[: len(route)])
        return Draft(Request(content, hops, ends.peer), route, delays)

    def drawn_from(self, now: float) -> tuple[Topology | None, frozenset[Mix]]:
        """The network, and the mixnodes that routes avoid: what routes are drawn from now."""
        return self._topology(), frozenset(self._health.avoided(now))

    def random_provider(self) -> ProviderNode | None:
        """A provider of the network, at random; None while there is no network."""
        topology = self._topology()
        return topology.providers.draw(self._random) if topology else None

    def draw_own(self) -> bytes:
        """An address of this client, at random: it may acknowledge something now."""
        return self._random.choice(self._own.all())

    def _is_over(self, ends: Ends) -> bool:
        is_valid = not ends.tag or self._tags.is_valid(ends.tag)
        return not (is_valid and self._own.is_there(ends.own))

    def _provider(self, ends: Ends) -> ProviderNode | None:
        topology = self._topology()
        if topology is None:
            return None
        if self._own.is_own(ends.peer):
            # The directory may still list this client elsewhere, or not at all.
            provider = self._own.provider_of(ends.peer)
        elif (name := self._name_of_provider(ends)) is not None:
            provider = self._whereabouts.named(name)
            # A note may be old news. Lists don't count where somebody here has named a provider.
            if provider is None and not self._named.is_said(ends.peer):
                provider = self._whereabouts.provider_of(ends.peer)
        else:
            provider = self._whereabouts.provider_of(ends.peer)
        return provider if provider and all(topology.layers_to(provider)) else None

    def _name_of_provider(self, ends: Ends) -> bytes | None:
        if tag := self._tags.find(ends.tag):
            return tag.provider
        # What the peer told another address of this client must not steer packets that leave from a
        # reply address: the peer would see that both belong together.
        return self._named.said(ends.peer) if ends.own else self._named.provider_of(ends.peer)
