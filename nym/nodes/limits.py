"""How much a node takes, in all and from one source; generous, so that only floods meet a limit."""

from nym.config.nodes import LimitSettings, MixnodeLimitSettings
from nym.net.sources import SourceLimits

LIMITS = MixnodeLimitSettings()


def source_limits(limits: LimitSettings) -> SourceLimits:
    """Those for one source."""
    return SourceLimits(limits.source_connections, limits.source_packets)
