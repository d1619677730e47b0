"""Which network is simulated. Times are in seconds; the defaults are those of config.toml."""

from dataclasses import dataclass, replace
from math import ceil

from nym.config import TrafficSettings
from nym.config.nodes import MixnodeLimitSettings
from nym.nodes.directory import LIFETIME

BUSY = 0.6  # the share of their time that nodes work, in a network that was made large enough


@dataclass(frozen=True)
class Costs:
    """Processor time of a node per packet, and per pull (docs/scale.md says how it was measured).

    A node is one process, which uses one processor. A host with several of them runs several nodes.
    """

    hop: float = 220e-6
    put: float = 350e-6
    pull: float = 700e-6


@dataclass(frozen=True)
class Scenario:
    """A network, its clients, and what happens to it.

    `message_gap` is how far apart the messages of one client are, on average; each has a random
    recipient. `up` and `down` are the means of how long a mixnode is there and away; with `up` 0,
    all stay. `notice` is how long a node has to be away until clients leave it out.
    """

    clients: int
    layers: int = 3
    width: int = 3
    providers: int = 1
    loop_gap: float = TrafficSettings.loop_cover_traffic_average_delay
    turn_gap: float = TrafficSettings.message_sending_average_delay
    delay: float = TrafficSettings.average_packet_delay
    fetch: float = TrafficSettings.fetch_message_delay
    refresh: float = TrafficSettings.topology_refresh_rate
    message_gap: float = 60.0
    is_reliable: bool = False
    link: float = 0.0  # from one machine to the next
    most_held: int = MixnodeLimitSettings.held
    costs: Costs = Costs()
    dishonest: int = 0  # mixnodes in each layer
    up: float = 0.0
    down: float = 0.0
    notice: float = LIFETIME

    @property
    def packets(self) -> float:
        """Packets that all clients send, per second."""
        return self.clients * (1 / self.loop_gap + 1 / self.turn_gap)


def fitted(scenario: Scenario, busy: float = BUSY) -> Scenario:
    """The same with as many mixnodes and providers as work for the share `busy` of their time."""
    pulls = scenario.clients / scenario.fetch
    return replace(
        scenario,
        width=max(1, ceil(scenario.packets * scenario.costs.hop / busy)),
        providers=max(
            1, ceil((scenario.packets * scenario.costs.put + pulls * scenario.costs.pull) / busy)
        ),
    )
