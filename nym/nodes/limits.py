"""How much a node takes, in all and from one source; generous, so that only floods meet a limit."""

from dataclasses import replace
from math import ceil

from nym.config.nodes import LimitSettings, MixnodeLimitSettings
from nym.net.sources import SourceLimits

LIMITS = MixnodeLimitSettings()


def source_limits(limits: LimitSettings) -> SourceLimits:
    """Those for one source."""
    return SourceLimits(limits.source_connections, limits.source_packets)


def share_of(limits: MixnodeLimitSettings, workers: int) -> MixnodeLimitSettings:
    """Those for one of so many workers, among which the system spreads connections evenly."""
    return replace(
        limits,
        source_connections=ceil(limits.source_connections / workers),
        source_packets=limits.source_packets / workers,
        held=ceil(limits.held / workers),
    )
