"""What a check found, as it is printed for programs (docs/monitoring.md, "A whole network")."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from nym.wire.reports import LeftOut

Kind = Literal[
    "directory_unusable",
    "directory_differs",
    "clock",
    "incomplete",
    "left_out",
    "unreachable",
    "missing",
    "unplanned",
    "unlike_plan",
    "refuses_clients",
    "old_key",
    "loses_packets",
    "broken_link",
    "loss",
    "slow",
]


class DirectoryReport(NamedTuple):
    """What is known of a directory. `trouble` is why nothing that it lists counts, or None.

    `verified` is None if no key was given. `clock_off` is how many seconds its clock is ahead of
    this machine's; None if that isn't known. `digest` is that of the network that it lists.
    """

    url: str
    trouble: str | None
    verified: bool | None = None
    clock_off: float | None = None
    digest: str | None = None


class NodeReport(NamedTuple):
    """What is known of a node: what its record says, what was tried, and what its loops show.

    Only providers have the fields from `client_address` to `registered`; only mixnodes a `layer`.
    `key_age` is how long a node has had its key, in seconds; None if it doesn't tell.
    `trouble` is why it can't be reached, or serves no clients. `latency_ms` is the median by which
    its loops took longer than their delays; None without any.
    """

    role: str
    layer: int | None
    key: str
    address: str
    version: str | None
    identity: str | None
    key_age: float | None
    reached: bool
    client_address: str | None = None
    clients_reached: bool | None = None
    sealed_line: bool | None = None
    registered: bool | None = None
    trouble: str | None = None
    loops_sent: int = 0
    loops_lost: int = 0
    latency_ms: float | None = None

    @property
    def name(self) -> str:
        """What people call it."""
        return node_name(self.role, self.layer, self.address)


def node_name(role: str, layer: int | None, address: str) -> str:
    """What people call a node."""
    return f"{role} {address}{f' in layer {layer}' if layer else ''}"


class Problem(NamedTuple):
    """One thing that is wrong: with what, what was found, and what to do.

    `kind` is a word that programs can compare. While a problem lasts, it and `about` stay.
    """

    kind: Kind
    about: str
    found: str
    advice: str


class CheckReport(NamedTuple):
    """All that one check found. `began` is in seconds since 1970, `took` in seconds.

    `layers` has the number of mixnodes in each layer. `whole` says whether clients can use the
    network.
    """

    began: float
    took: float
    directories: list[DirectoryReport]
    problems: list[Problem]
    whole: bool = False
    layers: Sequence[int] = ()
    providers: int = 0
    left_out: Sequence[LeftOut] = ()
    loops_sent: int = 0
    loops_lost: int = 0
    latency_ms: float | None = None
    nodes: Sequence[NodeReport] = ()

    @property
    def is_reachable(self) -> bool:
        """Whether a directory could be used."""
        return any(directory.trouble is None for directory in self.directories)

    def as_json(self) -> dict[str, Any]:
        """The report as a JSON object."""
        return {
            "ok": not self.problems,
            **self._asdict(),
            "directories": [directory._asdict() for directory in self.directories],
            "nodes": [node._asdict() for node in self.nodes],
            "problems": [problem._asdict() for problem in self.problems],
        }
