"""What all nodes of a local network see together, and how one packet's route shows in it."""

import time
from typing import NamedTuple

from nym.envelope import Envelopes, Fragment
from nym.identity import Identity
from nym.sphinx import Final, Forward
from nym.wire.addresses import NodeAddress


class Sighting(NamedTuple):
    """A packet at a node, and what came out of it."""

    seconds: float
    node: NodeAddress
    packet: bytes
    unwrapped: Forward | Final


class Observer:
    """What all nodes of the network together see."""

    def __init__(self) -> None:
        self._sightings: list[Sighting] = []

    def __call__(self, node: NodeAddress, packet: bytes, unwrapped: Forward | Final) -> None:
        """Note a packet."""
        self._sightings.append(Sighting(time.monotonic(), node, packet, unwrapped))

    def route(self, message: bytes, recipient: Identity) -> list[Sighting]:
        """Every hop of the packet that carried `message`, in order.

        The nodes alone could not tell: it takes the recipient's key.
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
