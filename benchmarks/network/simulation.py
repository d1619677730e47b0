"""Moves packets from clients through mixnodes and providers to clients.

A thousand Poisson streams together are one Poisson stream, of a thousand times the rate, in which
each packet belongs to a random client. So the streams of all clients are two, for loops and for
turns, and a client that has nothing to send takes no memory.

What a client of this program does is here as docs/reliability.md has it, as far as it matters for
latency and loss: messages wait for a turn, a first hop that refuses is no loss, mixnodes that are
away are left out after a while, and reliable messages are sent again until they are acknowledged.
Anonymous ones are sent once here.
"""

from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from random import Random

from benchmarks.network.anonymity import LOST, OUT, Record, entropy, outside
from benchmarks.network.churn import Change, changes
from benchmarks.network.clock import Clock
from benchmarks.network.result import Result
from benchmarks.network.scenario import Scenario
from benchmarks.network.stations import Mixnode, Provider
from nym.client.pace import first_wait
from nym.client.reliable import MOST_DOUBLINGS
from nym.config import TrafficSettings

LOOKS = 20  # at the queues of all nodes while messages are measured
REDRAWS = 20  # of a mixnode that the client would leave out; then it takes any
STEP = 0.1  # seconds between two looks at whether all messages have arrived
PATIENCE = 600.0  # seconds, then those that are still under way count as lost
SETTLED = 5  # times a packet's mean way: then queues and pools are as they will stay


class Message:
    """A message of an application. Whether it is `measured` depends on when it was written."""

    __slots__ = (
        "has_arrived",
        "is_acknowledged",
        "is_measured",
        "recipient",
        "sender",
        "tries",
        "written_at",
    )

    def __init__(self, sender: int, recipient: int, now: float, *, is_measured: bool) -> None:
        self.sender, self.recipient, self.written_at = sender, recipient, now
        self.is_measured = is_measured
        self.has_arrived = self.is_acknowledged = False
        self.tries = 0


class Packet:
    """A packet on its way: at `route[hop]`, or behind the mixnodes.

    `ends` is how often that mixnode had gone away before the packet came: if it has done so since
    then, the packet is lost. A packet without a message is a loop.
    """

    __slots__ = ("ends", "hop", "is_answer", "message", "number", "recipient", "route")

    def __init__(
        self,
        number: int,
        recipient: int,
        route: list[Mixnode],
        message: Message | None,
        *,
        is_answer: bool,
    ) -> None:
        self.number, self.recipient, self.route = number, recipient, route
        self.message, self.is_answer = message, is_answer
        self.hop = self.ends = 0


class Simulation:
    """One network. Everything that happens in it, until the end of its time."""

    def __init__(
        self, scenario: Scenario, seed: int, schedule: Sequence[Change] | None = None
    ) -> None:
        self._scenario = scenario
        self._random = Random(seed)  # noqa: S311 - the same seed gives the same result
        self._clock = Clock()
        self._first_wait = first_wait(
            TrafficSettings(
                average_packet_delay=scenario.delay,
                message_sending_average_delay=scenario.turn_gap,
                fetch_message_delay=scenario.fetch,
            )
        )
        self._pause = 2 * scenario.turn_gap  # before a complete message is acknowledged
        self._numbers = count()
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
        # What waits for a turn of its client: messages, and acknowledgements of messages.
        self._waiting: dict[int, deque[tuple[Message, bool]]] = {}
        self._is_measuring = False
        self._under_way = 0  # measured messages that may still arrive
        self._record: Record | None = None
        self.result = Result(scenario)
        if schedule is None:
            schedule = changes(nodes, scenario.up, scenario.down, PATIENCE, self._random)
        for change in schedule:
            self._clock.at(change.at, self._change, change)
        self._stream(scenario.loop_gap, self._loop)
        self._stream(scenario.turn_gap, self._turn)
        self._stream(scenario.message_gap, self._write)
        for provider in self._providers:
            self._plan_pull(provider)

    def run(self, seconds: float, warm_up: float | None = None, targets: int = 0) -> Result:
        """Measure messages that are written within `seconds`, and the anonymity of some packets.

        That begins when `warm_up` seconds have passed, by default SETTLED times what a packet
        takes. If more than one message in ten turns is sent, what waits for turns takes longer to
        be as it will stay.
        """
        scenario, clock = self._scenario, self._clock
        way = scenario.layers * scenario.delay
        clock.run(SETTLED * way + 2 * scenario.fetch if warm_up is None else warm_up)
        self._is_measuring = True
        begun = clock.now
        for look in range(LOOKS):
            clock.run(begun + (look + 1) * seconds / LOOKS)
            self._look()
        self._is_measuring = False
        if targets:
            self._judge(targets, SETTLED * way)
        give_up = clock.now + PATIENCE
        while self._under_way and clock.now < give_up:
            clock.run(clock.now + STEP)
        return self.result

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

    # Clients

    def _stream(self, gap: float, act: Callable[[int], None]) -> None:
        """Let each client `act` at random times, which are `gap` seconds apart on average."""
        clock, random, clients = self._clock, self._random, self._scenario.clients
        rate = clients / gap

        def tick(_: None) -> None:
            act(int(random.random() * clients))
            clock.at(clock.now + random.expovariate(rate), tick, None)

        clock.at(random.expovariate(rate), tick, None)

    def _write(self, sender: int) -> None:
        recipient = int(self._random.random() * self._scenario.clients)
        message = Message(sender, recipient, self._clock.now, is_measured=self._is_measuring)
        if self._is_measuring:
            self.result.written += 1
            self._under_way += 1
        self._queue(sender, message)

    def _queue(self, client: int, message: Message, *, is_answer: bool = False) -> None:
        self._waiting.setdefault(client, deque()).append((message, is_answer))

    def _loop(self, client: int) -> None:
        self._send(client, client, None, is_answer=False)

    def _turn(self, client: int) -> None:
        waiting = self._waiting.get(client)
        if waiting is None:
            self._loop(client)
            return
        message, is_answer = waiting[0]
        recipient = message.sender if is_answer else message.recipient
        if not self._send(client, recipient, message, is_answer=is_answer):
            return  # it goes again at the next turn, on another route
        waiting.popleft()
        if not waiting:
            del self._waiting[client]
        if self._scenario.is_reliable and not is_answer:
            message.tries += 1
            wait = self._first_wait * 2 ** min(message.tries - 1, MOST_DOUBLINGS)
            self._clock.at(self._clock.now + wait, self._send_again, message)

    def _send_again(self, message: Message) -> None:
        if not message.is_acknowledged:
            self._queue(message.sender, message)

    def _send(
        self, client: int, recipient: int, message: Message | None, *, is_answer: bool
    ) -> bool:
        """Whether a mixnode took it."""
        route = [self._choose(layer) for layer in self._layers]
        if route[0].away_since is not None:
            return False
        packet = Packet(next(self._numbers), recipient, route, message, is_answer=is_answer)
        if self._is_measuring:
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
        done = node.serve(self._clock.now, self._scenario.costs.hop)
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
        if self._is_measuring:
            self.result.fates[fate] += 1
        message = packet.message
        if message and message.is_measured and not self._scenario.is_reliable:
            self._under_way -= 1

    # Providers

    def _arrive(self, packet: Packet) -> None:
        if self._is_measuring:
            self.result.fates["arrived"] += 1
        provider = self._providers[packet.recipient % len(self._providers)]
        provider.serve(self._clock.now, self._scenario.costs.put)
        provider.put(packet)

    def _plan_pull(self, provider: Provider) -> None:
        at, client = provider.next_pull(self._scenario.fetch)
        self._clock.at(at, self._pull, (provider, client))

    def _pull(self, pull: tuple[Provider, int]) -> None:
        provider, client = pull
        # Whatever has come before is served before, so it is in the inbox by then.
        done = provider.serve(self._clock.now, self._scenario.costs.pull)
        taken = [packet for packet in provider.take(client) if packet.message]
        if taken:
            self._clock.at(done, self._receive, taken)
        self._plan_pull(provider)

    def _receive(self, packets: list[Packet]) -> None:
        for packet in packets:
            message = packet.message
            assert message
            if packet.is_answer:
                message.is_acknowledged = True
            elif self._scenario.is_reliable:
                self._clock.at(self._clock.now + self._pause, self._acknowledge, message)
            if not packet.is_answer and not message.has_arrived:
                message.has_arrived = True
                if message.is_measured:
                    self._under_way -= 1
                    links = (self._scenario.layers + 2) * self._scenario.link
                    self.result.latencies.append(self._clock.now - message.written_at + links)

    def _acknowledge(self, message: Message) -> None:
        self._queue(message.recipient, message, is_answer=True)
