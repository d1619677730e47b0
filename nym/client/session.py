"""The client at its provider: which one, under which token (docs/protocol/provider.md)."""

import hashlib
import logging
import time

from gevent.event import Event

from nym.client.transport import exchange
from nym.errors import UnreachableError
from nym.topology import ProviderNode, Topology
from nym.wire.keys import encode_base58
from nym.wire.provider import (
    LONGEST_ANSWER,
    TOKEN_LENGTH,
    Pull,
    Register,
    decode_messages,
    decode_token,
)

log = logging.getLogger(__name__)


class ProviderSession:
    """Follows one provider through its restarts and, after `patience` seconds, to another.

    `preferred`, a provider's key, is never left for another. Where no node of the last topology
    is left, it is another network: there is nobody to be patient with.
    """

    def __init__(self, address: bytes, preferred: bytes | None, patience: float) -> None:
        self.provider: ProviderNode | None = None
        self.chosen = Event()  # set once there is a provider, for good
        self.registered = Event()  # set at the first registration, for good
        self._address = address
        self._preferred = preferred
        self._patience = patience
        self._token: bytes | None = None
        self._last_seen = 0.0
        self._topology: Topology | None = None
        self._network: frozenset[bytes] = frozenset()  # keys of all its nodes
        self._unreachable: set[bytes] = set()
        self._missed = False

    def follow(self, topology: Topology) -> None:
        """Look for the provider in a new topology, and for another one where it must be."""
        keys = topology.public_keys()
        is_same_network = not keys.isdisjoint(self._network)
        self._topology, self._network = topology, keys
        chosen = self._choose(topology, is_same_network=is_same_network)
        if chosen is None:
            if not self._missed:
                log.warning("%s is not in the directory; waiting for it", self._name())
            self._missed = True
            return
        self._missed = False
        self._last_seen = time.monotonic()
        self._use(chosen)

    @property
    def has_token(self) -> bool:
        """Whether pulls make sense."""
        return self._token is not None

    def register(self) -> None:
        """Ask for a token. Raises RemoteError; a provider must be known."""
        provider = self._known_provider()
        request = Register(self._address).encode()
        try:
            answer = exchange(provider.client_address, request, TOKEN_LENGTH + 1)
        except UnreachableError:
            self._try_another(provider)
            raise
        self._token = decode_token(answer)
        self.registered.set()
        log.info("registered at provider %s", encode_base58(provider.public_key))

    def forget_token(self) -> None:
        """The provider doesn't know it: it was started anew."""
        self._token = None

    def pull(self) -> list[bytes]:
        """What waited, dummies and loops included. Raises RemoteError; there must be a token."""
        request = Pull(self._address, self._token or b"").encode()
        answer = exchange(self._known_provider().client_address, request, LONGEST_ANSWER)
        return decode_messages(answer)

    def _choose(self, topology: Topology, *, is_same_network: bool) -> ProviderNode | None:
        if self._preferred is not None:
            return topology.provider(self._preferred)
        if self.provider is None:
            return self._nearest(topology)
        same = topology.provider(self.provider.public_key) or next(
            # A provider of 0.4 has a new key after each start.
            (n for n in topology.providers if n.client_address == self.provider.client_address),
            None,
        )
        is_given_up = time.monotonic() - self._last_seen > self._patience or not is_same_network
        return self._nearest(topology) if same is None and is_given_up else same

    def _nearest(self, topology: Topology) -> ProviderNode:
        # The same one at every start, and another one for another client: nothing to remember.
        reachable = [n for n in topology.providers if n.public_key not in self._unreachable]
        return min(
            reachable or topology.providers,
            key=lambda node: hashlib.blake2b(self._address + node.public_key).digest(),
        )

    def _try_another(self, provider: ProviderNode) -> None:
        # Nothing waits yet at a provider that this client never registered at.
        if self._topology is None or self._preferred is not None or self.registered.is_set():
            return
        self._unreachable.add(provider.public_key)
        if self._unreachable.issuperset(n.public_key for n in self._topology.providers):
            self._unreachable.clear()
        self._use(self._nearest(self._topology))

    def _use(self, chosen: ProviderNode) -> None:
        if self.provider is None or chosen.public_key != self.provider.public_key:
            log.info("using provider %s", encode_base58(chosen.public_key))
            self._token = None
        self.provider = chosen
        self.chosen.set()

    def _known_provider(self) -> ProviderNode:
        if self.provider is None:
            raise AssertionError("no provider was chosen yet")
        return self.provider

    def _name(self) -> str:
        key = self._preferred or (self.provider.public_key if self.provider else b"")
        return f"provider {encode_base58(key)}"
