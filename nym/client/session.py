"""Which provider the client uses, and where else messages may wait (docs/protocol/provider.md)."""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from gevent.event import Event

from nym.client.others import Others, is_same_provider, record_of
from nym.client.registration import Registration
from nym.errors import OwnFaultError, RemoteError, UnreachableError
from nym.store.state import State
from nym.topology import ProviderNode, Topology
from nym.wire.addresses import NodeAddress
from nym.wire.keys import decode_base58, encode_base58
from nym.wire.provider import Pulled

_STATE = "providers"

log = logging.getLogger(__name__)


class ProviderSession:
    """Follows one provider through its restarts and, after `patience` seconds, to another.

    It goes from one state to the next, and never back: no provider; `found`, when one of the
    network is used; `registered`, when one has given a token. Tokens come and go after that.

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
        self.found = Event()
        self.registered = Event()
        self.patience = patience
        self._address = address
        self._preferred = preferred
        self._state = state
        self._is_online = is_online
        self._seen = _Seen(time.monotonic())
        self._topology: Topology | None = None
        self._unreachable: set[bytes] = set()
        self.missed: str | None = None  # why there is none to use: it isn't in the directory
        self._current, self._others = self._restore()

    @property
    def provider(self) -> ProviderNode | None:
        """The provider that is used, once there is one."""
        return self._current.node if self._current and self.found.is_set() else None

    @property
    def has_token(self) -> bool:
        """Whether pulls make sense."""
        return self._current is not None and self._current.token is not None

    def follow(self, topology: Topology) -> None:
        """Look for the provider in a new topology, and for another one where it must be."""
        before, self._topology = self._topology, topology
        is_same_network = before is not None and not before.public_keys().isdisjoint(
            topology.public_keys()
        )
        self._others.follow(topology)
        self._choose(topology, is_same_network=is_same_network)
        self._watch_lone(topology)

    def others(self) -> list[Registration]:
        """Other providers at which messages may wait, of those that are in the directory now."""
        return self._others.present(self._topology) if self._topology else []

    def register(self) -> None:
        """Ask for a token. Raises RemoteError; a provider must have been found."""
        current = self._known()
        with self._heard(current):
            current.register()
        self.registered.set()
        self.remember()

    def pull(self) -> Pulled:
        """What waited. Raises RemoteError; there must be a token."""
        current = self._known()
        with self._heard(current):
            return current.pull()

    def remember(self) -> None:
        """Keep providers and tokens for the next start."""
        kept = [r for r in (self._current, *self._others) if r is not None]
        self._state.set(_STATE, json.dumps([_to_json(r) for r in kept]).encode())

    def _restore(self) -> tuple[Registration | None, Others]:
        kept = json.loads(self._state.get(_STATE) or b"[]")
        registrations = [_from_json(self._address, fields) for fields in kept]
        return (registrations[0] if registrations else None), Others(registrations[1:])

    @contextmanager
    def _heard(self, current: Registration) -> Iterator[None]:
        """Notes that the provider is there, whatever it says; or that it may be gone."""
        try:
            yield
        except RemoteError as error:
            if isinstance(error, UnreachableError) and not isinstance(error, OwnFaultError):
                self._doubt(current)
            else:
                # It answered, or was never asked, by a fault of this machine.
                self._seen.answered = time.monotonic()
            raise
        self._seen.answered = time.monotonic()

    def _choose(self, topology: Topology, *, is_same_network: bool) -> None:
        node = self._wanted(topology, is_same_network=is_same_network)
        if node is not None:
            self.missed = None
            self._use(node)
        elif self.missed is None:
            self.missed = f"{self._name()} is not in the directory"
            log.warning("%s; waiting for it", self.missed)

    def _wanted(self, topology: Topology, *, is_same_network: bool) -> ProviderNode | None:
        """The provider to use now; None where one is waited for that isn't there."""
        if self._preferred is not None:
            return topology.provider(self._preferred)
        if self._current is None:
            return self._nearest(topology)
        now = time.monotonic()
        here = record_of(self._current.node, topology)
        if here is not None:
            self._seen.listed = now
        elif not is_same_network:
            return self._nearest(topology)
        if self._seen.missing_for(now) > self.patience:
            self._unreachable.add(self._current.node.public_key)
            return self._nearest(topology)
        return here

    def _watch_lone(self, topology: Topology) -> None:
        """A lone provider gets everybody's messages: ours, too, while we wait for another one."""
        lone, *more = topology.providers
        is_ours = self._current is not None and is_same_provider(self._current.node, lone)
        if not (more or is_ours or self._preferred is not None or self._others.has(lone)):
            self._others.add(Registration(self._address, lone))

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
                self._seen.answered = time.monotonic()
            self._choose(self._topology, is_same_network=True)
        else:
            # Nothing waits yet at a provider that this client never registered at.
            self._unreachable.add(current.node.public_key)
            self._current = None
            self._use(self._nearest(self._topology))

    def _use(self, node: ProviderNode) -> None:
        current = self._current
        if current is not None and is_same_provider(current.node, node):
            current.follow(node)
        else:
            log.info("using provider %s", encode_base58(node.public_key))
            again = self._others.take(node)  # before the one that is left can push it out
            if current is not None:
                self._leave(current)
            self._current = again or Registration(self._address, node)
            self._seen = _Seen(time.monotonic())
        self.remember()
        self.found.set()
        if self.has_token:
            self.registered.set()

    def _leave(self, current: Registration) -> None:
        log.warning(
            "provider %s is gone; what waits there is fetched when it returns",
            encode_base58(current.node.public_key),
        )
        self._others.add(current)

    def _known(self) -> Registration:
        if self._current is None:
            raise AssertionError("no provider was found yet")
        return self._current

    def _name(self) -> str:
        key = self._preferred or (self._current.node.public_key if self._current else b"")
        return f"provider {encode_base58(key)}"


class _Seen:
    """When the provider was there last: in the directory, and as one that answers."""

    def __init__(self, now: float) -> None:
        self.listed = self.answered = now

    def missing_for(self, now: float) -> float:
        """For how many seconds it wasn't both."""
        return now - min(self.listed, self.answered)


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
