"""What follows from the rates that are configured: how often, and how long to wait."""

import logging

from nym.config import TrafficSettings
from nym.wire.provider import MESSAGES_A_PULL

log = logging.getLogger(__name__)


def pull_period(traffic: TrafficSettings) -> float:
    """Seconds between pulls: as configured, or less where they would bring less than comes.

    What comes is at least one's own cover; there is room for a quarter more.
    """
    cover = 1 / traffic.message_sending_average_delay + 1 / traffic.loop_cover_traffic_average_delay
    longest = MESSAGES_A_PULL / (1.25 * cover)
    if traffic.fetch_message_delay <= longest:
        return traffic.fetch_message_delay
    log.warning(
        "at these rates %.1f loops come back in a second; pulls every %g s would bring fewer, so "
        "there is one every %.3f s",
        cover,
        traffic.fetch_message_delay,
        longest,
    )
    return longest


def first_wait(traffic: TrafficSettings) -> float:
    """Seconds until an acknowledgement is missed: twice what one takes, at the same rates."""
    return (
        16 * traffic.message_sending_average_delay
        + 4 * traffic.fetch_message_delay
        + 20 * traffic.average_packet_delay
    )


def loop_patience(traffic: TrafficSettings) -> float:
    """Seconds until a loop is missed: far more than delays and pulls take together."""
    return max(10.0, 20 * traffic.fetch_message_delay + 100 * traffic.average_packet_delay)
