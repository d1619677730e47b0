"""What is on its way through a simulated network."""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from benchmarks.network.stations import Mixnode


class Message:
    """A message of an application. Whether it is `measured` depends on when it was written."""

    __slots__ = (
        "has_arrived",
        "is_acknowledged",
        "is_measured",
        "recipient",
        "sender",
        "tries",
        "written_at",
    )

    def __init__(self, sender: int, recipient: int, now: float, *, is_measured: bool) -> None:
        self.sender, self.recipient, self.written_at = sender, recipient, now
        self.is_measured = is_measured
        self.has_arrived = self.is_acknowledged = False
        self.tries = 0


class Content(NamedTuple):
    """A message, or the acknowledgement of it, which goes back to its sender."""

    message: Message
    is_answer: bool


class Packet:
    """A packet on its way: at `route[hop]`, or behind the mixnodes.

    `ends` is how often that mixnode had gone away before the packet came: if it has done so since
    then, the packet is lost. A packet without content is cover, which the provider keeps or drops.
    """

    __slots__ = ("content", "ends", "hop", "is_drop", "number", "recipient", "route")

    def __init__(
        self,
        number: int,
        recipient: int,
        route: "list[Mixnode]",
        content: Content | None,
        *,
        is_drop: bool,
    ) -> None:
        self.number, self.recipient, self.route, self.content = number, recipient, route, content
        self.is_drop = is_drop
        self.hop = self.ends = 0
