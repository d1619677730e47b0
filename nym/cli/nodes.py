"""The size of a network, for people."""

from nym.reports import describe_left_out
from nym.wire.requests import NetworkReport


def network_rows(network: NetworkReport | None) -> list[tuple[str, str]]:
    """What people want to know of its size, with names for it."""
    if network is None:
        return [("network", "not known yet")]
    rows = [("network", size(network)), ("view", network["digest"] or "none that can be used")]
    if why := describe_left_out(network["left_out"]):
        rows.append(("left out", why))
    return rows


def size(network: NetworkReport) -> str:
    """How many nodes there are of each kind."""
    layers, providers = ", ".join(map(str, network["layers"])), network["providers"]
    return f"layers of {layers} mixnodes, {providers} provider{'' if providers == 1 else 's'}"
