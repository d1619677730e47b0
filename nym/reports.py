"""What people and programs are told of the network."""

from collections.abc import Sequence

from nym.judge import PROVIDERS, Judgement
from nym.topology import Topology
from nym.wire.requests import LeftOut, NetworkReport

_MOST_REASONS = 5  # that are told in a sentence; others are summed up


def network_report(topology: Topology | None, judgement: Judgement, layers: int) -> NetworkReport:
    """Of the network in use, if there is one, and of what is listed now."""
    widths = judgement.widths()
    return {
        "layers": [widths[number] for number in range(1, layers + 1)]
        if topology is None
        else [len(layer) for layer in topology.layers],
        "providers": widths[PROVIDERS] if topology is None else len(topology.providers),
        "left_out": left_out(judgement),
        "digest": topology and topology.digest(),
    }


def left_out(judgement: Judgement) -> list[LeftOut]:
    """How many records don't count, and why, the most frequent reason first."""
    return [{"nodes": count, "why": why} for why, count in judgement.left_out.most_common()]


def describe_left_out(left_out: Sequence[LeftOut]) -> str:
    """The same as a part of a sentence; empty where all count."""
    told, others = left_out[:_MOST_REASONS], left_out[_MOST_REASONS:]
    texts = [f"{some['nodes']} node{'s' * (some['nodes'] > 1)} {some['why']}" for some in told]
    if others:
        texts.append(f"{sum(some['nodes'] for some in others)} for other reasons")
    return ", ".join(texts)
