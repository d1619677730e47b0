"""The command line: python -m benchmarks network."""

import argparse
import json
from dataclasses import fields, replace
from pathlib import Path

from benchmarks.network.comparison import compare
from benchmarks.network.figures import draw_all
from benchmarks.network.result import Result
from benchmarks.network.scenario import Scenario, fitted
from benchmarks.network.simulation import Simulation
from nym.network.outlook import BUSY

CLIENTS = 1000
SECONDS = 30.0
TARGETS = 20  # packets whose anonymity is judged


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be chosen: all of a scenario, and how long it lasts."""
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--real", action="store_true", help="compare with a network that really runs"
    )
    parser.add_argument("--seconds", type=float, default=SECONDS, help="in which it measures")
    parser.add_argument("--targets", type=int, default=TARGETS, help="packets to find senders of")
    parser.add_argument(
        "--busy", type=float, default=BUSY, help="the share of their time that nodes work"
    )
    parser.add_argument("--draw", type=Path, metavar="FOLDER", help="make all drawings instead")
    for field in fields(Scenario):
        option = f"--{field.name.removeprefix('is_').replace('_', '-')}"
        if field.type is bool:
            parser.add_argument(option, dest=field.name, action="store_true")
        else:
            parser.add_argument(option, type=field.type, metavar=field.name.upper())


def run(arguments: argparse.Namespace) -> None:
    """Simulate, and print what was found."""
    if arguments.real:
        _compare(arguments)
        return
    if arguments.draw:
        draw_all(arguments.draw, arguments.seed)
        return
    scenario = chosen(arguments)
    simulation = Simulation(scenario, arguments.seed)
    result = simulation.run(arguments.seconds, targets=arguments.targets)
    report = summary(result)
    if arguments.json:
        print(json.dumps(report, indent=1))
        return
    for what, value in report.items():
        print(f"{what:<44}{value:>14,.6g}")


def _compare(arguments: argparse.Namespace) -> None:
    found = compare(arguments.seed, arguments.seconds)
    if arguments.json:
        rows = [{**each._asdict(), "deviation": each.deviation} for each in found]
        print(json.dumps(rows, indent=1))
        return
    print(f"{'what':<20}{'real':>10}{'simulated':>12}{'deviation':>12}{'made of':>10}")
    for each in found:
        figures = f"{each.real:>10.3f}{each.simulated:>12.3f}{each.deviation:>12.1%}"
        print(f"{each.what:<20}{figures}{each.number:>10}")


def chosen(arguments: argparse.Namespace) -> Scenario:
    """The scenario of the command line; nodes that aren't given are as many as are needed."""
    given = {
        field.name: value
        for field in fields(Scenario)
        if (value := getattr(arguments, field.name, None)) is not None
    }
    scenario = Scenario(**{"clients": CLIENTS, **given})
    fit = fitted(scenario, arguments.busy)
    return replace(
        scenario,
        width=given.get("width", fit.width),
        providers=given.get("providers", fit.providers),
    )


def summary(result: Result) -> dict[str, float]:
    """What was found, by what it is; times in seconds."""
    scenario = result.scenario
    return {
        "clients": scenario.clients,
        "mixnodes per layer": scenario.width,
        "providers": scenario.providers,
        "packets per second": scenario.packets,
        "messages measured": result.written,
        "latency, median": result.latency(0.5),
        "latency, 99 %": result.latency(0.99),
        "messages lost": result.lost_messages,
        "packets lost": result.lost_packets,
        "queue at a mixnode, median": result.queue("mixnode", 0.5),
        "queue at a mixnode, 99 %": result.queue("mixnode", 0.99),
        "queue at a provider, 99 %": result.queue("provider", 0.99),
        "packets in a mixnode, 99 %": result.held_at(0.99),
        "dishonest routes": result.dishonest_share,
        **({"entropy of the sender, bits": result.anonymity} if result.entropies else {}),
    }
