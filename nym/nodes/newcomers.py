"""How many new clients each source may bring to a provider, whose places are limited.

One source may not fill a provider: it gets no more new clients than there are places left, counting
those that it has brought lately. So one that fills half of the places waits, while there is as much
room again for others, and each further source gets half of what the others have left. That is a
dynamic threshold (Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet
switches", 1998): it needs no number that would be too small for many people behind one address, or
too large for a small provider. What a source has brought counts half after a day.

Clients that are registered may always register again.
"""

import time
from collections import OrderedDict
from collections.abc import Callable

from nym.errors import OverloadError
from nym.wire.addresses import machine_at

MOST_SOURCES = 20_000  # that are remembered, the latest ones
HALF_LIFE = 86_400.0  # seconds


class Newcomers:
    """Counts new clients by source; a source is what nym.net.sources says."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._brought: OrderedDict[str, tuple[float, float]] = OrderedDict()  # how many, and when

    def admit(self, ip: str, places: int) -> None:
        """Count a new client from this address, while so many places are left.

        Raises OverloadError if this source has brought too many.
        """
        key, now = machine_at(ip), self._now()
        count, then = self._brought.pop(key, (0.0, now))
        count *= 0.5 ** ((now - then) / HALF_LIFE)
        is_admitted = count < places
        self._brought[key] = (count + is_admitted, now)
        if len(self._brought) > MOST_SOURCES:
            self._brought.popitem(last=False)
        if not is_admitted:
            raise OverloadError("one source brings more new clients than there are places left")
