"""Moves packets from clients through mixnodes and providers to clients."""

import gc
from collections.abc import Sequence
from itertools import count
from random import Random

from benchmarks.network.anonymity import LOST, OUT, Record, entropy, outside
from benchmarks.network.churn import Change, changes
from benchmarks.network.clients import Clients
from benchmarks.network.clock import Clock
from benchmarks.network.result import Result
from benchmarks.network.scenario import Scenario
from benchmarks.network.stations import Mixnode, Provider
from benchmarks.network.traffic import Content, Packet

LOOKS = 1000  # at queues of nodes while messages are measured: at each node, twenty at least
REDRAWS = 20  # of a mixnode that the client would leave out; then it takes any
STEP = 0.1  # seconds between two looks at whether messages have arrived
FEW = 0.003  # of the messages need not be waited for: they are later than all others
PATIENCE = 600.0  # seconds, then those that are still under way count as lost
SETTLED = 5  # times a packet's mean way: then queues and pools are as they will stay


class Simulation:
    """One network. Everything that happens in it, until the end of its time."""

    def __init__(
        self, scenario: Scenario, seed: int, schedule: Sequence[Change] | None = None
    ) -> None:
        self._scenario = scenario
        self._random = Random(seed)  # noqa: S311 - the same seed gives the same result
        self._clock = Clock()
        nodes = scenario.layers * scenario.width
        self._layers = [
            [
                Mixnode(layer * scenario.width + i, is_dishonest=i < scenario.dishonest)
                for i in range(scenario.width)
            ]
            for layer in range(scenario.layers)
        ]
        self._mixnodes = [node for layer in self._layers for node in layer]
        self._providers = [
            Provider(
                (self._random.random(), client)
                for client in range(first, scenario.clients, scenario.providers)
            )
            for first in range(min(scenario.providers, scenario.clients))
        ]
        self._numbers = count()  # of packets
        self._record: Record | None = None
        self.result = Result(scenario)
        if schedule is None:
            schedule = changes(nodes, scenario.up, scenario.down, PATIENCE, self._random)
        for change in schedule:
            self._clock.at(change.at, self._change, change)
        self._clients = Clients(scenario, self._clock, self._random, self.result, self._send)
        for provider in self._providers:
            self._plan_pull(provider)

    def run(self, seconds: float, warm_up: float | None = None, targets: int = 0) -> Result:
        """Measure messages that are written within `seconds`, and the anonymity of some packets.

        That begins when `warm_up` seconds have passed, by default SETTLED times what a packet
        takes. If more than one message in ten turns is sent, what waits for turns takes longer to
        be as it will stay.
        """
        # Millions of packets are on their way, and none of them is garbage.
        gc.disable()
        try:
            self._run(seconds, warm_up, targets)
        finally:
            gc.enable()
        return self.result

    def _run(self, seconds: float, warm_up: float | None, targets: int) -> None:
        scenario, clock = self._scenario, self._clock
        way = scenario.layers * scenario.delay
        clock.run(SETTLED * way + 2 * scenario.fetch if warm_up is None else warm_up)
        self._clients.is_measuring = True
        begun = clock.now
        looks = max(20, LOOKS // len(self._mixnodes))
        for look in range(looks):
            clock.run(begun + (look + 1) * seconds / looks)
            self._look()
        self._clients.is_measuring = False
        if targets:
            self._judge(targets, SETTLED * way)
        few, give_up = FEW * self.result.written, clock.now + PATIENCE
        while self._clients.under_way > few and clock.now < give_up:
            clock.run(clock.now + STEP)
        if clock.now < give_up:
            self.result.later = self._clients.under_way

    def _judge(self, targets: int, seconds: float) -> None:
        record = self._record = Record([node.held for node in self._mixnodes])
        self._clock.run(self._clock.now + seconds)
        self._record = None
        dishonest = frozenset(node.number for node in self._mixnodes if node.is_dishonest)
        last_layer = [node.number for node in self._layers[-1]]
        for at in record.last_out(targets, last_layer):
            senders = record.senders(at, dishonest)
            self.result.entropies.append(entropy(senders.values()))

    def _look(self) -> None:
        now, waits = self._clock.now, self.result.waits
        for node in self._mixnodes:
            waits["mixnode"].append(node.backlog(now))
            self.result.held.append(node.held)
        waits["provider"].extend(provider.backlog(now) for provider in self._providers)

    def _send(self, client: int, recipient: int, content: Content | None) -> bool:
        route = [self._choose(layer) for layer in self._layers]
        if route[0].away_since is not None:
            return False
        is_drop = content is None and recipient != client
        packet = Packet(next(self._numbers), recipient, route, content, is_drop=is_drop)
        if self._clients.is_measuring:
            self.result.routes += 1
            self.result.dishonest_routes += all(node.is_dishonest for node in route)
        self._enter(packet, outside(client))
        return True

    def _choose(self, layer: list[Mixnode]) -> Mixnode:
        for _ in range(REDRAWS):
            node = layer[int(self._random.random() * len(layer))]
            if node.away_since is None or not self._is_noticed(node.away_since):
                break
        return node

    def _is_noticed(self, since: float) -> bool:
        # Each client asks a directory every `refresh` seconds, and each packet is of a random one.
        lag = self._scenario.notice + self._random.random() * self._scenario.refresh
        return self._clock.now - since > lag

    # Mixnodes

    def _change(self, change: Change) -> None:
        node = self._mixnodes[change.node]
        if change.is_there:
            node.come()
            return
        if self._record is not None:
            for _ in range(node.held):
                self._record.moved(0, node.number, LOST)
        node.leave(self._clock.now)

    def _enter(self, packet: Packet, origin: int) -> None:
        node = packet.route[packet.hop]
        fate = "away" if node.away_since is not None else "overload"
        is_taken = node.away_since is None and node.held < self._scenario.most_held
        if self._record is not None and (is_taken or origin >= 0):
            self._record.moved(packet.number, origin, node.number if is_taken else LOST)
        if not is_taken:
            self._lose(packet, fate)
            return
        node.held += 1
        packet.ends = node.ends
        done = node.serve(self._clock.now, self._scenario.hop_cost)
        delay = self._random.expovariate(1 / self._scenario.delay)
        self._clock.at(done + delay, self._leave, packet)

    def _leave(self, packet: Packet) -> None:
        node = packet.route[packet.hop]
        if node.ends != packet.ends:
            self._lose(packet, "held by a node that went away")
            return
        node.held -= 1
        packet.hop += 1
        if packet.hop < len(packet.route):
            self._enter(packet, node.number)
            return
        if self._record is not None:
            self._record.moved(packet.number, node.number, OUT)
        self._arrive(packet)

    def _lose(self, packet: Packet, fate: str) -> None:
        if self._clients.is_measuring:
            self.result.fates[fate] += 1
        self._clients.lost(packet.content)

    # Providers

    def _arrive(self, packet: Packet) -> None:
        if self._clients.is_measuring:
            self.result.fates["arrived"] += 1
        provider = self._providers[packet.recipient % len(self._providers)]
        provider.serve(self._clock.now, self._scenario.put_cost)
        if not packet.is_drop:
            provider.put(packet)

    def _plan_pull(self, provider: Provider) -> None:
        at, client = provider.next_pull(self._scenario.fetch)
        self._clock.at(at, self._pull, (provider, client))

    def _pull(self, pull: tuple[Provider, int]) -> None:
        provider, client = pull
        # Whatever has come before is served before, so it is in the inbox by then.
        done = provider.serve(self._clock.now, self._scenario.pull_cost)
        contents = [packet.content for packet in provider.take(client) if packet.content]
        if contents:
            self._clock.at(done, self._clients.receive, contents)
        self._plan_pull(provider)
