"""The nodes of a simulated network. Each works on one packet after the other, as they come."""

from array import array
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

from nym.wire.provider import MESSAGES_A_PULL

if TYPE_CHECKING:
    from benchmarks.network.traffic import Packet


class Station:
    """One processor, and a queue in front of it. Nothing of the queue has to be kept but its end.

    `work` is the processor time that it has been given.
    """

    def __init__(self) -> None:
        self._free_at = 0.0
        self.work = 0.0

    def serve(self, now: float, seconds: float) -> float:
        """The time when a packet that comes now, and takes this long, is done."""
        self._free_at = max(self._free_at, now) + seconds
        self.work += seconds
        return self._free_at

    def backlog(self, now: float) -> float:
        """Seconds of work that wait, which is how long a packet that came now would wait."""
        return max(0.0, self._free_at - now)

    def clear(self) -> None:
        """Forget what waits."""
        self._free_at = 0.0


class Mixnode(Station):
    """Holds each packet for its delay. `held` counts those that wait for their turn, too."""

    def __init__(self, number: int, *, is_dishonest: bool) -> None:
        super().__init__()
        self.number = number
        self.is_dishonest = is_dishonest
        self.held = 0
        self.away_since: float | None = None
        self.ends = 0  # how often it went away, with all that it held

    def leave(self, now: float) -> None:
        """Lose everything, and take nothing more."""
        self.clear()
        self.held = 0
        self.away_since = now
        self.ends += 1

    def come(self) -> None:
        """Be there again."""
        self.away_since = None


class Provider(Station):
    """Keeps packets until its clients pull, which they do in turn; `phases` says when in a period.

    `phases` has (seconds since the beginning of a period, client) in order.
    """

    def __init__(self, phases: Iterable[tuple[float, int]]) -> None:
        super().__init__()
        ordered = sorted(phases)
        self._phases = array("d", [phase for phase, _ in ordered])
        self._clients = array("L", [client for _, client in ordered])
        self._turn = 0
        self._boxes: dict[int, deque[Packet]] = {}

    @property
    def clients(self) -> int:
        """How many there are."""
        return len(self._clients)

    def next_pull(self, period: float) -> tuple[float, int]:
        """(when, who) of the next pull, if each client pulls every `period` seconds."""
        periods, index = divmod(self._turn, len(self._clients))
        self._turn += 1
        return (periods + self._phases[index]) * period, self._clients[index]

    def put(self, packet: "Packet") -> None:
        """Keep a packet for its recipient."""
        self._boxes.setdefault(packet.recipient, deque()).append(packet)

    def take(self, client: int) -> list["Packet"]:
        """Hand over what one pull brings."""
        box = self._boxes.get(client)
        if box is None:
            return []
        taken = [box.popleft() for _ in range(min(len(box), MESSAGES_A_PULL))]
        if not box:
            del self._boxes[client]
        return taken
