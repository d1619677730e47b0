"""All clients of a simulated network: when they send what, and what they do with what comes.

A thousand Poisson streams together are one Poisson stream, of a thousand times the rate, in which
each packet belongs to a random client. So the streams of all clients are two, for loops and for
turns, and a client that has nothing to send takes no memory.

What a client of this program does is here as docs/reliability.md has it, as far as it matters for
latency and loss: messages wait for a turn, those that a first mixnode refuses wait for another one,
and reliable messages are sent again until they are acknowledged. Anonymous ones are sent once here.
"""

from collections import deque
from collections.abc import Callable
from random import Random

from benchmarks.network.clock import Clock
from benchmarks.network.result import Result
from benchmarks.network.scenario import Scenario
from benchmarks.network.traffic import Content, Message
from nym.client.pace import first_wait
from nym.client.reliable import MOST_DOUBLINGS
from nym.config import TrafficSettings

TURNS_UNTIL_ANSWER = 2  # average gaps of turns from a message's arrival to its acknowledgement


class Clients:
    """Messages that are written while `is_measuring` go into the result.

    `send` is called with a client, a recipient and what to send to it, which is None for cover. It
    says whether a mixnode took the packet.
    """

    def __init__(
        self,
        scenario: Scenario,
        clock: Clock,
        random: Random,
        result: Result,
        send: Callable[[int, int, Content | None], bool],
    ) -> None:
        self._scenario, self._clock, self._random, self._result = scenario, clock, random, result
        self._send = send
        self._waiting: dict[int, deque[Content]] = {}  # for a turn of the client
        self._first_wait = first_wait(
            TrafficSettings(
                average_packet_delay=scenario.delay,
                message_sending_average_delay=scenario.turn_gap,
                fetch_message_delay=scenario.fetch,
            ),
            addresses=1,
        )
        self.is_measuring = False
        self.under_way = 0  # measured messages that may still arrive
        self._stream(scenario.loop_gap, self._loop)
        self._stream(scenario.turn_gap, self._turn)
        self._stream(scenario.message_gap, self._write)

    def receive(self, contents: list[Content]) -> None:
        """One client has got this."""
        for message, is_answer in contents:
            if is_answer:
                message.is_acknowledged = True
                continue
            if self._scenario.is_reliable:
                pause = TURNS_UNTIL_ANSWER * self._scenario.turn_gap
                self._clock.at(self._clock.now + pause, self._acknowledge, message)
            if not message.has_arrived:
                message.has_arrived = True
                self._note(message)

    def lost(self, content: Content | None) -> None:
        """The packet with this is lost."""
        if content and content.message.is_measured and not self._scenario.is_reliable:
            self.under_way -= 1

    def _note(self, message: Message) -> None:
        if message.is_measured:
            self.under_way -= 1
            links = (self._scenario.layers + 2) * self._scenario.link  # those of the pull, too
            self._result.latencies.append(self._clock.now - message.written_at + links)

    def _stream(self, gap: float, act: Callable[[int], None]) -> None:
        """Let each client `act` at random times, which are `gap` seconds apart on average."""
        clock, random, clients = self._clock, self._random, self._scenario.clients
        rate = clients / gap

        def tick(_: None) -> None:
            act(int(random.random() * clients))
            clock.at(clock.now + random.expovariate(rate), tick, None)

        clock.at(random.expovariate(rate), tick, None)

    def _write(self, sender: int) -> None:
        message = Message(sender, self._anybody(), self._clock.now, is_measured=self.is_measuring)
        if self.is_measuring:
            self._result.written += 1
            self.under_way += 1
        self._queue(sender, Content(message, is_answer=False))

    def _queue(self, client: int, content: Content) -> None:
        self._waiting.setdefault(client, deque()).append(content)

    def _loop(self, client: int) -> None:
        self._send(client, client, None)

    def _drop(self, client: int) -> None:
        # Providers have equally many clients, so that of a random client is a random provider.
        self._send(client, self._anybody(), None)

    def _anybody(self) -> int:
        return int(self._random.random() * self._scenario.clients)

    def _turn(self, client: int) -> None:
        waiting = self._waiting.get(client)
        if waiting is None:
            self._drop(client)
            return
        message, is_answer = content = waiting[0]
        if not self._send(client, message.sender if is_answer else message.recipient, content):
            return  # it goes again at the next turn, on another route
        waiting.popleft()
        if not waiting:
            del self._waiting[client]
        if self._scenario.is_reliable and not is_answer:
            wait = self._first_wait * 2 ** min(message.tries, MOST_DOUBLINGS)
            message.tries += 1
            self._clock.at(self._clock.now + wait, self._send_again, message)

    def _send_again(self, message: Message) -> None:
        if not message.is_acknowledged:
            self._queue(message.sender, Content(message, is_answer=False))

    def _acknowledge(self, message: Message) -> None:
        self._queue(message.recipient, Content(message, is_answer=True))
