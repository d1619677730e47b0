"""Finds what is weak in a plan: who would see too much, and whose failure would stop the network.

Each weakness is one sentence, with what to do. None of them makes a plan invalid: a network of two
friends may be worth having, as long as they know what it doesn't hide.
"""

from collections.abc import Callable, Iterator
from ipaddress import ip_network
from math import prod

from nym.network.outlook import BUSY, most_clients
from nym.network.plan import Host, Plan
from nym.wire.addresses import is_ipv6

# What is usually given to one customer of a data centre or a provider.
_NEIGHBOURS = {False: 24, True: 48}  # bits, of IPv4 and IPv6


def weaknesses(plan: Plan) -> list[str]:
    """The weaknesses of a plan; the worst kinds come first."""
    return [*_seen(plan), *_fragile(plan), *_open(plan), *_overloaded(plan)]


def _seen(plan: Plan) -> Iterator[str]:
    """Operators and networks that would see whole routes."""
    layers = plan.layers()
    for name, share in _in_all_layers(plan, lambda host: host.settings.operator):
        yield (
            f"{name} has a mixnode in every layer, and so the whole route of {_percent(share)} of "
            "all packets: give the layers to different people"
        )
    for name, share in _in_all_layers(plan, _neighbourhood):
        yield (
            f"{name} has a mixnode in every layer: who watches that network sees the whole route "
            f"of {_percent(share)} of all packets; use different data centres"
        )
    if len(layers) < 3:
        yield (
            f"there {'is 1 layer' if len(layers) == 1 else 'are 2 layers'}: the first mixnode "
            "knows senders, and the last one recipients' providers; with 3, none is next to both"
        )


def _fragile(plan: Plan) -> Iterator[str]:
    """Hosts whose failure would stop the network."""
    for number, layer in enumerate(plan.layers(), 1):
        if len(layer) == 1:
            yield (
                f"layer {number} has one mixnode, {layer[0].name}: nothing gets through while it "
                "is away; have two in each layer"
            )
    match plan.providers():
        case [one]:
            yield (
                f"{one.name} has the only provider: nobody gets messages while it is away, and it "
                "sees how many packets each client gets; have two"
            )
    match plan.directories():
        case [one]:
            yield (
                f"{one.name} has the only directory: no client can join while it is away, and "
                "those that run don't hear of new keys; have two"
            )


def _open(plan: Plan) -> Iterator[str]:
    if not plan.network.allow_list:
        yield (
            "allow_list is false: anybody can add mixnodes and providers, and so take over routes; "
            "set it to true"
        )


def _overloaded(plan: Plan) -> Iterator[str]:
    most = most_clients(plan)
    if plan.network.clients > most:
        yield (
            f"it carries some {most} clients, and is for {plan.network.clients}: add mixnodes to "
            f"the layers, or providers; above {_percent(BUSY)} of a core, packets wait for long"
        )


def _in_all_layers(plan: Plan, of: Callable[[Host], str]) -> Iterator[tuple[str, float]]:
    """Yield what has a host in every layer, and the share of routes with no other hosts."""
    layers = [[of(host) for host in layer] for layer in plan.layers()]
    for name in dict.fromkeys(layers[0]):
        share = prod(layer.count(name) / len(layer) for layer in layers)
        if name and share:
            yield name, share


def _neighbourhood(host: Host) -> str:
    """The network around its address; empty if it has a name."""
    try:
        bits = _NEIGHBOURS[is_ipv6(host.ip)]
        return str(ip_network(f"{host.ip}/{bits}", strict=False))
    except ValueError:
        return ""


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"
