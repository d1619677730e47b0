"""Which mixnodes lose packets or refuse them, so that routes leave them out for a while.

The evidence is what the client sends anyway: a loop, cover to itself, comes back or is lost, and a
first hop takes a packet or refuses it. Nothing is sent in order to test a node.

**Loops.** Sixty that left one after another are an epoch, judged when each is back or overdue. For
every mixnode the epoch's loops through it are held against the others, which had the same line, the
same provider and the same minute: an outage, or a backlog at the provider, takes both alike and
tells nothing. How much more likely the losses are if the node drops packets than if it doesn't is
added, as a logarithm, to the node's score, which never falls below zero (a CUSUM test). At a
threshold the node is avoided. Three rules save good nodes from that:

- What the others lost is only an estimate of what is usual. It is taken a little too high, as if
  one more had been lost, and the epoch weighs less the fewer others there were: nothing, when every
  loop went through the node.
- One epoch adds half of the threshold at most, so one bad moment convicts nobody.
- Only the worst is convicted at a time. The epoch is then judged again without the loops through
  it, as those that it dropped were lost to other nodes as well.

After ten minutes an avoided node is used again like any other and by all traffic, with a score
half-way to the threshold. If it is convicted again before it behaved for as long as it was avoided,
the time doubles. When nothing of an epoch comes back, nobody is avoided any longer: those that were
taken for good may be the bad ones.

**Refusals.** A first hop that refuses twice in a row, while another takes a packet in between, is
avoided for half a minute, doubling while it goes on. When all refuse, it is our own line.

An adversary may drop packets, or have others seem to, so that routes are pushed to its own nodes;
hence at most half of a layer is left out, whatever the evidence.
"""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from itertools import chain
from math import log
from typing import NamedTuple

from nym.loops import Loop, Loops
from nym.topology import Mix, ProviderNode, Topology
from nym.wire.addresses import NodeAddress

# At the default rates an epoch takes a quarter of a minute.
EPOCH = 60

# The share of its packets that a bad node is supposed to drop; about half of that is noticed.
DROPPED = 0.3

# Good nodes at the default rates get there less than once in a thousand hours, bad ones in minutes.
THRESHOLD = 16.0

# Seconds for which a node is avoided, at first and at most.
LOSSY = (600.0, 4 * 3600.0)
REFUSING = (30.0, 600.0)

# Seconds after which the last that was heard of a node is forgotten.
MEMORY = 24 * 3600.0


class Avoided(NamedTuple):
    """A node that is left out, and for how long still."""

    node: Mix
    why: str
    seconds: float


class Health:
    """What is known of the mixnodes. A loop that takes longer than `patience` seconds is late."""

    def __init__(self, patience: float) -> None:
        self.loops = Loops(patience)
        self._patience = patience
        self._epochs: deque[list[Loop]] = deque()
        self._scores: dict[Mix, _Score] = {}
        self._lossy = _Avoidance(*LOSSY)
        self._refused_at: dict[Mix, float] = {}
        self._last_was_accepted = False
        self.refused_since: float | None = None  # no node took a packet since then
        self._refusing = _Avoidance(*REFUSING)
        self._mixnodes: frozenset[Mix] = frozenset()
        self._place: tuple[bytes, NodeAddress] | None = None

    def sent(self, name: bytes, route: Sequence[Mix], now: float) -> None:
        """A loop was taken by its first hop; `route` is its mixnodes."""
        self._judge_settled(now)
        loop = self.loops.sent(name, route, now)
        if loop is None:
            return
        if not self._epochs or len(self._epochs[-1]) == EPOCH:
            self._epochs.append([])
        self._epochs[-1].append(loop)

    def follow(
        self, topology: Topology, provider: ProviderNode | None, *, was_unknown: bool
    ) -> None:
        """The network is this now, and this one our provider.

        `was_unknown`: for some time nobody said what it is. Losses to nodes that went away then
        say nothing of those that are there; nor do those of another network.
        """
        mixnodes = frozenset(node for layer in topology.layers for node in layer)
        is_explained = was_unknown or mixnodes.isdisjoint(self._mixnodes)
        gone = self._mixnodes - mixnodes if is_explained else frozenset()
        place = provider and (provider.public_key, provider.address)
        is_provider_new = self._place is not None and place != self._place
        if gone or is_provider_new:
            self.loops.moved(gone, is_provider_new=is_provider_new)
        self._mixnodes, self._place = mixnodes, place

    def refused(self, node: Mix, now: float) -> None:
        """`node` did not take a packet as a first hop."""
        # Another node took it: had this one, then its earlier refusal would be forgotten.
        if node in self._refused_at and self._last_was_accepted:
            self._refusing.begin(node, now)
        self._last_was_accepted = False
        if self.refused_since is None:
            self.refused_since = now
        self._refused_at = {n: at for n, at in self._refused_at.items() if now - at < MEMORY}
        self._refused_at[node] = now

    def accepted(self, node: Mix, now: float) -> None:
        """`node` took a packet as a first hop."""
        self._last_was_accepted = True
        self.refused_since = None
        if self._refused_at.pop(node, None) is not None:
            self._refusing.forget(node)

    def avoided(self, now: float) -> dict[Mix, Avoided]:
        """The nodes that routes should leave out for now; `usable` keeps that within bounds."""
        self._judge_settled(now)
        avoided: dict[Mix, Avoided] = {}
        for why, avoidance in (("drops packets", self._lossy), ("refuses", self._refusing)):
            for node, end in avoidance.until(now).items():
                if node not in avoided or avoided[node].seconds < end - now:
                    avoided[node] = Avoided(node, why, end - now)
        return avoided

    def usable(self, layer: Sequence[Mix], now: float) -> list[Mix]:
        """`layer` without its avoided nodes, or without those of them that are away for longest."""
        avoided = self.avoided(now)
        here = [node for node in layer if node in avoided]
        here.sort(key=lambda node: avoided[node].seconds, reverse=True)
        left_out = set(here[: len(layer) // 2])
        return [node for node in layer if node not in left_out]

    def _judge_settled(self, now: float) -> None:
        while self._epochs and self._is_settled(self._epochs[0], now):
            epoch = [loop for loop in self._epochs.popleft() if not loop.is_void]
            if any(loop.is_back for loop in epoch):
                self._judge(epoch, now)
            elif len(epoch) == EPOCH:
                self._lossy.forget_all()

    def _is_settled(self, epoch: list[Loop], now: float) -> bool:
        is_overdue = now - epoch[-1].sent_at > self._patience + self.loops.lag
        return len(epoch) == EPOCH and (is_overdue or all(loop.is_back for loop in epoch))

    def _judge(self, epoch: list[Loop], now: float) -> None:
        while True:
            avoided = self._lossy.until(now).keys()
            scores = dict(
                self._new_scores([loop for loop in epoch if avoided.isdisjoint(loop.route)])
            )
            worst = max(scores, key=scores.__getitem__, default=None)
            if worst is None or scores[worst] < THRESHOLD:
                break
            self._scores[worst] = _Score(THRESHOLD / 2, self._lossy.begin(worst, now))
        self._scores |= {node: _Score(score, now) for node, score in scores.items()}
        self._scores = {
            node: score
            for node, score in self._scores.items()
            if score.value and now - score.time < MEMORY
        }

    def _new_scores(self, loops: list[Loop]) -> Iterator[tuple[Mix, float]]:
        """The scores of the nodes that are, or were, suspect; all others' stay at zero."""
        lost = [loop for loop in loops if not loop.is_back]
        uses = Counter(chain.from_iterable(loop.route for loop in loops))
        losses = Counter(chain.from_iterable(loop.route for loop in lost))
        for node in uses:
            if node not in losses and node not in self._scores:
                continue
            evidence = log_likelihood_ratio(
                uses[node], losses[node], len(loops) - uses[node], len(lost) - losses[node]
            )
            score = self._scores[node].value if node in self._scores else 0.0
            yield node, max(0.0, score + min(evidence, THRESHOLD / 2))


def log_likelihood_ratio(uses: int, losses: int, other_uses: int, other_losses: int) -> float:
    """How much more is lost through a node than elsewhere: above 0 speaks against the node.

    Where p0 is the usual loss, a node that drops the share s of its packets has a loss of
    p1 = p0 + (1 - p0) s. Then ln(p1 / p0) and ln((1 - p1) / (1 - p0)) are what is added below for
    each loop that is lost and for each that comes back.
    """
    usual = (other_losses + 1) / (other_uses + 1)
    per_loss = log(1 + DROPPED * (1 / usual - 1))
    per_return = log(1 - DROPPED)
    # For two normal means, one of them estimated from the others, this weight makes the expected
    # likelihood ratio of a good node 1, as if the usual loss were known.
    weight = other_uses / (uses + other_uses)
    return weight * (losses * per_loss + (uses - losses) * per_return)


class _Score(NamedTuple):
    value: float
    time: float


class _Avoidance:
    """Nodes that are left out for a time: `first` seconds, doubling to `longest` with relapses.

    A relapse is one within as many seconds after the end as the node was left out for.
    """

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._terms: dict[Mix, _Term] = {}

    def until(self, now: float) -> dict[Mix, float]:
        """The nodes that are left out now, and until when."""
        return {node: term.end for node, term in self._terms.items() if now < term.end}

    def begin(self, node: Mix, now: float) -> float:
        """Leave `node` out from now on, unless it is already. Gives when that ends."""
        self._terms = {n: term for n, term in self._terms.items() if now < term.end + term.seconds}
        last = self._terms.get(node)
        if last is None or last.end <= now:
            seconds = min(self._longest, last.seconds * 2) if last else self._first
            self._terms[node] = _Term(now + seconds, seconds)
        return self._terms[node].end

    def forget(self, node: Mix) -> None:
        """`node` is as good as new."""
        self._terms.pop(node, None)

    def forget_all(self) -> None:
        """All of them are as good as new."""
        self._terms.clear()


class _Term(NamedTuple):
    end: float
    seconds: float
