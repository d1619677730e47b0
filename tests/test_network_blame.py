"""The stretches that are blamed for lost loops, in networks that are only simulated."""

from collections.abc import Iterable
from itertools import count, pairwise
from random import Random

import pytest

from nym.network.check.blame import Figures, by_node, figures
from nym.network.check.culprits import Verdict, find_culprits
from nym.network.check.loops import Loop
from nym.network.check.problems import of_loops
from nym.network.check.report import NodeReport
from nym.network.check.routes import LOOPS_UNREACHED, covering
from nym.wire.keys import encode_base58

# The share of its packets that a node drops, or a link loses.
Losses = dict[tuple[bytes, ...], float]


def loop(*route: bytes, took: float | None = 0.5, is_refused: bool = False) -> Loop:
    return Loop(route, 0.3, 0.0, took, is_refused)


class Simulated:
    """A network of layers of `width` nodes, and so many providers, with these losses.

    Its nodes are called 1a, 1b, 2a and so on, its providers Pa, Pb ...
    """

    def __init__(self, seed: int, width: int, providers: int, losses: Losses) -> None:
        self.random = Random(seed)
        self.stages = [
            [b"%d%c" % (layer, ord("a") + i) for i in range(width)] for layer in (1, 2, 3)
        ] + [[b"P%c" % (ord("a") + i) for i in range(providers)]]
        self.losses = losses
        self.asked = 0

    def send(self, routes: Iterable[tuple[bytes, ...]]) -> list[Loop]:
        self.asked += 1
        return [loop(*route, took=None if self._is_lost(route) else 0.5) for route in routes]

    def verdict(self) -> Verdict:
        loops = self.send(list(covering(self.stages, (), self.random)))
        return find_culprits(loops, self.send)

    def _is_lost(self, route: tuple[bytes, ...]) -> bool:
        stretches = [*((node,) for node in route), *pairwise(route)]
        return any(self.random.random() < self.losses.get(stretch, 0.0) for stretch in stretches)


@pytest.mark.parametrize("width", [1, 2, 3, 10])
@pytest.mark.parametrize("culprit", [b"1a", b"2a", b"3a", b"Pa"])
def test_a_node_that_drops_all_packets_is_blamed(width: int, culprit: bytes) -> None:
    for seed in range(30):
        verdict = Simulated(seed, width, 2, {(culprit,): 1.0}).verdict()
        assert verdict.blamed == [(culprit,)], seed
        assert verdict.others.lost == 0


@pytest.mark.parametrize("culprit", [b"1a", b"3a", b"Pa"])
def test_a_node_that_drops_most_packets_is_blamed(culprit: bytes) -> None:
    right = 0
    for seed in range(100):
        verdict = Simulated(seed, 2, 2, {(culprit,): 0.7}).verdict()
        right += verdict.blamed == [(culprit,)]
    assert right >= 90


def test_two_nodes_of_different_layers_are_both_blamed() -> None:
    for seed in range(30):
        verdict = Simulated(seed, 3, 2, {(b"1a",): 1.0, (b"2b",): 1.0}).verdict()
        assert sorted(verdict.blamed) == [(b"1a",), (b"2b",)], seed


def test_all_nodes_of_a_layer_are_blamed() -> None:
    for seed in range(30):
        verdict = Simulated(seed, 2, 2, {(b"2a",): 1.0, (b"2b",): 1.0}).verdict()
        assert sorted(verdict.blamed) == [(b"2a",), (b"2b",)], seed


def test_a_single_provider_that_drops_all_is_blamed_and_no_mixnode() -> None:
    for seed in range(30):
        verdict = Simulated(seed, 2, 1, {(b"Pa",): 1.0}).verdict()
        assert verdict.blamed == [(b"Pa",)], seed


@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("link", [(b"1a", b"2a"), (b"2a", b"3a")])
def test_a_link_is_blamed(width: int, link: tuple[bytes, bytes]) -> None:
    for seed in range(30):
        verdict = Simulated(seed, width, 1, {link: 1.0}).verdict()
        assert verdict.blamed == [link], seed


def test_a_link_to_one_of_two_providers_is_blamed() -> None:
    for seed in range(30):
        verdict = Simulated(seed, 2, 2, {(b"3a", b"Pa"): 1.0}).verdict()
        assert verdict.blamed == [(b"3a", b"Pa")], seed


def test_a_node_that_lets_short_loops_pass_is_one_end_of_what_is_blamed() -> None:
    class Deceitful(Simulated):
        def _is_lost(self, route: tuple[bytes, ...]) -> bool:
            return len(route) > 2 and b"2a" in route

    for seed in range(30):
        verdict = Deceitful(seed, 1, 1, {}).verdict()
        assert verdict.blamed, seed
        assert all(b"2a" in stretch for stretch in verdict.blamed), seed


@pytest.mark.parametrize("loss", [0.0, 0.01, 0.05])
def test_nobody_is_blamed_where_everybody_loses_a_little(loss: float) -> None:
    blamed = 0
    for seed in range(100):
        simulated = Simulated(seed, 3, 2, {})
        simulated.losses = {(node,): loss / 4 for stage in simulated.stages for node in stage}
        blamed += bool(simulated.verdict().blamed)
    assert blamed <= 2


def test_nothing_is_asked_again_where_nothing_is_lost() -> None:
    simulated = Simulated(1, 2, 2, {})
    assert simulated.verdict() == Verdict([], Figures(40, 0, 200.0))
    assert simulated.asked == 1


def test_losses_without_a_culprit_are_counted() -> None:
    numbers = count()

    def sometimes(routes: Iterable[tuple[bytes, ...]]) -> list[Loop]:
        return [loop(*route, took=None if next(numbers) % 5 == 0 else 0.5) for route in routes]

    routes = [(b"1a", b"2a", b"Pa")] * 20
    verdict = find_culprits(sometimes(routes), sometimes)
    assert verdict == Verdict([], Figures(20, 4, 200.0))


def test_a_provider_that_this_machine_cannot_reach_is_not_blamed() -> None:
    def send(routes: Iterable[tuple[bytes, ...]]) -> list[Loop]:
        return [loop(*route, took=None, is_refused=len(route) == 1) for route in routes]

    verdict = find_culprits([loop(b"1a", b"Pa", took=None)] * 20, send)
    assert verdict == Verdict([], Figures(20, 20, None))


def test_routes_cover_each_node_equally() -> None:
    stages = [[b"1a", b"1b"], [b"2a", b"2b", b"2c"], [b"Pa"]]
    routes = list(covering(stages, (), Random(1)))
    assert len(routes) == 60
    for stage in stages:
        counts = {sum(node in route for route in routes) for node in stage}
        assert counts == {60 // len(stage)}
    assert len({route[:2] for route in routes}) == 6, "everybody meets everybody"


def test_a_node_that_is_not_reached_has_few_routes_and_others_avoid_it() -> None:
    stages = [[b"1a", b"1b"], [b"2a", b"2b"], [b"Pa"]]
    routes = list(covering(stages, {b"2b", b"Pa"}, Random(1)))
    assert len(routes) == 40 + LOOPS_UNREACHED
    assert sum(b"2b" in route for route in routes) == LOOPS_UNREACHED
    assert all(b"Pa" in route for route in routes), "there is no other provider"


def test_a_refused_loop_counts_for_its_first_node_alone() -> None:
    loops = [loop(b"1a", b"2a", b"Pa"), loop(b"1a", b"2a", b"Pa", took=None, is_refused=True)]
    through = by_node(loops)
    assert (through[b"1a"].sent, through[b"1a"].lost) == (2, 1)
    assert (through[b"2a"].sent, through[b"2a"].lost) == (1, 0)


def test_latency_is_the_median_of_what_is_beyond_the_delays() -> None:
    loops = [loop(b"P", took=took) for took in (0.4, 0.5, 2.3)]
    assert figures([*loops, loop(b"P", took=None)]) == Figures(4, 1, 200.0)
    assert figures([]) == Figures(0, 0, None)


def test_loops_and_nodes_that_are_late_are_said() -> None:
    nodes = [
        NodeReport("mixnode", 1, encode_base58(key), "192.0.2.1:1", None, None, None, True)
        for key in (b"a" * 32, b"b" * 32)
    ]
    late = [nodes[0]._replace(latency_ms=1300.0), nodes[1]._replace(latency_ms=200.0)]
    nobody = Verdict([], Figures(20, 0, 200.0))

    def slow(nodes: list[NodeReport], latency: float) -> list[str]:
        problems = of_loops(nodes, nobody, Figures(20, 0, latency))
        return [problem.about for problem in problems if problem.kind == "slow"]

    assert slow(nodes, 999.0) == []
    assert slow(nodes, 1001.0) == ["network"]
    assert slow(late, 200.0) == ["mixnode 192.0.2.1:1 in layer 1"]
