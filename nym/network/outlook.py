"""What a network would carry and cost, from what its parts were measured to take.

All clients are taken to send at the default rates, whatever their users do: that is what cover is
for. The measured times are processor time of one core of a small server; docs/network.md has the
commands that measure them on another machine.
"""

from functools import reduce
from math import exp
from typing import NamedTuple

from nym.config import TrafficSettings
from nym.network.plan import Plan
from nym.wire.sizes import PACKET_LENGTH

# Seconds of processor time.
MIXNODE_PACKET = 175e-6  # python -m benchmarks relay
PROVIDER_PACKET = 170e-6  # with its part of a commit
PROVIDER_PULL = 700e-6  # on a sealed line, with what it hands over
# One core for each node: a plan doesn't say how many its hosts have, nor what else they do. Above
# this share of it, queues grow: a burst waits for long.
BUSY = 0.5

# Bytes on the wire. A packet has a connection of its own, as in 0.4: with its headers, 1,372 bytes
# are 1,640, and 164 bytes go back.
PACKET, PACKET_BACK = PACKET_LENGTH + 268, 164
# The same for a pull on a sealed line: both directions of its four messages, with headers.
PULL, PULL_BACK = 156 + 372, 4991 + 372
MONTH = 30 * 86_400.0  # seconds

_RATES = TrafficSettings()
# Packets that one client sends per second, and its pulls.
PACKETS = 1 / _RATES.message_sending_average_delay + 1 / _RATES.loop_cover_traffic_average_delay
PULLS = 1 / _RATES.fetch_message_delay

_GRID = 0.005  # seconds between the points at which delays are computed


class Load(NamedTuple):
    """What a node has to do: packets and pulls per second, and bytes per month each way."""

    packets: float
    pulls: float
    received: float
    sent: float
    busy: float  # the share of one core


class Delays(NamedTuple):
    """Seconds from an application's send until the recipient's client has the message."""

    median: float
    late: float  # all but one message in a hundred take less


def mixnode_load(clients: float, width: int) -> Load:
    """The load of each of `width` mixnodes in a layer."""
    packets = clients * PACKETS / width
    both = packets * (PACKET + PACKET_BACK) * MONTH
    return Load(packets, 0.0, both, both, packets * MIXNODE_PACKET)


def provider_load(clients: float, providers: int) -> Load:
    """The load of each of so many providers, if clients spread evenly."""
    packets, pulls = clients * PACKETS / providers, clients * PULLS / providers
    return Load(
        packets,
        pulls,
        (packets * PACKET + pulls * PULL) * MONTH,
        (packets * PACKET_BACK + pulls * PULL_BACK) * MONTH,
        packets * PROVIDER_PACKET + pulls * PROVIDER_PULL,
    )


def most_clients(plan: Plan) -> int:
    """How many clients the network carries with all its nodes at BUSY of a core, at most."""
    thinnest = min(len(layer) for layer in plan.layers())
    providers = len(plan.providers())
    return int(min(BUSY / mixnode_load(1, thinnest).busy, BUSY / provider_load(1, providers).busy))


def delays(layers: int, transit: float) -> Delays:
    """How long messages of one packet take, at default rates, where no node is busy.

    A message waits for a turn of the outgoing queue, at each mixnode, and for a pull.
    """
    turn = _exponential(_RATES.message_sending_average_delay)
    pull = _uniform(_RATES.fetch_message_delay)
    waits = [turn, pull, *[_exponential(_RATES.average_packet_delay)] * layers]
    total = reduce(_sum, waits)
    # To the first mixnode, between them, to the provider, and from there to the recipient. Each
    # delay on the grid stands for one that is half a step longer.
    always = transit * (layers + 2) + len(waits) * _GRID / 2
    return Delays(always + _quantile(total, 0.5), always + _quantile(total, 0.99))


def _exponential(mean: float) -> list[float]:
    """The probability of each delay on the grid, for an exponential distribution."""
    steps = int(12 * mean / _GRID)  # beyond that, one of 160,000
    return [exp(-i * _GRID / mean) - exp(-(i + 1) * _GRID / mean) for i in range(steps)]


def _uniform(longest: float) -> list[float]:
    steps = max(1, round(longest / _GRID))
    return [1 / steps] * steps


def _sum(one: list[float], other: list[float]) -> list[float]:
    """The distribution of the sum of two independent delays."""
    total = [0.0] * (len(one) + len(other) - 1)
    for i, p in enumerate(one):
        for j, q in enumerate(other):
            total[i + j] += p * q
    return total


def _quantile(delays: list[float], share: float) -> float:
    below = 0.0
    for i, p in enumerate(delays):
        below += p
        if below >= share:
            return i * _GRID
    return len(delays) * _GRID
