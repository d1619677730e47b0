"""Compares what a directory lists with a plan: what is missing, what is not planned, what differs.

A planned node is known by its identity, if the plan has it, and otherwise by where it takes
packets. Records count that clients leave out, too: these nodes are there, and why clients leave
them out is another matter.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from nym.network.check.report import Problem, node_name
from nym.network.plan import Host, Plan
from nym.wire.addresses import usual_form
from nym.wire.directory import MixNode, Provider, Records
from nym.wire.keys import encode_base58
from nym.wire.versions import identity_in


class _Node(NamedTuple):
    """What a plan and a record say about a node; "" and None for what one doesn't say or have."""

    role: str
    layer: int | None
    address: str
    client_address: str
    identity: str


# What a node may have otherwise than the plan, and what it is called.
_NAMES = {
    "layer": "layer",
    "address": "address",
    "client_address": "address for clients",
    "identity": "identity",
}


def differences(plan: Plan, records: Records) -> Iterator[Problem]:
    """How the network that is listed differs from the planned one."""
    nodes: list[MixNode | Provider] = [*records.mixnodes, *records.providers]
    strangers = set(map(_listed, nodes))
    by_mark: dict[tuple[str, str], list[_Node]] = {}
    for node in strangers:
        for mark in (node.address, node.identity):
            by_mark.setdefault((node.role, mark), []).append(node)
    for host in plan.hosts:
        for planned in _planned(host):
            known = planned.identity and by_mark.get((planned.role, planned.identity))
            found = known or by_mark.get((planned.role, planned.address), [])
            strangers.difference_update(found)
            yield from _about(f"{planned.role} on {host.name}", planned, found)
    for node in sorted(strangers, key=lambda node: (node.role, node.layer or 0, node.address)):
        yield Problem(
            "unplanned",
            node_name(node.role, node.layer, node.address),
            "it isn't in the plan",
            "plan its host, or keep it out: set allow_list = true, generate again, and copy to the "
            "directories",
        )


def _about(about: str, planned: _Node, found: Sequence[_Node]) -> Iterator[Problem]:
    """What is wrong with a planned node, of which these are the records."""
    if not found:
        yield Problem(
            "missing",
            about,
            f"the directory doesn't list it; it is planned {_where(planned)}",
            "does it run there? Then its status says why directories don't take its posts",
        )
    for node in found:
        if unlike := list(_unlike(planned, node)):
            yield Problem(
                "unlike_plan",
                about,
                "; ".join(unlike),
                "generate again, and copy to this host and to the directories, or correct the plan",
            )


def _unlike(planned: _Node, node: _Node) -> Iterator[str]:
    for field, name in _NAMES.items():
        there, wanted = getattr(node, field), getattr(planned, field)
        # What the plan leaves open can be anything.
        if wanted and there != wanted:
            yield f"its {name} is {there or 'missing'}, and {wanted} in the plan"


def _where(planned: _Node) -> str:
    layer = f"in layer {planned.layer}, " if planned.layer else ""
    return f"{layer}at {planned.address}"


def _planned(host: Host) -> Iterator[_Node]:
    for node in host.nodes():
        place, clients = usual_form(str(node.place)), usual_form(str(host.for_clients))
        if node.role == "mixnode":
            yield _Node(node.role, host.settings.layer, place, "", node.identity)
        elif node.role == "provider":
            yield _Node(node.role, None, place, clients, node.identity)


def _listed(node: MixNode | Provider) -> _Node:
    identity = identity_in(node.version)
    known = "" if identity is None else encode_base58(identity)
    if isinstance(node, MixNode):
        return _Node("mixnode", node.layer, usual_form(node.host), "", known)
    places = usual_form(node.mixnet_listener), usual_form(node.client_listener)
    return _Node("provider", None, *places, known)
