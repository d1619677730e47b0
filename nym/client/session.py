"""Which provider the client uses, and where else messages may wait (docs/protocol/provider.md)."""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from typing import Any

from gevent.event import Event

from nym.client.others import Others, is_same_provider, record_of
from nym.client.registration import Registration
from nym.errors import OwnFaultError, RemoteError
from nym.store.state import State
from nym.topology import ProviderNode, Topology, machine
from nym.wire.addresses import NodeAddress
from nym.wire.keys import decode_base58, encode_base58
from nym.wire.provider import Pulled

_STATE = "providers"

log = logging.getLogger(__name__)


class ProviderSession:
    """Follows one provider through its restarts and, after `patience` seconds, to another.

    It goes from one state to the next, and never back: no provider; `found`, when one of the
    network is used; `registered`, when one has given a token. Tokens come and go after that.

    A provider that can't be reached, answers nonsense or refuses is the same as none; what one
    loses that answers well, ProviderTrial sees. `preferred`, a provider's key, is never left for
    another. Where no node of the last topology is left, it is another network: there is nobody to
    be patient with. Unless `is_online`, its answers say nothing of a provider. Messages may
    also wait at others: at those that were left, at those that were tried, and at one that is
    alone in the directory while this one is missed.
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
        self._trouble = _Trouble()
        self._topology: Topology | None = None
        self._has_said = False
        self._bad: set[bytes] = set()  # keys of providers that were no good lately
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
        self._others.follow(topology)
        self._choose(topology, before)
        self._watch_lone(topology)

    @property
    def is_bound(self) -> bool:
        """Whether the settings name the provider, so that it is never left for another."""
        return self._preferred is not None

    def candidate(self, tried: Container[bytes]) -> Registration | None:
        """Another provider that may do better, none of those that were `tried`; nearest first.

        It is one of the others from now on, so it is registered at, and asked for messages.
        """
        if self._topology is None or self._current is None or self.is_bound:
            return None
        nodes = [
            node
            for node in self._topology.providers
            if node.public_key not in tried and not is_same_provider(self._current.node, node)
        ]
        node = min(nodes, key=self._distance, default=None)
        return node and (self._others.find(node) or self._ask_too(node))

    def leave_for(self, node: ProviderNode, why: str) -> None:
        """Use this provider from now on, as it has been shown to do better."""
        self._bad.add(self._known().node.public_key)
        self._use(node, why)

    def others(self) -> list[Registration]:
        """Other providers at which messages may wait, of those that are in the directory now."""
        return self._others.present(self._topology) if self._topology else []

    def register(self) -> None:
        """Ask for a token. Raises RemoteError; a provider must have been found."""
        current = self._known()
        with self._doubted(current):
            current.register()
        self.registered.set()
        self.remember()

    def pull(self) -> Pulled:
        """What waited. Raises RemoteError; there must be a token."""
        current = self._known()
        with self._doubted(current):
            pulled = current.pull()
        if pulled.is_whole:
            self._trouble.ends("service")
            self._has_said = False
        else:
            self._doubt(current, "its answers are not whole")
        return pulled

    def remember(self) -> None:
        """Keep providers and tokens for the next start."""
        kept = [r for r in (self._current, *self._others) if r is not None]
        self._state.set(_STATE, json.dumps([_to_json(r) for r in kept]).encode())

    def _restore(self) -> tuple[Registration | None, Others]:
        kept = json.loads(self._state.get(_STATE) or b"[]")
        registrations = [_from_json(self._address, fields) for fields in kept]
        return (registrations[0] if registrations else None), Others(registrations[1:])

    @contextmanager
    def _doubted(self, current: Registration) -> Iterator[None]:
        """Notes where the provider doesn't do what it is asked for."""
        try:
            yield
        except OwnFaultError:
            self._trouble.ends("service")  # it was never asked
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
            self.missed = f"{self._name()} is not in the directory"
            log.warning("%s; waiting for it", self.missed)

    def _wanted(self, topology: Topology, before: Topology | None) -> ProviderNode | None:
        """The provider to use now; None where one is waited for that isn't there."""
        if self._preferred is not None:
            return topology.provider(self._preferred)
        if self._current is None:
            return self._nearest(topology)
        now = time.monotonic()
        here = record_of(self._current.node, topology)
        if here is not None:
            self._trouble.ends("record")
        else:
            self._trouble.begins("record", now, "it is not in the directory")
        if here is None and not (before and before.shares_nodes_with(topology)):
            return self._nearest(topology)
        if self._trouble.seconds(now) > self.patience:
            self._bad.add(self._current.node.public_key)
            return self._nearest(topology)
        return here

    def _watch_lone(self, topology: Topology) -> None:
        """A lone provider gets everybody's messages: ours, too, while we wait for another one."""
        lone, *more = topology.providers
        is_ours = self._current is not None and is_same_provider(self._current.node, lone)
        if not (more or is_ours or self.is_bound or self._others.find(lone)):
            self._ask_too(lone)

    def _ask_too(self, node: ProviderNode) -> Registration:
        """Messages may wait at this provider, too."""
        registration = Registration(self._address, node)
        self._others.add(registration)
        return registration

    def _nearest(self, topology: Topology) -> ProviderNode:
        if self._bad.issuperset(node.public_key for node in topology.providers):
            self._bad.clear()
        return min(
            (node for node in topology.providers if node.public_key not in self._bad),
            key=self._distance,
        )

    def _distance(self, node: ProviderNode) -> list[bytes]:
        # Spread over all clients, another one for each; a machine counts once, as in routes.
        place = machine(node.address).encode(), node.public_key
        return [hashlib.blake2b(self._address + part).digest() for part in place]

    def _doubt(self, current: Registration, trouble: str) -> None:
        """The provider didn't answer, or not as it should."""
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
            # Nothing waits yet at a provider that this client never registered at.
            self._bad.add(current.node.public_key)
            self._current = None
            self._use(self._nearest(self._topology), trouble)

    def _say_that_it_is_kept(self) -> None:
        seconds = self._trouble.seconds(time.monotonic())
        if seconds > self.patience and not self._has_said:
            self._has_said = True
            log.warning(
                "%s has been no use for %.0f s; it is kept, as client.provider names it: %s",
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
            again = self._others.take(node)  # before the one that is left can push it out
            if current is not None:
                self._leave(current, why)
            self._current = again or Registration(self._address, node)
            self._trouble = _Trouble()
        self.remember()
        self.found.set()
        if self.has_token:
            self.registered.set()

    def _leave(self, current: Registration, why: str) -> None:
        log.warning(
            "provider %s is left: %s; what waits there is fetched when it can be",
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


class _Trouble:
    """What is wrong with the provider: its "record" or its "service", since when, and why.

    Only what was seen counts. While the process stands still, nothing is wrong with anybody.
    """

    def __init__(self) -> None:
        self._since: dict[str, float] = {}
        self._why: dict[str, str] = {}

    @property
    def why(self) -> str:
        """What is wrong, so that it would be left."""
        return "; ".join(self._why.values()) or "it belongs to another network"

    def begins(self, what: str, now: float, why: str) -> None:
        """It is wrong now, if it wasn't before."""
        self._since.setdefault(what, now)
        self._why[what] = why

    def ends(self, what: str) -> None:
        """It is as it should be."""
        self._since.pop(what, None)
        self._why.pop(what, None)

    def seconds(self, now: float) -> float:
        """For how long something has been wrong."""
        return now - min(self._since.values(), default=now)


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
