"""Describes the size of a network in words, for several commands."""

from collections.abc import Iterable, Mapping
from typing import Any

from nym.reports import describe_left_out
from nym.wire.reports import NetworkReport
from nym.wire.text import visible


def directory_row(report: Mapping[str, Any]) -> tuple[str, str]:
    """The row about the directory that a client uses; `report` is its status or its network."""
    return "directory", f"{visible(report['directory'])}, {verified(report['directory_verified'])}"


def verified(is_verified: bool) -> str:
    """Whether a key that the settings name has signed what a directory lists, in words."""
    return "verified by its key" if is_verified else "not verified"


def network_rows(network: NetworkReport | None) -> list[tuple[str, str]]:
    """The rows of a table about the network's size: (name, text)."""
    if network is None:
        return [("network", "not known yet")]
    rows = [
        ("network", size(network["layers"], network["providers"])),
        ("view", network["digest"] or "none: no network can be used"),
    ]
    if why := describe_left_out(network["left_out"]):
        rows.append(("left out", why))
    return rows


def size(layers: Iterable[int], providers: int) -> str:
    """How many mixnodes there are in each of these layers, and how many providers."""
    widths = ", ".join(map(str, layers))
    return f"layers of {widths} mixnodes, {providers} provider{'' if providers == 1 else 's'}"
