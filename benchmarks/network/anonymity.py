"""The clients that could have sent a packet, if an observer sees all lines and some mixnodes.

Loopix (Piotrowska and others, USENIX Security 2017, section 4.1.3) has this observer, and the
theorem behind everything here: delays are exponential, so they have no memory, and each packet in a
mixnode is equally likely to be the next one that leaves, whenever it came. The anonymity of a
packet is the entropy, in bits, of the probabilities that it came from each client: n clients that
are equally likely give log2(n).

What is done here for a whole network goes back in time from the packet that leaves the mixnodes,
because the same theorem holds there, too: whatever leaves a mixnode with n packets inside is each
of them with the probability 1/n, so the packet that came last is it with 1/n of what is still open.
A dishonest mixnode tells which packet became which.

This is about one packet. An observer who has weeks, and a client that writes to the same client
again and again, are another matter (docs/scale.md).
"""

from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence
from math import log2

OUT, LOST = -1, -2  # where packets go that don't go to a mixnode: to a provider, or nowhere
ENOUGH = 1e-4  # of the probability may stay open where a record begins


def outside(client: int) -> int:
    """The number of a client among origins, and the client with that number."""
    return -1 - client


class Record:
    """Which packet went from where to where, in order: all that the observer sees.

    Mixnodes have the numbers from 0 on, and clients negative ones (`outside`). `inside` has how
    many packets each mixnode had at first.
    """

    def __init__(self, inside: Sequence[int]) -> None:
        self._inside = list(inside)
        self._packets = array("I")
        self._origins, self._ends = array("i"), array("i")

    def __len__(self) -> int:
        return len(self._packets)

    def moved(self, packet: int, origin: int, end: int) -> None:
        """A packet went from a client or a mixnode to a mixnode, OUT, or LOST."""
        self._packets.append(packet)
        self._origins.append(origin)
        self._ends.append(end)
        if origin >= 0:
            self._inside[origin] -= 1
        if end >= 0:
            self._inside[end] += 1

    def last_out(self, number: int, last_layer: Iterable[int]) -> list[int]:
        """Where in the record up to `number` packets left the last layer, the latest first."""
        last = frozenset(last_layer)
        found: list[int] = []
        for at in range(len(self) - 1, -1, -1):
            if len(found) == number:
                break
            if self._ends[at] == OUT and self._origins[at] in last:
                found.append(at)
        return found

    def senders(self, at: int, dishonest: frozenset[int] = frozenset()) -> dict[int, float]:
        """{client: the probability that it sent the packet that left there}.

        They add up to 1, less ENOUGH at most, if the record goes back far enough.
        """
        open_at, inside = defaultdict[int, float](float), self._inside_at(at)
        known: dict[int, float] = {}  # of packets in dishonest mixnodes
        senders = defaultdict[int, float](float)
        still_open = 1.0
        for i in range(at, -1, -1):
            packet, origin, end = self._packets[i], self._origins[i], self._ends[i]
            if i == at:
                share = 1.0
            elif end < 0:
                share = 0.0
            elif end in dishonest:
                share = known.pop(packet, 0.0)
            else:
                share = open_at[end] / inside[end]
                open_at[end] -= share
                inside[end] -= 1
            if origin < 0:
                if share:
                    senders[outside(origin)] += share
                    still_open -= share
                    if still_open < ENOUGH:
                        break
            elif origin in dishonest:
                if share:
                    known[packet] = share
            else:
                open_at[origin] += share
                inside[origin] += 1
        return dict(senders)

    def _inside_at(self, at: int) -> list[int]:
        """How many packets each mixnode had after that move."""
        inside = self._inside.copy()
        for origin, end in zip(self._origins[at + 1 :], self._ends[at + 1 :], strict=True):
            if origin >= 0:
                inside[origin] += 1
            if end >= 0:
                inside[end] -= 1
        return inside


def entropy(probabilities: Iterable[float]) -> float:
    """In bits; what doesn't add up to 1 is scaled."""
    shares = [share for share in probabilities if share > 0]
    total = sum(shares)
    return sum(-share / total * log2(share / total) for share in shares)


class Pool:
    """The entropy of one mixnode, as the paper's Figure 4 has it, from moment to moment.

    An outgoing packet was one of the `old` ones, which have been inside since another one left,
    with the entropy of those, or one of the `new` ones, which are all alike.
    """

    def __init__(self) -> None:
        self._old = self._new = 0
        self._entropy = 0.0

    def enter(self) -> None:
        """A packet comes."""
        self._new += 1

    def leave(self) -> float:
        """A packet leaves; returns the entropy, in bits, of which one of those that came it is."""
        inside = self._old + self._new
        old, new = self._old / inside, self._new / inside
        self._entropy = entropy([old, new]) + old * self._entropy
        if self._new:
            self._entropy += new * log2(self._new)
        self._old, self._new = inside - 1, 0
        return self._entropy
