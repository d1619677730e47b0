"""What a simulation has found."""

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import TypeVar

from benchmarks.network.scenario import Scenario

Number = TypeVar("Number", int, float)


def quantile(values: Sequence[Number], share: float) -> Number:
    """The smallest value that is not below this share of all of them."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass
class Result:
    """Times are in seconds, entropy in bits.

    `latencies` are from the application's `send` to the recipient's inbox, of messages that were
    written while the simulation measured. `later` is how many are not among them because they were
    still under way at the end: they took longer than all others. `waits` are how long packets would
    have waited for a station's processor at some moments, and `held` how many packets were in a
    mixnode then. `fates` counts what became of packets: "arrived", or why they were lost.
    """

    scenario: Scenario
    written: int = 0
    later: int = 0
    latencies: "array[float]" = field(default_factory=lambda: array("d"))
    waits: dict[str, "array[float]"] = field(
        default_factory=lambda: {"mixnode": array("d"), "provider": array("d")}
    )
    held: "array[int]" = field(default_factory=lambda: array("L"))
    fates: Counter[str] = field(default_factory=Counter)
    entropies: list[float] = field(default_factory=list)
    routes: int = 0
    dishonest_routes: int = 0

    def latency(self, share: float) -> float:
        """The latency that this share of the messages that arrived does not exceed."""
        arriving = len(self.latencies) + self.later
        return quantile(self.latencies, share * arriving / len(self.latencies))

    @property
    def lost_messages(self) -> float:
        """The share of messages that did not arrive."""
        return 1 - (len(self.latencies) + self.later) / self.written

    @property
    def lost_packets(self) -> float:
        """The share of packets that a mixnode took, and that did not reach a provider."""
        return 1 - self.fates["arrived"] / self.fates.total()

    def queue(self, kind: str, share: float) -> float:
        """How many packets wait for a station of this kind, at this share of all moments."""
        each = self.scenario.hop_cost if kind == "mixnode" else self.scenario.put_cost
        return quantile(self.waits[kind], share) / each

    def held_at(self, share: float) -> int:
        """How many packets are in a mixnode, at this share of all moments."""
        return quantile(self.held, share)

    @property
    def dishonest_share(self) -> float:
        """The share of packets whose route had dishonest mixnodes alone."""
        return self.dishonest_routes / self.routes

    @property
    def mean_wait(self) -> float:
        """Of a packet for a mixnode's processor."""
        return fmean(self.waits["mixnode"])

    @property
    def anonymity(self) -> float:
        """The mean entropy of who could have sent a packet."""
        return fmean(self.entropies)
