"""Periods and waiting times that follow from the configured rates."""

import logging

from nym.config import TrafficSettings
from nym.wire.provider import MESSAGES_A_PULL

log = logging.getLogger(__name__)


def packet_rate(traffic: TrafficSettings) -> float:
    """Return how many packets a second both streams have together."""
    return 1 / traffic.message_sending_average_delay + 1 / traffic.loop_cover_traffic_average_delay


def pull_period(traffic: TrafficSettings) -> float:
    """Return the seconds between pulls: the configured ones, or fewer if messages would pile up.

    At least the client's own loops come in. Pulls must bring these, and a quarter more.
    """
    loops = 1 / traffic.loop_cover_traffic_average_delay
    longest = MESSAGES_A_PULL / (1.25 * loops)
    if traffic.fetch_message_delay <= longest:
        return traffic.fetch_message_delay
    log.warning(
        "at these rates, %.1f loops come back per second; pulls every %g s would leave too little "
        "room for messages, so the client pulls every %.3f s",
        loops,
        traffic.fetch_message_delay,
        longest,
    )
    return longest


def first_wait(traffic: TrafficSettings, addresses: int) -> float:
    """Return the seconds after which an acknowledgement is missing, as far as settings tell.

    `addresses` is how many the client has, which are pulled in turn. The wait is twice the time
    that an answer takes if the recipient has the same settings: 14.8 s at default rates, with two
    reply addresses (docs/reliability.md, "Reliable messages"). If it is measured to take longer,
    the wait is longer (round_trip.py).
    """
    return (
        16 * traffic.message_sending_average_delay
        + 4 * traffic.fetch_message_delay * addresses
        + 20 * traffic.average_packet_delay
    )


def loop_patience(traffic: TrafficSettings) -> float:
    """Return the seconds after which a loop is missing: far more than delays and pulls take."""
    return max(10.0, 20 * traffic.fetch_message_delay + 100 * traffic.average_packet_delay)
