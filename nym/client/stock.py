"""Cover that is made before its turn: several packets at a time take less time for each.

Nothing of it depends on what an application does, and nobody can tell when a packet was made. One
that a message has taken the place of is kept for the next turn.
"""

import time
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from nym.client.packets import Draft, PacketMaker
from nym.sphinx import AT_ONCE, create_packets
from nym.topology import Mix, Topology

LONGEST_KEPT = 10.0  # seconds, as long as a network is used before the directory is asked again

About = TypeVar("About")


class Made(NamedTuple, Generic[About]):
    """A packet, with what its sender has to know of it."""

    draft: Draft
    about: About


class Stock(Generic[About]):
    """Packets that `draw` drafts, for a stream whose gaps are `mean` seconds on average.

    `draw` returns None while there is no network to send through.
    """

    def __init__(
        self, packets: PacketMaker, mean: float, draw: Callable[[], Made[About] | None]
    ) -> None:
        self._packets = packets
        self._draw = draw
        # As many as leave in half of the time for which they are kept, so that few are thrown away.
        self._count = max(1, min(AT_ONCE, int(LONGEST_KEPT / 2 / mean))) if mean else AT_ONCE
        self._made: list[Made[About]] = []
        self._made_at = 0.0
        # What their routes were drawn from (PacketMaker.drawn_from).
        self._topology: Topology | None = None
        self._avoided: frozenset[Mix] = frozenset()

    def take(self) -> Made[About] | None:
        """A packet that is to leave now; None while there is no network to send it through."""
        now = time.monotonic()
        topology, avoided = self._packets.drawn_from(now)
        is_same = topology is self._topology and avoided == self._avoided
        if not is_same or now - self._made_at > LONGEST_KEPT:
            self._made.clear()
        if not self._made:
            self._make()
            self._made_at, self._topology, self._avoided = now, topology, avoided
        return self._made.pop() if self._made else None

    def _make(self) -> None:
        drawn = [one for _ in range(self._count) if (one := self._draw())]
        packets = create_packets([one.draft.request for one in drawn])
        self._made = [
            one._replace(draft=one.draft._replace(packet=packet))
            for one, packet in zip(drawn, packets, strict=True)
        ]
