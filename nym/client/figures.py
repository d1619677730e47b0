"""A client's figures for Prometheus, made from its status report.

Other programs of this machine can read them, and somebody may keep them for years. So packets are
not told apart: how many of them carry messages is what cover hides. What waits in the outbox and
the inbox has to be here, because messages are lost when they are full.
"""

from collections import Counter
from typing import get_args

from nym.wire.metrics import Family, counter, counters, gauge, gauges, info
from nym.wire.reports import BacklogReport, NetworkReport, State, StatusReport, TempoReport


def figures(report: StatusReport) -> list[Family]:
    """All figures that Prometheus gets."""
    mixnodes, providers, left_out = _nodes(report.network)
    return [
        info("nym_client_info", "What runs here.", {"version": report.version}),
        gauges(
            "nym_client_state",
            "1 for the state that the client is in.",
            "state",
            {state: int(state == report.state) for state in get_args(State)},
        ),
        gauge(
            "nym_client_provider_sealed",
            "1 while the client speaks with its provider on a sealed line.",
            int(report.provider_sealed),
        ),
        gauge("nym_client_outbox_messages", "Messages that wait to be sent.", report.outbox),
        gauge("nym_client_inbox_messages", "Messages that wait to be fetched.", report.inbox),
        gauge("nym_client_partial_messages", "Messages that lack fragments.", report.partial),
        gauge("nym_client_failed_messages", "Messages that were given up.", len(report.failed)),
        counters(
            "nym_client_inbox_refused_total",
            "How often a message found no room in the inbox.",
            "sender",
            Counter(report.inbox_refused),
        ),
        counters(
            "nym_client_partial_given_up_total",
            "Messages that were given up incomplete.",
            "sender",
            Counter(report.partial_given_up),
        ),
        counter(
            "nym_client_plain_refused_total",
            "Messages without a seal that the settings refuse.",
            report.plain_refused,
        ),
        gauge(
            "nym_client_backlog_messages",
            "About how many messages wait at the provider because more comes than is pulled.",
            _backlog(report.backlog),
        ),
        counter(
            "nym_client_packets_sent_total",
            "Packets that a mixnode took, whatever they carry.",
            report.packets_real + report.packets_cover,
        ),
        gauge(
            "nym_client_packet_rate_ratio",
            "The share of the packets that the settings ask for, less than 1 on a slow machine.",
            _tempo(report.tempo),
        ),
        counter("nym_client_loops_sent_total", "Loops that left.", report.loops_sent),
        counter("nym_client_loops_returned_total", "Loops that came back.", report.loops_returned),
        gauge("nym_client_loop_time_seconds", "The median of the last loops.", report.loop_time),
        gauge("nym_client_loss_ratio", "The share of loops that don't come back.", report.loss),
        gauge(
            "nym_client_avoided_mixnodes",
            "Mixnodes that are left out for a while.",
            len(report.avoided_nodes),
        ),
        gauge("nym_client_mixnodes", "Mixnodes in the network.", mixnodes),
        gauge("nym_client_providers", "Providers in the network.", providers),
        gauge("nym_client_left_out_nodes", "Nodes that are listed, and don't count.", left_out),
    ]


def _nodes(network: NetworkReport | None) -> tuple[int, int, int]:
    if network is None:
        return 0, 0, 0
    left_out = sum(group["nodes"] for group in network["left_out"])
    return sum(network["layers"]), network["providers"], left_out


def _tempo(tempo: TempoReport | None) -> float:
    return tempo["possible"] / tempo["asked"] if tempo else 1.0


def _backlog(backlog: BacklogReport | None) -> int | None:
    return backlog["messages"] if backlog else 0
