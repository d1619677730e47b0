"""The network in use, described for people and for programs."""

from collections import Counter
from collections.abc import Sequence

from nym.topology import Mix, ProviderNode, Topology
from nym.wire.keys import encode_base58
from nym.wire.reports import LeftOut, NetworkDetails, NetworkReport, NodeDetails

_MOST_REASONS = 5  # named in one sentence; the rest are counted together


def network_report(topology: Topology, digest: str, left_out: Counter[str]) -> NetworkReport:
    """How many nodes the network in use has, and how many records are left out."""
    return {
        "layers": [len(layer) for layer in topology.layers],
        "providers": len(topology.providers),
        "left_out": by_number(left_out),
        "digest": digest,
    }


def network_details(topology: Topology, digest: str, left_out: Counter[str]) -> NetworkDetails:
    """Every node of the network in use, and how many records are left out."""
    return NetworkDetails(
        [[node_details(node) for node in layer] for layer in topology.layers],
        [
            {
                **node_details(node),
                "client_address": str(node.client_address),
                "clients": len(node.clients),
            }
            for node in topology.providers
        ],
        by_number(left_out),
        digest,
    )


def by_number(left_out: Counter[str]) -> list[LeftOut]:
    """How many records are left out, and why. The most frequent reason comes first."""
    return [{"nodes": count, "why": why} for why, count in left_out.most_common()]


def describe_left_out(left_out: Sequence[LeftOut]) -> str:
    """The same as part of a sentence; empty if no record is left out."""
    told, others = left_out[:_MOST_REASONS], left_out[_MOST_REASONS:]
    texts = [f"{some['nodes']} node{'s' * (some['nodes'] > 1)} {some['why']}" for some in told]
    if others:
        texts.append(f"{sum(some['nodes'] for some in others)} for other reasons")
    return ", ".join(texts)


def node_details(node: Mix | ProviderNode) -> NodeDetails:
    """A node as reports show it."""
    return {"key": encode_base58(node.public_key), "address": str(node.address)}
