"""`network plan` says what a planned network would carry, and what is weak in it."""

from collections.abc import Iterator
from pathlib import Path

from nym.cli import Options
from nym.cli.nodes import size
from nym.cli.output import say
from nym.network.example import EXAMPLE
from nym.network.outlook import Load, delays, mixnode_load, most_clients, provider_load
from nym.network.plan import Host, Plan, format_plan, load_plan
from nym.network.weak import weaknesses


def plan(options: Options) -> int:
    """Print an example of a plan, or what there is to say about one."""
    if options["--example"]:
        say(format_plan(EXAMPLE).rstrip("\n"))
        return 0
    for name, value in _rows(load_plan(Path(options["PLAN"]))):
        say(f"{name:<12}{value}")
    return 0


def _rows(plan: Plan) -> Iterator[tuple[str, str]]:
    layers, providers, clients = plan.layers(), plan.providers(), plan.network.clients
    operators = len({host.settings.operator for host in plan.hosts})
    hosts = len(plan.hosts)
    yield "network", f"{plan.network.name}, on {hosts} host{'' if hosts == 1 else 's'}"
    yield "operators", str(operators)
    yield "nodes", size(map(len, layers), len(providers))
    yield "carries", f"{most_clients(plan)} clients at default rates; it is for {clients}"
    found = delays(len(layers), plan.network.transit)
    yield (
        "latency",
        f"{found.median:.1f} s in the median, and in 99 of 100 cases {found.late:.1f} s or less",
    )
    for host in plan.hosts:
        yield "host", f"{host.name}, of {host.settings.operator}: {_roles(host)}"
        if layer := host.settings.layer:
            yield "", f"mixnode: {_load(mixnode_load(clients, len(layers[layer - 1])))}"
        if host.settings.provider:
            yield "", f"provider: {_load(provider_load(clients, len(providers)))}"
    for weakness in weaknesses(plan):
        yield "weak", weakness


def _roles(host: Host) -> str:
    layer = host.settings.layer
    return ", ".join(
        f"mixnode of layer {layer}" if node.role == "mixnode" else node.role
        for node in host.nodes()
    )


def _load(load: Load) -> str:
    pulls = f" and {load.pulls:.0f} pulls" if load.pulls else ""
    return (
        f"{load.packets:.0f} packets{pulls} per second, {load.busy:.0%} of a core; "
        f"{_gigabytes(load.received)} down and {_gigabytes(load.sent)} up per month"
    )


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:,.0f} GB"
