"""Which network is simulated. Times are in seconds; the defaults are those of config.toml."""

from dataclasses import dataclass, replace
from math import ceil

from nym.config import TrafficSettings
from nym.config.nodes import MixnodeLimitSettings
from nym.network.outlook import BUSY, MIXNODE_PACKET, PROVIDER_PACKET, PROVIDER_PULL
from nym.nodes.listed import LIFETIME


@dataclass(frozen=True)
class Scenario:
    """A network, its clients, and what happens to it.

    `message_gap` is how far apart the messages of one client are, on average; each has a random
    recipient. `link` is what a packet takes from one machine to the next. Costs are processor time,
    for a packet at a mixnode (`hop_cost`) and at a provider (`put_cost`), and for a pull. A node is
    one process, which uses one processor; a host with several of them runs several nodes.

    In each layer, `dishonest` mixnodes tell an observer what becomes of each packet. `up` and
    `down` are the means of how long a mixnode is there and away; with `up` 0, all stay. `notice` is
    how long a node has to be away until clients leave it out.
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
    link: float = 0.0
    most_held: int = MixnodeLimitSettings.held
    hop_cost: float = MIXNODE_PACKET
    put_cost: float = PROVIDER_PACKET
    pull_cost: float = PROVIDER_PULL
    dishonest: int = 0
    up: float = 0.0
    down: float = 0.0
    notice: float = LIFETIME

    @property
    def packets(self) -> float:
        """Packets that all clients send, per second."""
        return self.clients * (1 / self.loop_gap + 1 / self.turn_gap)


def fitted(scenario: Scenario, busy: float = BUSY) -> Scenario:
    """The same with as many mixnodes and providers as work for the share `busy` of their time."""
    packets = scenario.packets
    at_providers = (
        packets * scenario.put_cost + scenario.clients / scenario.fetch * scenario.pull_cost
    )
    return replace(
        scenario,
        width=max(1, ceil(packets * scenario.hop_cost / busy)),
        providers=max(1, ceil(at_providers / busy)),
    )
