"""How much a node takes, in all and from one source; generous, so that only floods meet a limit."""

from typing import NamedTuple

from nym.net.sources import SourceLimits


class Limits(NamedTuple):
    """The limits of a mixnode or provider that its operator can change.

    A packet has 1372 bytes, so `held` is a limit in bytes, too: 27 MB, or with everything around
    the packets some 60 MB of memory.
    """

    # 0.4 has one connection for each packet, and a client needs four or so each second, all of
    # them open for milliseconds. A mixnode of the layer before can have some hundred.
    source_connections: int = 1000
    source_packets: float = 1000.0  # per second that are certain; see nym.net.sources
    held: int = 20_000  # packets that wait for their time, or are being sent

    @property
    def source(self) -> SourceLimits:
        """Those for one source."""
        return SourceLimits(self.source_connections, self.source_packets)


LIMITS = Limits()
