"""Tells those who observe this client what leaves it, so that its user can check what others see.

Nothing is kept, and nothing is done while nobody observes.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator

from nym.wire.addresses import NodeAddress
from nym.wire.provider import Pulled
from nym.wire.sightings import Carried, Observing, PacketSeen, Sighting, pull_seen

MOST = 10_000  # sightings that one onlooker may have left unread


class Onlooker:
    """One observer of the client. `notify` is called when there is something to tell."""

    def __init__(self, notify: Callable[[], None]) -> None:
        self._notify = notify
        self._seen: deque[Sighting] = deque()
        self._is_behind = False

    def see(self, sighting: Sighting) -> None:
        """Add what happened."""
        # Those that are told must be complete, or gaps between them would be wrong.
        self._is_behind = self._is_behind or len(self._seen) >= MOST
        if not self._is_behind:
            self._seen.append(sighting)
        self._notify()

    def news(self) -> Iterator[Sighting]:
        """What was seen since the last call. Raises TimeoutError if it was read too slowly."""
        while self._seen:
            yield self._seen.popleft()
        if self._is_behind:
            raise TimeoutError("an observer doesn't read what it is told")


class Onlookers:
    """All observers of the client."""

    def __init__(self, rates: Observing) -> None:
        self.rates = rates
        self._all: list[Onlooker] = []

    def add(self, notify: Callable[[], None]) -> Onlooker:
        """Tell one more from now on."""
        onlooker = Onlooker(notify)
        self._all.append(onlooker)
        return onlooker

    def remove(self, onlooker: Onlooker) -> None:
        """Tell this one nothing more."""
        self._all.remove(onlooker)

    def packet(self, first_hop: NodeAddress, carries: Carried) -> None:
        """Call this when a packet begins to leave."""
        if self._all:
            self._see(PacketSeen(time.monotonic(), str(first_hop), carries))

    def pulling(
        self,
        pull: Callable[[], Pulled],
        provider: NodeAddress,
        *,
        is_other: bool,
        is_sealed: bool,
    ) -> Pulled:
        """Pull. Raises what `pull` raises."""
        began, pulled = time.monotonic(), None
        try:
            pulled = pull()
        finally:
            if self._all:
                seconds = time.monotonic() - began
                self._see(
                    pull_seen(
                        began, seconds, str(provider), pulled, other=is_other, sealed=is_sealed
                    )
                )
        return pulled

    def _see(self, sighting: Sighting) -> None:
        for onlooker in self._all:
            onlooker.see(sighting)
