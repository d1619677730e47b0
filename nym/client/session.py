"""Which provider the client uses, and where else messages may wait (docs/protocol/provider.md)."""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from gevent.event import Event

from nym.client.registration import Registration
from nym.errors import RemoteError, UnreachableError
from nym.store.state import State
from nym.topology import ProviderNode, Topology
from nym.wire.addresses import NodeAddress
from nym.wire.keys import decode_base58, encode_base58
from nym.wire.provider import Pulled

MOST_OTHERS = 8
_STATE = "providers"

log = logging.getLogger(__name__)


class ProviderSession:
    """Follows one provider through its restarts and, after `patience` seconds, to another.

    `preferred`, a provider's key, is never left for another. Where no node of the last topology
    is left, it is another network: there is nobody to be patient with. Without `is_online`, that it
    doesn't answer says nothing of a provider. Messages may also wait at others: at those that were
    left, and at one that is alone in the directory while this one is missed.
    """

    def __init__(
        self,
        address: bytes,
        preferred: bytes | None,
        patience: float,
        state: State,
        is_online: Callable[[], bool],
    ) -> None:
        self.chosen = Event()  # set once there is a provider, for good
        self.registered = Event()  # set at the first registration, for good
        self._address = address
        self._preferred = preferred
        self.patience = patience
        self._state = state
        self._is_online = is_online
        self._current: Registration | None = None
        self._others: list[Registration] = []
        self._listed = self._answered = time.monotonic()  # when it was so last
        self._topology: Topology | None = None
        self._network: frozenset[bytes] = frozenset()  # keys of all its nodes
        self._unreachable: set[bytes] = set()
        self._missed = False
        self._restore()

    @property
    def provider(self) -> ProviderNode | None:
        """The provider that is used, once there is one."""
        return self._current.node if self._current and self.chosen.is_set() else None

    @property
    def has_token(self) -> bool:
        """Whether pulls make sense."""
        return self._current is not None and self._current.token is not None

    def follow(self, topology: Topology) -> None:
        """Look for the provider in a new topology, and for another one where it must be."""
        keys = topology.public_keys()
        is_same_network = not keys.isdisjoint(self._network)
        self._topology, self._network = topology, keys
        for registration in self._others:
            if node := _same(topology, registration.node):
                registration.follow(node)
        self._choose(topology, is_same_network=is_same_network)
        self._watch_lone(topology)

    def others(self) -> list[Registration]:
        """Other providers at which messages may wait, of those that are in the directory now."""
        topology = self._topology
        return [r for r in self._others if topology and _same(topology, r.node)]

    def register(self) -> None:
        """Ask for a token. Raises RemoteError; a provider must have been chosen."""
        current = self._known()
        try:
            with self._heard():
                current.register()
        except UnreachableError:
            self._doubt(current)
            raise
        self.registered.set()
        self.remember()

    def pull(self) -> Pulled:
        """What waited. Raises RemoteError; there must be a token."""
        current = self._known()
        try:
            with self._heard():
                return current.pull()
        except UnreachableError:
            self._doubt(current)
            raise

    def remember(self) -> None:
        """Keep providers and tokens for the next start."""
        kept = [r for r in (self._current, *self._others) if r is not None]
        self._state.set(_STATE, json.dumps([_to_json(r) for r in kept]).encode())

    def _restore(self) -> None:
        kept = json.loads(self._state.get(_STATE) or b"[]")
        registrations = [_from_json(self._address, fields) for fields in kept]
        if registrations:
            self._current, *self._others = registrations

    @contextmanager
    def _heard(self) -> Iterator[None]:
        """Notes that the provider is there, whatever it says."""
        try:
            yield
        except UnreachableError:
            raise
        except RemoteError:
            self._answered = time.monotonic()
            raise
        self._answered = time.monotonic()

    def _choose(self, topology: Topology, *, is_same_network: bool) -> None:
        now = time.monotonic()
        if self._preferred is not None:
            chosen = topology.provider(self._preferred)
        elif self._current is None:
            chosen = self._nearest(topology)
        else:
            chosen = _same(topology, self._current.node)
            if chosen is not None:
                self._listed = now
            missing = now - min(self._listed, self._answered)
            if not is_same_network and chosen is None:
                chosen = self._nearest(topology)
            elif missing > self.patience:
                self._unreachable.add(self._current.node.public_key)
                chosen = self._nearest(topology)
        if chosen is not None:
            self._missed = False
            self._use(chosen)
        elif not self._missed:
            self._missed = True
            log.warning("%s is not in the directory; waiting for it", self._name())

    def _watch_lone(self, topology: Topology) -> None:
        """A lone provider gets everybody's messages: ours, too, while we wait for another one."""
        lone, *more = topology.providers
        is_ours = self._current is not None and _is_same(self._current.node, lone)
        if more or is_ours or self._preferred is not None:
            return
        if not any(_is_same(other.node, lone) for other in self._others):
            self._remember_other(Registration(self._address, lone))

    def _nearest(self, topology: Topology) -> ProviderNode:
        # Spread over all clients, another one for each.
        if self._unreachable.issuperset(node.public_key for node in topology.providers):
            self._unreachable.clear()
        return min(
            (node for node in topology.providers if node.public_key not in self._unreachable),
            key=lambda node: hashlib.blake2b(self._address + node.public_key).digest(),
        )

    def _doubt(self, current: Registration) -> None:
        """The provider didn't answer."""
        if self._topology is None or self._preferred is not None:
            return
        if self.registered.is_set():
            if not self._is_online():
                self._answered = time.monotonic()
            self._choose(self._topology, is_same_network=True)
        else:
            # Nothing waits yet at a provider that this client never registered at.
            self._unreachable.add(current.node.public_key)
            self._current = None
            self._use(self._nearest(self._topology))

    def _use(self, chosen: ProviderNode) -> None:
        current = self._current
        if current is not None and _is_same(current.node, chosen):
            current.follow(chosen)
        else:
            log.info("using provider %s", encode_base58(chosen.public_key))
            self._leave(current)
            again = next((r for r in self._others if _is_same(r.node, chosen)), None)
            if again:
                self._others.remove(again)
                again.follow(chosen)
            self._current = again or Registration(self._address, chosen)
            self._listed = self._answered = time.monotonic()
            self.remember()
        self.chosen.set()
        if self.has_token:
            self.registered.set()

    def _leave(self, current: Registration | None) -> None:
        if current is None:
            return
        log.warning(
            "provider %s is gone; what waits there is fetched when it returns",
            encode_base58(current.node.public_key),
        )
        self._remember_other(current)

    def _remember_other(self, registration: Registration) -> None:
        self._others = [registration, *self._others][:MOST_OTHERS]

    def _known(self) -> Registration:
        if self._current is None:
            raise AssertionError("no provider was chosen yet")
        return self._current

    def _name(self) -> str:
        key = self._preferred or (self._current.node.public_key if self._current else b"")
        return f"provider {encode_base58(key)}"


def _same(topology: Topology, node: ProviderNode) -> ProviderNode | None:
    """The same provider in a topology: by its key, else by its address, as 0.4 renews keys."""
    return topology.provider(node.public_key) or next(
        (other for other in topology.providers if other.client_address == node.client_address), None
    )


def _is_same(node: ProviderNode, other: ProviderNode) -> bool:
    return node.public_key == other.public_key or node.client_address == other.client_address


def _to_json(registration: Registration) -> dict[str, Any]:
    node = registration.node
    return {
        "key": encode_base58(node.public_key),
        "address": list(node.address),
        "client_address": list(node.client_address),
        "token": registration.token and registration.token.hex(),
    }


def _from_json(address: bytes, fields: dict[str, Any]) -> Registration:
    node = ProviderNode(
        NodeAddress(*fields["address"]),
        NodeAddress(*fields["client_address"]),
        decode_base58(fields["key"]),
        frozenset(),
    )
    return Registration(address, node, fields["token"] and bytes.fromhex(fields["token"]))
