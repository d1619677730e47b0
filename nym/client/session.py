"""Chooses the provider that the client uses, and knows at which others messages may wait.

The rules are in docs/protocol/provider.md, "Over time".
"""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager

from gevent.event import Event

from nym.client.others import Others, is_same_provider
from nym.client.registration import Delivered, Registration
from nym.client.trouble import Trouble
from nym.errors import OwnFaultError, RemoteError
from nym.identity import Identity
from nym.store.state import State
from nym.topology import ProviderNode, Topology, machine
from nym.wire.addresses import NodeAddress
from nym.wire.keys import encode_base58
from nym.wire.provider import Pulled

_STATE = "providers"
_NAMED = "named provider"

log = logging.getLogger(__name__)


class ProviderSession:
    """Follows one provider through its restarts and, after `patience` seconds, changes to another.

    The session has three states, and never goes back to an earlier one: no provider; `found`, since
    it uses a provider of the network; `registered`, since a provider has given it a token. Tokens
    can be lost and renewed after that.

    - A provider that can't be reached, answers nonsense or refuses is left after `patience`
      seconds. A provider that answers well, but loses packets, is noticed by ProviderTrial.
    - `preferred`, a provider's key or identity, is never left for another one. It is looked for
      once; after that, the provider is the one at its place, whatever key it has and whatever
      others claim. Only the settings can give it another identity on a sealed line.
    - If no node of the last topology is in the new one, it is another network. Then there is
      nothing to wait for, and another provider is chosen at once.
    - While `is_online` is False, the client's own line may be at fault. Then no provider is blamed.
    - Messages may also wait at other providers: those that were left, those that were tried, and
      one that is alone in the directory while the client still waits for its own.
    """

    def __init__(
        self,
        own: Identity,
        preferred: bytes | None,
        patience: float,
        state: State,
        is_online: Callable[[], bool],
    ) -> None:
        self.found = Event()
        self.registered = Event()
        self.patience = patience
        self._own = own
        self._preferred = preferred
        self._state = state
        self._is_online = is_online
        self._trouble = Trouble()
        self._topology: Topology | None = None
        self._has_said = False  # whether the log says that a bad provider is kept
        self._bad: set[NodeAddress] = set()  # places of providers that did not work lately
        self.missed: str | None = None  # a sentence, while the provider isn't in the directory
        self._current, self._others = self._restore()
        # What the settings named when the current provider was found; empty for nothing.
        self._named = state.get(_NAMED) or b""

    @property
    def provider(self) -> ProviderNode | None:
        """The provider that the client uses, or None before one was found."""
        return self._current.node if self._current and self.found.is_set() else None

    @property
    def place(self) -> NodeAddress:
        """Where the client pulls. There must be a provider."""
        return self._known().node.client_address

    @property
    def can_pull(self) -> bool:
        """Whether the provider knows the client. If not, the client has to register first."""
        return self._current is not None and self._current.is_complete

    @property
    def is_sealed(self) -> bool:
        """Whether the client speaks with its provider on a sealed line."""
        return self._current is not None and self._current.line is not None

    def follow(self, topology: Topology) -> None:
        """Find the provider in a new topology, or change to another one if necessary."""
        before, self._topology = self._topology, topology
        self._others.follow(topology, before)
        self._choose(topology, before)
        self._watch_lone(topology)

    @property
    def is_bound(self) -> bool:
        """Whether the settings name the provider, so that it is never left for another."""
        return self._preferred is not None

    def candidate(self, tried: Container[NodeAddress]) -> Registration | None:
        """Return another provider to try, or None; nearest first, without the places in `tried`.

        It becomes one of the other providers, so the client registers there and pulls from there.
        """
        if self._topology is None or self._current is None or self.is_bound:
            return None
        nodes = [
            node
            for node in self._topology.providers
            if node.client_address not in tried and not is_same_provider(self._current.node, node)
        ]
        node = min(nodes, key=self._distance, default=None)
        return node and (self._others.find(node) or self._ask_too(node))

    def leave_for(self, node: ProviderNode, why: str) -> None:
        """Use this provider from now on, because a trial has shown that it does better."""
        self._bad.add(self._known().node.client_address)
        self._use(node, why)

    def others(self) -> list[Registration]:
        """Return the other providers at which messages may wait and that are in the directory."""
        return self._others.present(self._topology) if self._topology else []

    def register(self) -> None:
        """Register at the provider. There must be one. Raises RemoteError."""
        current = self._known()
        try:
            with self._doubted(current):
                current.register()
        finally:
            self.remember()  # after a refusal, too: it may have come on a sealed line
        self.registered.set()

    def pull(self, delivered: Delivered) -> Pulled:
        """Pull what waits at the provider, which must know the client. Raises RemoteError.

        See Registration.
        """
        current = self._known()
        with self._doubted(current):
            pulled = current.pull(delivered)
        if pulled.is_whole:
            self._trouble.ends("service")
            self._has_said = False
        else:
            # What is whole in such an answer is kept. But a provider that answers like this all the
            # time must not count as working.
            self._doubt(current, "its answers are incomplete or contradictory")
        return pulled

    def remember(self) -> None:
        """Keep all providers and tokens for the next start."""
        kept = [r for r in (self._current, *self._others) if r is not None]
        self._state.set(_STATE, json.dumps([r.to_json() for r in kept]).encode())
        self._state.set(_NAMED, self._named)

    def _restore(self) -> tuple[Registration | None, Others]:
        kept = json.loads(self._state.get(_STATE) or b"[]")
        registrations = [Registration.restored(self._own, fields) for fields in kept]
        return (registrations[0] if registrations else None), Others(registrations[1:])

    @contextmanager
    def _doubted(self, current: Registration) -> Iterator[None]:
        """Note a failure of the provider that is raised inside."""
        try:
            yield
        except OwnFaultError:
            # This machine failed, for example because it had no descriptor left. The provider was
            # never asked, so its earlier failures do not add up to an outage either.
            self._trouble.ends("service")
            raise
        except RemoteError as error:
            self._doubt(current, str(error))
            raise

    def _choose(self, topology: Topology, before: Topology | None) -> None:
        node = self._wanted(topology, before)
        if node is not None:
            self.missed = None
            self._use(node, self._trouble.why)
        elif self.missed is None:
            self.missed = self._why_missed(topology)
            log.warning("%s; waiting for it", self.missed)

    def _wanted(self, topology: Topology, before: Topology | None) -> ProviderNode | None:
        """Return the provider to use now, or None while the client waits for a missing one."""
        if self._preferred is not None:
            return self._preferred_in(topology, before)
        if self._current is None:
            return self._nearest(topology)
        now = time.monotonic()
        here = topology.record_of(self._current.node, before)
        if here is not None:
            self._trouble.ends("record")
        else:
            self._trouble.begins("record", now, "it is not in the directory")
        if here is None and not (before and before.shares_nodes_with(topology)):
            return self._nearest(topology)
        if self._trouble.seconds(now) > self.patience:
            self._bad.add(self._current.node.client_address)
            return self._nearest(topology)
        return here

    def _preferred_in(self, topology: Topology, before: Topology | None) -> ProviderNode | None:
        """Return the provider that the settings name, or None if it isn't there.

        An identity is a claim that anybody can make. So it only serves to find the provider that
        was never found before, and only if a single record claims it.
        """
        name, current = self._preferred or b"", self._current
        if current and name in (self._named, current.node.public_key):
            return topology.record_of(current.node, before)
        claiming = topology.claiming(name)
        return topology.provider(name) or (claiming[0] if len(claiming) == 1 else None)

    def _why_missed(self, topology: Topology) -> str:
        if self._preferred and len(topology.claiming(self._preferred)) > 1:
            return f"more than one provider in the directory claims to be {self._name()}"
        return f"{self._name()} is not in the directory"

    def _watch_lone(self, topology: Topology) -> None:
        """Also pull from a provider that is alone in the directory.

        If there is only one, clients send it the messages for everybody. So it may have messages
        for this client, while this client still waits for its own provider.
        """
        lone, *more = topology.providers
        is_ours = self._current is not None and is_same_provider(self._current.node, lone)
        if not (more or is_ours or self.is_bound or self._others.find(lone)):
            self._ask_too(lone)

    def _ask_too(self, node: ProviderNode) -> Registration:
        """Add a provider at which messages may wait, too."""
        registration = Registration(self._own, node)
        self._others.add(registration)
        return registration

    def _nearest(self, topology: Topology) -> ProviderNode:
        # If all of them failed lately, each gets another chance.
        if self._bad.issuperset(node.client_address for node in topology.providers):
            self._bad.clear()
        return min(
            (node for node in topology.providers if node.client_address not in self._bad),
            key=self._distance,
        )

    def _distance(self, node: ProviderNode) -> list[bytes]:
        # A hash over both keys spreads clients over the providers. The machine comes first, so that
        # somebody who runs many providers on one machine doesn't get more clients for it.
        place = machine(node.address).encode(), node.public_key
        return [hashlib.blake2b(self._own.public_key + part).digest() for part in place]

    def _doubt(self, current: Registration, trouble: str) -> None:
        """Note that the provider didn't answer, or answered wrongly, and leave it if it is time."""
        if self._topology is None:
            return
        if self._is_online():
            self._trouble.begins("service", time.monotonic(), trouble)
        else:
            self._trouble.ends("service")
        if self.is_bound:
            self._say_that_it_is_kept()
        elif self.registered.is_set():
            self._choose(self._topology, self._topology)
        else:
            # The client never registered there, so no messages wait there. It need not be patient.
            self._bad.add(current.node.client_address)
            self._current = None
            self._use(self._nearest(self._topology), trouble)

    def _say_that_it_is_kept(self) -> None:
        """Log once that a provider which would be left is kept, because the settings name it."""
        seconds = self._trouble.seconds(time.monotonic())
        if seconds > self.patience and not self._has_said:
            self._has_said = True
            log.warning(
                "%s has not worked for %.0f s: %s; it is kept, because client.provider names it",
                self._name(),
                seconds,
                self._trouble.why,
            )

    def _use(self, node: ProviderNode, why: str) -> None:
        current = self._current
        if current is not None and is_same_provider(current.node, node):
            current.follow(node)
        else:
            log.info("using provider %s", encode_base58(node.public_key))
            # Taken out first. Otherwise the provider that is left could push out this one, whose
            # token would be lost.
            again = self._others.take(node)
            if current is not None:
                self._leave(current, why)
            self._current = current = again or Registration(self._own, node)
            self._trouble = Trouble()
        if self._preferred is not None and self._preferred == node.identity and node.offers_line:
            current.accept(self._preferred)
        self._named = self._preferred or b""
        self.remember()
        self.found.set()
        if self.can_pull:
            self.registered.set()

    def _leave(self, current: Registration, why: str) -> None:
        log.warning(
            "leaving provider %s: %s; messages that wait there will be pulled when possible",
            encode_base58(current.node.public_key),
            why,
        )
        self._others.add(current)

    def _known(self) -> Registration:
        if self._current is None:
            raise AssertionError("no provider was found yet")
        return self._current

    def _name(self) -> str:
        key = self._preferred or (self._current.node.public_key if self._current else b"")
        return f"provider {encode_base58(key)}"
