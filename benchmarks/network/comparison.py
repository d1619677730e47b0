"""Compares the simulation with a network of ours that really runs: benchmarks.network.running.

Both have the same layers, rates and delays. In the second comparison, the mixnodes of both go and
come at the same times. Times are several times as long as the defaults, so that what a busy machine
adds to them, which is no part of a network, matters less.
"""

import json
import subprocess
import sys
from dataclasses import asdict, replace
from math import inf
from random import Random
from typing import Any, NamedTuple

from benchmarks.network.churn import Change, changes
from benchmarks.network.result import quantile
from benchmarks.network.scenario import Scenario
from benchmarks.network.simulation import Simulation

CALM = Scenario(
    30,
    loop_gap=3.0,
    turn_gap=1.5,
    delay=0.3,
    fetch=1.2,
    refresh=1.0,
    message_gap=6.0,
)
# Nodes are back before a directory leaves them out, so clients see nothing of it but the losses.
CHURN = replace(CALM, message_gap=1e9, up=10.0, down=2.0)
WARM_UP = 10.0  # seconds
SIMULATED = 20  # times as many seconds as run, so that chance is in what runs alone


class Comparison(NamedTuple):
    """One figure of the network that ran, and of the simulated one; of how many it was made.

    `waited` is the share of the time for which the one that ran waited for a processor: what other
    programs did to it, and not to the simulated one.
    """

    what: str
    real: float
    simulated: float
    number: int
    waited: float

    @property
    def deviation(self) -> float:
        """Of the simulated figure from the real one, as a share of that."""
        if not self.real:
            return inf if self.simulated else 0.0
        return self.simulated / self.real - 1


def compare(seed: int, seconds: float) -> list[Comparison]:
    """Latency of messages while all nodes are there, and loss of packets while they go and come."""
    real = run_really(CALM, [], seed, seconds)
    simulated = Simulation(CALM, seed).run(SIMULATED * seconds, warm_up=WARM_UP)
    latencies = [
        Comparison(
            f"latency, {share:.0%}",
            quantile(real["latencies"], share),
            simulated.latency(share),
            len(real["latencies"]),
            real["waited"],
        )
        for share in (0.5, 0.9)
    ]
    gone = 1 - len(real["latencies"]) / real["written"]
    calm = Comparison(
        "lost while calm", gone, simulated.lost_messages, real["written"], real["waited"]
    )
    random = Random(seed)  # noqa: S311 - the same seed, the same times
    nodes = CHURN.layers * CHURN.width
    schedule = changes(nodes, CHURN.up, CHURN.down, WARM_UP + seconds, random)
    real = run_really(CHURN, schedule, seed, seconds)
    # Many clients, so that nothing but the times of the nodes is chance.
    many = replace(CHURN, clients=SIMULATED * CHURN.clients, providers=SIMULATED)
    lossy = Simulation(many, seed, schedule).run(seconds, warm_up=WARM_UP)
    lost = 1 - real["arrived"] / real["taken"]
    loss = Comparison("packets lost", lost, lossy.lost_packets, real["taken"], real["waited"])
    return [*latencies, calm, loss]


def run_really(
    scenario: Scenario, schedule: list[Change], seed: int, seconds: float
) -> dict[str, Any]:
    """What `benchmarks.network.running` measured."""
    asked = {
        "scenario": asdict(scenario),
        "changes": schedule,
        "seed": seed,
        "warm_up": WARM_UP,
        "seconds": seconds,
    }
    command = [sys.executable, "-m", "benchmarks.network.running"]
    answer = subprocess.run(
        command, input=json.dumps(asked), stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, Any] = json.loads(answer.stdout)
    return found
