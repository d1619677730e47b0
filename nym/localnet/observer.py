"""Notes what all nodes of a local network see, and finds the route of one packet in it.

`demo` shows with it what a message looks like on its way.
"""

import time
from typing import NamedTuple

from nym.envelope import Envelopes, Fragment
from nym.identity import Identity
from nym.sphinx import Final, Forward
from nym.wire.addresses import NodeAddress


class Sighting(NamedTuple):
    """A packet at a node, and what was in it once it was unwrapped."""

    seconds: float  # monotonic
    node: NodeAddress
    packet: bytes
    unwrapped: Forward | Final


class Observer:
    """Notes every packet at every node; an instance is a Trace (nym.nodes.node)."""

    def __init__(self) -> None:
        self._sightings: list[Sighting] = []

    def __call__(self, node: NodeAddress, packet: bytes, unwrapped: Forward | Final) -> None:
        """Note a packet."""
        self._sightings.append(Sighting(time.monotonic(), node, packet, unwrapped))

    def route(self, message: bytes, recipient: Identity) -> list[Sighting]:
        """Every hop of the packet that carried `message`, in order.

        The nodes alone can't tell which packet that is: only the recipient's key opens envelopes.
        """
        envelopes = Envelopes(recipient)
        last = next(
            seen
            for seen in self._sightings
            if isinstance(seen.unwrapped, Final)
            and isinstance(fragment := envelopes.open(seen.unwrapped.message()), Fragment)
            and fragment.data == message
        )
        route = [last]
        while before := self._sender_of(route[0].packet):
            route.insert(0, before)
        return route

    def _sender_of(self, packet: bytes) -> Sighting | None:
        return next(
            (
                seen
                for seen in self._sightings
                if isinstance(seen.unwrapped, Forward) and seen.unwrapped.packet == packet
            ),
            None,
        )
