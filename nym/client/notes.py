"""Tells peers at which provider this client is now (docs/protocol/envelope.md, "Provider notes").

A peer is told only where both exchange reliable messages, which say who sent them: so a note tells
nobody anything who doesn't write to this client already. Notes can be lost, and aren't
acknowledged, so each peer gets a few.
"""

from collections import OrderedDict
from collections.abc import Callable

from nym.envelope import ProviderNote
from nym.signing import Stamps
from nym.store.outgoing import Ends
from nym.topology import ProviderNode

MOST_PEERS = 1000  # those met longest ago are forgotten, and told again when they are met again
TIMES = 3  # that a peer is told of a provider
PAUSE = 20.0  # seconds between two of them


class _Peer:
    """How often a peer has yet to be told, and when for the next time."""

    def __init__(self, due: float) -> None:
        self.left = TIMES
        self.due = due


class ProviderNotes:
    """The notes that are due. Clock readings are passed in."""

    def __init__(self, own_address: bytes, provider: Callable[[], ProviderNode | None]) -> None:
        self._own_address = own_address
        self._provider = provider
        self._stamps = Stamps()
        self._name = b""  # of the provider of which peers are told
        self._peers: OrderedDict[bytes, _Peer] = OrderedDict()

    def meet(self, ends: Ends, now: float) -> None:
        """Note that this client sends something reliable to a peer, or acknowledges it."""
        peer = ends.peer
        # Whoever is written to from a reply address must not learn the main one.
        if ends.is_reply or peer == self._own_address:
            return
        self._peers.setdefault(peer, _Peer(now))
        self._peers.move_to_end(peer)
        if len(self._peers) > MOST_PEERS:
            self._peers.popitem(last=False)

    def next(
        self, now: float, is_routable: Callable[[Ends], bool]
    ) -> tuple[Ends, ProviderNote] | None:
        """Return (from where to where, note) if one is due now, or None."""
        provider = self._provider()
        if provider is None:
            return None
        name = provider.identity or provider.public_key
        if name != self._name:
            self._name = name
            self._peers = OrderedDict((peer, _Peer(now)) for peer in self._peers)
        for address, peer in self._peers.items():
            ends = Ends(b"", address)
            if peer.left and now >= peer.due and is_routable(ends):
                peer.left -= 1
                peer.due = now + PAUSE
                return ends, ProviderNote(name, self._stamps.next(), self._own_address)
        return None
