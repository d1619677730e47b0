"""The drawings of docs/scale.md: what a network does, against what its operator can choose."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import e, log2
from pathlib import Path
from random import Random
from statistics import fmean

from benchmarks.network.anonymity import Pool
from benchmarks.network.plot import Axis, Line, draw
from benchmarks.network.result import Result
from benchmarks.network.scenario import Scenario
from benchmarks.network.simulation import Simulation

CLIENTS = 500
SECONDS = 40.0
TARGETS = 30  # packets whose anonymity is judged
# Nodes work for no time where queues are not what is looked at.
SMALL = Scenario(CLIENTS, message_gap=10.0, hop_cost=1e-9, put_cost=1e-9, pull_cost=1e-9)

Drawing = tuple[str, Axis, Axis, list[Line]]


def draw_all(folder: Path, seed: int) -> None:
    """Write all drawings to `folder`, which takes a few minutes."""
    folder.mkdir(parents=True, exist_ok=True)
    made_by = f"python -m benchmarks network --draw {folder} --seed {seed}"
    for name, make in FIGURES.items():
        title, x, y, lines = make(seed)
        (folder / f"{name}.svg").write_text(draw(title, made_by, x, y, lines))


def _delays(seed: int) -> Drawing:
    delays = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
    found = [_simulate(replace(SMALL, delay=delay), seed) for delay in delays]
    return (
        "How long a message takes, with three layers",
        Axis("average delay at each mixnode, seconds", 0.01, 2.0, is_log=True),
        Axis("seconds", 0.5, 50.0, is_log=True),
        _latencies(delays, found),
    )


def _rates(seed: int) -> Drawing:
    rates = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)  # packets of a client, per second
    # Half of them are loops, and half are turns, one of twenty with a message. Pulls bring more
    # than what comes back.
    found = [
        _simulate(
            replace(SMALL, loop_gap=gap, turn_gap=gap, fetch=0.8 * gap, message_gap=20 * gap),
            seed,
            100 * gap,
        )
        for gap in (2 / rate for rate in rates)
    ]
    return (
        "How long a message takes, if clients send more or less",
        Axis("packets of each client, per second", 0.2, 16.0, is_log=True),
        Axis("seconds", 0.2, 200.0, is_log=True),
        _latencies(rates, found),
    )


def _mixnode(seed: int) -> Drawing:
    # The paper's Figure 4 goes from 100 packets per second at a delay of 0.005 s to 500 at 50 s.
    ratios = (0.5, 1, 2, 5, 10, 25, 100, 500, 2500, 25000)
    return (
        "Anonymity in one mixnode, as in Loopix, Figure 4",
        Axis("packets per second times the average delay", 0.5, 25000, is_log=True),
        Axis("entropy, bits", 0, 18),
        [
            Line("simulated", [(ratio, pool_entropy(ratio, seed)) for ratio in ratios], True),
            Line("log2(e times that)", [(ratio, log2(e * ratio)) for ratio in ratios]),
        ],
    )


def pool_entropy(inside: float, seed: int) -> float:
    """The mean entropy of what leaves a mixnode with so many packets inside, on average."""
    random, pool = Random(seed), Pool()  # noqa: S311 - the same seed gives the same result
    count, found = 0, []
    for _ in range(20 * int(inside) + 4000):
        if random.random() < inside / (inside + count):
            pool.enter()
            count += 1
        else:
            found.append(pool.leave())
            count -= 1
    return fmean(found[len(found) // 2 :])  # of the second half, when the pool is as it will stay


def _layers(seed: int) -> Drawing:
    layers = (1, 2, 3, 4)
    lines = [
        Line(
            f"average delay {delay:g} s",
            [
                (
                    number,
                    _simulate(
                        replace(SMALL, layers=number, delay=delay), seed, 1.0, 5 * TARGETS
                    ).anonymity,
                )
                for number in layers
            ],
        )
        for delay in (0.1, 0.01, 0.001)
    ]
    return (
        f"Anonymity among {CLIENTS} clients, with more layers",
        Axis("layers of three mixnodes", 1, 4, step=1),
        Axis("entropy, bits", 0, 10),
        [*lines, Line("all clients are equally likely", [(1, log2(CLIENTS)), (4, log2(CLIENTS))])],
    )


def _dishonest(seed: int) -> Drawing:
    width = 10
    found = {
        number: _simulate(replace(SMALL, width=width, dishonest=number), seed, 2.0)
        for number in range(width + 1)
    }
    shares = [number / 100 for number in range(0, 101, 2)]
    return (
        "Packets all of whose mixnodes are dishonest",
        Axis("share of the mixnodes that is dishonest", 0, 1),
        Axis("share of packets", 0, 1),
        [
            Line(
                "three layers, simulated",
                [(number / width, each.dishonest_share) for number, each in found.items()],
                True,
            ),
            *(
                Line(f"{layers} layer{'s' * (layers > 1)}", [(f, f**layers) for f in shares])
                for layers in (1, 3, 4)
            ),
        ],
    )


def _corrupted(seed: int) -> Drawing:
    width = 10

    def anonymity(layers: int, number: int) -> float:
        scenario = replace(SMALL, layers=layers, width=width, dishonest=number)
        return _simulate(scenario, seed, 1.0, 10 * TARGETS).anonymity

    return (
        f"Anonymity among {CLIENTS} clients, with dishonest mixnodes",
        Axis("share of the mixnodes that is dishonest", 0, 1),
        Axis("entropy, bits", 0, 10),
        [
            Line(
                f"{layers} layer{'s' * (layers > 1)}",
                [(number / width, anonymity(layers, number)) for number in range(width + 1)],
            )
            for layers in (1, 2, 3)
        ],
    )


def _churn(seed: int) -> Drawing:
    shares = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3)

    scenario = replace(SMALL, clients=100, width=50)

    def lost(away: float, down: float) -> float:
        changing = replace(scenario, up=down * (1 - away) / away, down=down)
        # Clients have to know by then who has been away since the beginning.
        return Simulation(changing, seed).run(300.0, warm_up=30.0).lost_packets

    return (
        "Packets that are lost because mixnodes go and come, with three layers",
        Axis("share of the time for which a mixnode is away", 0, 0.3),
        Axis("share of packets", 0, 0.6),
        [
            Line("away for 5 s on average", [(share, lost(share, 5.0)) for share in shares]),
            Line("away for 2 min on average", [(share, lost(share, 120.0)) for share in shares]),
            Line("if nobody noticed", [(share, 1 - (1 - share) ** 2) for share in shares]),
        ],
    )


def _queues(seed: int) -> Drawing:
    loads = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
    clients = 100
    found = []
    for load in loads:
        scenario = replace(SMALL, clients=clients, layers=1, width=1)
        scenario = replace(scenario, hop_cost=load / scenario.packets)
        found.append(_simulate(scenario, seed, 200.0))
    return (
        "Packets that wait for a mixnode's processor",
        Axis("load of the processor", 0.1, 0.95),
        Axis("packets", 0.005, 100, is_log=True),
        [
            Line(
                "simulated, on average",
                [
                    (load, each.mean_wait / each.scenario.hop_cost)
                    for load, each in zip(loads, found, strict=True)
                ],
                True,
            ),
            Line("M/D/1", [(load, load / (2 * (1 - load))) for load in loads]),
            Line(
                "simulated, 99 %",
                [
                    (load, each.queue("mixnode", 0.99))
                    for load, each in zip(loads, found, strict=True)
                ],
            ),
        ],
    )


FIGURES: dict[str, Callable[[int], Drawing]] = {
    "delays": _delays,
    "rates": _rates,
    "mixnode": _mixnode,
    "layers": _layers,
    "dishonest": _dishonest,
    "corrupted": _corrupted,
    "churn": _churn,
    "queues": _queues,
}


def _simulate(scenario: Scenario, seed: int, seconds: float = SECONDS, targets: int = 0) -> Result:
    return Simulation(scenario, seed).run(seconds, targets=targets)


def _latencies(values: Sequence[float], found: Sequence[Result]) -> list[Line]:
    return [
        Line(name, [(at, each.latency(share)) for at, each in zip(values, found, strict=True)])
        for name, share in (("99 % arrive within", 0.99), ("half of them arrive within", 0.5))
    ]
