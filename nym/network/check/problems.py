"""Says what is wrong in a network, one sentence for each thing, and what to do about it."""

from collections.abc import Iterator, Mapping, Sequence

from nym.config.nodes import KeySettings
from nym.errors import RemoteError
from nym.net.directory import MOST_OFF
from nym.network.check import unusable
from nym.network.check.blame import Figures, is_much
from nym.network.check.culprits import Verdict
from nym.network.check.report import DirectoryReport, NodeReport, Problem
from nym.reports import describe_left_out
from nym.timing import duration
from nym.wire.keys import encode_base58
from nym.wire.reports import LeftOut

# Milliseconds of latency from which the network is slow, and by which a node has to be slower than
# loops are altogether.
SLOW = 1000.0
# Seconds: a node of ours takes a new key a day after the last one, or an overlap later at most.
OLDEST_KEY = KeySettings.lifetime + KeySettings.overlap
MOST_NAMED = 3  # nodes in one sentence


def of_directories(
    reports: Sequence[DirectoryReport],
    errors: Mapping[str, RemoteError],
    differing: Mapping[str, list[str]],
) -> Iterator[Problem]:
    """What is wrong with directories.

    `errors` says why some can't be used. `differing` has the names of nodes that the first usable
    one lists, and another one doesn't. Both are by the URLs in the reports.
    """
    for report in reports:
        about = f"directory {report.url}"
        if error := errors.get(report.url):
            yield Problem("directory_unusable", about, unusable.why(error), unusable.advice(error))
        if report.clock_off is not None and abs(report.clock_off) > MOST_OFF:
            how = "ahead of" if report.clock_off > 0 else "behind"
            yield Problem(
                "clock",
                about,
                f"its clock is {duration(abs(report.clock_off))} {how} this machine's",
                unusable.SET_CLOCK,
            )
        if missing := differing.get(report.url):
            yield Problem(
                "directory_differs",
                about,
                f"another directory lists what this one doesn't: {_named(missing)}",
                "every node has to post to all directories: --directory takes several",
            )


def of_the_list(obstacle: str, left_out: Sequence[LeftOut]) -> Iterator[Problem]:
    """What is wrong with what is listed; see Sight for the `obstacle`."""
    if obstacle:
        yield Problem(
            "incomplete",
            "network",
            f"no client can use it: {obstacle}",
            "start what is missing; if it runs, its status says why it isn't listed",
        )
    if left_out:
        yield Problem(
            "left_out",
            "network",
            f"clients leave out {describe_left_out(left_out)}",
            "see What is used in docs/protocol/directory.md; an allow-list keeps strangers out",
        )


def of_nodes(nodes: Sequence[NodeReport]) -> Iterator[Problem]:
    """Which nodes can't be used."""
    if len(nodes) > 1 and not any(node.reached for node in nodes):
        yield Problem(
            "unreachable",
            "network",
            f"none of its nodes can be reached from this machine; {nodes[0].name}: "
            f"{nodes[0].trouble}",
            "is this machine's own connection down, or does a firewall block it?",
        )
        return
    for node in nodes:
        if node.trouble is not None and _matters(node):
            yield _useless(node, node.trouble)


def of_keys(nodes: Sequence[NodeReport]) -> Iterator[Problem]:
    """Which nodes keep their keys for too long."""
    for node in nodes:
        if node.key_age is not None and node.key_age > OLDEST_KEY:
            yield Problem(
                "old_key",
                node.name,
                f"its key is {duration(node.key_age)} old; nodes take a new one each day, so that "
                "nobody can open later what was recorded",
                "its log says why it has no new one, such as a full disk. Is keys.lifetime longer "
                "in its settings?",
            )


def of_loops(nodes: Sequence[NodeReport], verdict: Verdict, total: Figures) -> Iterator[Problem]:
    """Where loops are lost, or late."""
    by_key = {node.key: node for node in nodes}
    for stretch in verdict.blamed:
        ends = [by_key[encode_base58(key)] for key in stretch]
        # Why loops are lost there has been said.
        if not any(node.trouble is not None and _matters(node) for node in ends):
            yield _loss(ends)
    if is_much(verdict.others):
        yield Problem(
            "loss",
            "network",
            f"{verdict.others.lost} of {verdict.others.sent} loops were lost, and nothing shows "
            "where",
            "check again: more loops may tell; nodes count what they drop, and why (status)",
        )
    if (latency := total.latency_ms) is None:
        return
    if latency > SLOW:
        yield Problem(
            "slow",
            "network",
            f"loops take {latency:.0f} ms longer than their delays",
            "is this machine's own connection slow? Otherwise nodes are overloaded",
        )
    for node in nodes:
        if node.latency_ms is not None and node.latency_ms > latency + SLOW:
            yield Problem(
                "slow",
                node.name,
                f"loops through it take {node.latency_ms:.0f} ms longer than their delays, and "
                f"{latency:.0f} ms altogether",
                "its machine or its connection is too slow: nym_node_lateness_seconds tells which",
            )


def _matters(node: NodeReport) -> bool:
    """Whether its trouble keeps somebody from using it.

    Others may have to reach it, and not this machine. Then loops come back through it.
    """
    is_for_clients = node.layer == 1 or node.clients_reached is False or node.registered is False
    return is_for_clients or node.loops_lost == node.loops_sent


def _useless(node: NodeReport, why: str) -> Problem:
    if node.reached and node.clients_reached is not False:
        return Problem("refuses_clients", node.name, why, "its log says why")
    return Problem(
        "unreachable",
        node.name,
        why,
        "does it run? Is its port open in the firewall, and forwarded to it? On its machine, "
        "nym-client check --id ID tells more",
    )


def _loss(ends: Sequence[NodeReport]) -> Problem:
    if len(ends) == 1:
        (node,) = ends
        return Problem(
            "loses_packets",
            node.name,
            f"loses packets: {node.loops_lost} of {node.loops_sent} loops through it were lost",
            "its status and its log say what it drops, and why. If it drops them on purpose, take "
            "it out of the network",
        )
    before, behind = ends
    return Problem(
        "broken_link",
        before.name,
        f"its packets don't reach {behind.name}",
        "can its machine connect there? A firewall, or an address that only some can reach, may be "
        "in the way",
    )


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
