"""Simulates the loops of a client through a network and a provider, in simulated time.

Nothing sleeps, and the randomness is seeded, so hours pass in moments and runs are repeatable.
"""

from random import Random
from zlib import crc32

from nym.backlog import Backlog
from nym.loops import USUAL, Loops, Outlook
from nym.topology import Mix
from nym.wire.addresses import NodeAddress

# Seconds until a loop counts as overdue; most are back in the `usual` part of that (nym.loops).
PATIENCE = 18.0
USUALLY = PATIENCE * USUAL


def mix(key: bytes) -> Mix:
    """A mixnode with this key."""
    return Mix(NodeAddress("10.0.0.1", 1789), key)


ROUTE = tuple(mix(key) for key in (b"a", b"b", b"c"))


class Way:
    """A network and a provider through which a client sends four loops per second, on average.

    A pull brings up to five messages, and pulls bring up to `pull` messages per second. `order` is
    the order in which the provider hands over what waits: "kept" (as it came), "newest" (first),
    "hashed" (always the same, but unrelated to time) or "any" (random). Strangers send `others`
    messages per second. `loss` is the share of loops that are lost; while `is_cut`, all are.
    """

    def __init__(self, seed: int = 1, order: str = "kept", pull: float = 12.5) -> None:
        self.loops = Loops(PATIENCE)
        self.backlog = Backlog(self.loops, 5 / pull)
        self.random = Random(seed)
        self.now = 0.0
        self.loss = 0.0
        self.others = 0.0
        self.is_cut = False
        self.lost: list[float] = []
        self._order, self._pull = order, 5 / pull
        self._number = 0
        # At the provider: when each message arrives there, and the loop's name, if it is a loop.
        self._waiting: list[tuple[float, bytes | None]] = []
        self._loop_at = self._other_at = self._pull_at = 0.0

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        self._other_at = max(self._other_at, self.now)
        while True:
            other_at = self._other_at if self.others else float("inf")
            self.now = min(self._loop_at, other_at, self._pull_at)
            if self.now >= end:
                self.now = end
                break
            if self.now == self._pull_at:
                self._pull_at += self._pull
                self.pull()
            elif self.now == self._loop_at:
                self._loop_at += self.random.expovariate(4.0)
                self._send_loop()
            else:
                self._other_at += self.random.expovariate(self.others)
                self._waiting.append((self.now, None))

    def _send_loop(self) -> None:
        self._number += 1
        name = self._number.to_bytes(8, "big")
        assert self.loops.sent(name, ROUTE, self.now)
        if self.is_cut or self.random.random() < self.loss:
            self.lost.append(self.now)
        else:
            # Three mixnodes, each with an exponential delay of 0.1 s on average.
            self._waiting.append((self.now + self.random.gammavariate(3, 0.1), name))

    def pull(self) -> None:
        there = [message for message in self._waiting if message[0] <= self.now]
        if self._order == "kept":
            there.sort(key=lambda message: message[0])
        elif self._order == "newest":
            there.sort(key=lambda message: -message[0])
        elif self._order == "hashed":
            there.sort(key=lambda message: crc32(repr(message).encode()))
        else:
            self.random.shuffle(there)
        for message in there[:5]:
            self._waiting.remove(message)
            if message[1] is not None:
                self.loops.returned(message[1], self.now)
        is_drained = len(there) < 5
        self.loops.pulled(self.now, is_drained=is_drained)
        self.backlog.pulled(min(5, len(there)), self.now, is_drained=is_drained)

    @property
    def waiting(self) -> int:
        """How many messages wait at the provider."""
        return sum(at <= self.now for at, _ in self._waiting)

    @property
    def outlook(self) -> Outlook:
        return self.loops.outlook(self.now)
