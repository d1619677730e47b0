"""What those see who watch a client: the same, whatever its user does.

Alice's packets and pulls pass taps, as they pass whoever watches her line. The nodes of the network
are watched, too. Her user does nothing, sends, receives or answers, in turns: so a machine that
gets busier or slower does so in all of them. What is counted in the turns of two activities are
samples of two distributions, which must not differ.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from statistics import fmean, variance
from typing import Any

import gevent
import pytest

from nym.client.registration import Registration
from nym.localnet.network import Network
from nym.nodes.provider import Provider
from nym.signing import generate_signer
from nym.sphinx import Final, Forward
from nym.wire import directory
from nym.wire.addresses import NodeAddress, parse_numeric
from nym.wire.directory import MixNode, Records, encode_topology
from nym.wire.line import (
    BEGINNING,
    FIRST_LENGTH,
    FOURTH_LENGTH,
    SECOND_LENGTH,
    THIRD_LENGTH,
)
from nym.wire.sizes import PACKET_LENGTH
from tests.harness import (
    FAST,
    Application,
    memory_provider,
    running,
    serving,
    serving_http,
    wait_until,
)
from tests.test_line import Tap

# What comes in must not be more than can be pulled on a busy machine, with both streams at alice.
TRAFFIC = replace(FAST, message_sending_average_delay=0.05, loop_cover_traffic_average_delay=0.1)
ROUNDS = 8  # of all activities
SETTLE, WINDOW = 0.8, 1.0  # seconds; what happens while an activity begins isn't counted
# Bytes of a message that fills each tick for longer than a turn.
LONG = 43_000
# The difference of two means, in standard deviations of it, that is no accident: with so few
# samples, one of 160,000 pairs differs so much.
MOST = 7.0


class Watched:
    """A network, and what its nodes and the taps before it see."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._counts = Counter[str]()
        self.alices = b""
        self.network = stack.enter_context(running(Network(providers=0, trace=self._trace)))
        for _ in range(2):
            stack.callback(self._provider().stop)
        self.first_hops: list[Tap] = []
        self.providers: list[Tap] = []
        self._places: dict[str, str] = {}
        self.url = stack.enter_context(serving_http(self._topology))

    def _provider(self) -> Provider:
        """A provider with sealed lines."""
        provider = memory_provider(trace=self._trace, signer=generate_signer())
        provider.listen()
        provider.start(self.network.url)
        return provider

    def counts(self) -> Counter[str]:
        """What was seen since the start."""
        packets = sum(len(tap.written) for tap in self.first_hops)
        return self._counts + Counter(
            {
                "alice: packets": packets,
                "alice: packets less messages for her": packets - self._counts["for alice"],
            }
        )

    def _trace(self, place: NodeAddress, packet: bytes, task: Forward | Final) -> None:
        if isinstance(task, Forward):
            self._counts[f"packets at {place}"] += 1
            return
        # Of both: messages go to the recipient's (docs/security.md, "Not protected").
        self._counts["packets at providers"] += 1
        self._counts["for alice"] += task.destination == self.alices

    def _topology(self) -> bytes:
        """The network as alice sees it: she gets to it through taps only."""
        told: Records = self.network._directory.records()
        return encode_topology(
            Records(
                tuple(self._tapped_mixnode(node) for node in told.mixnodes),
                tuple(self._tapped_provider(node) for node in told.providers),
            )
        )

    def _tapped_mixnode(self, node: MixNode) -> MixNode:
        if node.layer != 1:
            return node
        return node._replace(host=self._tap(node.host, self.first_hops))

    def _tapped_provider(self, node: directory.Provider) -> directory.Provider:
        return node._replace(client_listener=self._tap(node.client_listener, self.providers))

    def _tap(self, place: str, taps: list[Tap]) -> str:
        if place not in self._places:
            address = parse_numeric(place)
            assert address
            tap = Tap(address)
            taps.append(tap)
            self._places[place] = str(self._stack.enter_context(serving(tap.serve)))
        return self._places[place]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def sends(sender: Application, recipient: Application, *, reliable: bool = False) -> None:
    with sender.lines() as lines:
        lines.send(recipient.address, os.urandom(LONG), reliable=reliable)


def is_asked(sender: Application, recipient: Application) -> None:
    """A message comes, and the first answer to a part of it has left: on a busy machine, late."""
    before = recipient.client._outgoing.sent
    sends(sender, recipient, reliable=True)
    wait_until(lambda: recipient.client._outgoing.sent > before)


def differ(one: list[float], other: list[float]) -> float:
    """By how many standard deviations the means of two samples differ (Welch's t)."""
    deviation = (variance(one) / len(one) + variance(other) / len(other)) ** 0.5
    return abs(fmean(one) - fmean(other)) / deviation if deviation else 0.0


def test_nobody_sees_what_a_user_does(stack: ExitStack) -> None:
    watched = Watched(stack)
    alice = stack.enter_context(Application(watched.url, traffic=TRAFFIC))
    bob = stack.enter_context(Application(watched.network.url, traffic=TRAFFIC))
    watched.alices = alice.address
    activities: dict[str, Callable[[], object]] = {
        "idle": lambda: None,
        "sending": partial(sends, alice, bob),
        "receiving": partial(sends, bob, alice),
        "answering": partial(is_asked, bob, alice),
    }
    real = Counter[str]()  # packets that alice sent, and that carried something
    for client in (alice, bob):
        wait_until(client.client._session.registered.is_set)
    for one, other in ((alice, bob), (bob, alice)):
        wait_until(partial(knows, one, other))
    rates: dict[str, list[dict[str, float]]] = {activity: [] for activity in activities}
    for _ in range(ROUNDS):
        for activity, begin in activities.items():
            alice.wait_until_sent()
            bob.wait_until_sent()
            begin()
            gevent.sleep(SETTLE)
            before, began = watched.counts(), time.monotonic()
            real[activity] -= alice.client._outgoing.sent
            gevent.sleep(WINDOW)
            seen, seconds = watched.counts(), time.monotonic() - began
            rates[activity].append({name: (seen[name] - before[name]) / seconds for name in seen})
            real[activity] += alice.client._outgoing.sent
    # So many of the packets of the turns, of which a third are loops, were real, however fast this
    # machine is.
    packets = sum(rate["alice: packets"] * WINDOW for rate in rates["sending"])
    assert real["sending"] > packets / 4
    # A note about the provider now and then; and on a busy machine, late acknowledgements.
    assert real["idle"] < real["sending"] / 5
    assert real["answering"] >= ROUNDS / 2
    # What comes for alice is known to her provider, and to no one else (docs/security.md).
    known = {"for alice", "alice: packets less messages for her"}
    compared = 0
    for name in rates["idle"][0]:
        for activity in ("sending", "receiving", "answering"):
            if activity == "sending" or name not in known:
                samples = [[rate[name] for rate in rates[a]] for a in ("idle", activity)]
                assert differ(*samples) < MOST, (name, activity, samples)
                compared += 1
    assert compared == 3 * 5 + 2
    assert {len(packet) for tap in watched.first_hops for packet in tap.written} == {PACKET_LENGTH}
    pulls = Counter(
        (len(written), len(read))
        for tap in watched.providers
        for written, read in zip(tap.written, tap.read, strict=True)
    )
    asked, told = len(BEGINNING) + FIRST_LENGTH + THIRD_LENGTH, SECOND_LENGTH + FOURTH_LENGTH
    # One may be under way.
    assert pulls[asked, told] >= pulls.total() - 1 > 0


def test_registrations_first_pulls_and_first_packets_are_drawn_apart(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can tell from one of them when the others come."""
    began: dict[str, dict[int, float]] = {"register": {}, "pull": {}}
    for name, times in began.items():
        act = getattr(Registration, name)

        def noting(
            this: Registration, *known: Any, act: Any = act, times: dict[int, float] = times
        ) -> Any:
            times.setdefault(id(this), time.monotonic())
            return act(this, *known)

        monkeypatch.setattr(Registration, name, noting)
    network = stack.enter_context(running(Network()))
    slow = replace(FAST, fetch_message_delay=4.0, loop_cover_traffic_average_delay=2.0)
    for _ in range(20):
        stack.enter_context(Application(network.url, traffic=slow))
    wait_until(lambda: len(began["pull"]) == 20)
    gaps = [began["pull"][one] - at for one, at in began["register"].items()]
    # All on one side would be one accident in 500,000.
    assert min(gaps) < 2.0 < max(gaps)


def knows(one: Application, other: Application) -> bool:
    return other.address in one.clients()
