"""Which mixnodes lose packets or refuse them, so that routes leave them out for a while.

The evidence is what the client sends anyway: a loop, cover to itself, comes back or is lost, and a
first hop takes a packet or refuses it. Nothing is sent in order to test a node. A mixnode is its
key and its address together: what is said of one place harms no other with the same key.

**Loops.** Sixty that left one after another are an epoch, judged when each is back or overdue. For
every mixnode the epoch's loops through it are held against the others, which had the same line, the
same provider and the same minute: an outage, or a backlog at the provider, takes both alike and
tells nothing. How much more likely the losses are if the node drops packets than if it doesn't is
added, as a logarithm, to the node's score, which never falls below zero (a CUSUM test). From a
threshold on the node is suspect. Three rules save good nodes from that:

- What the others lost is only an estimate of what is usual. It is taken a little too high, as if
  one more had been lost, and the epoch weighs less the fewer others there were: nothing, when every
  loop went through the node.
- One epoch adds half of the threshold at most, so one bad moment convicts nobody.
- Only the worst is convicted at a time. The epoch is then judged again without the loops through
  it, as those that it dropped were lost to other nodes as well.

**Who else it could be.**

- *Its neighbours*, unless it looks bad without the worst of them, too: see nym.evidence.
- *The provider* is the only one behind the last layer, so nothing is left without it: that it
  drops what one node brings, and that the node does, explain the losses equally well. For more of
  them, the provider does. As hypotheses, k bad nodes cost k thresholds, one each, and a provider
  that chose k of n nodes costs one, and ln C(n, k) for the choice: that is less from k = 2 on. So
  unless an earlier layer, which the provider can't see, has as many bad nodes, two at once are the
  provider's doing. Then none of the last layer is avoided for losses; the provider is suspect.

**How many.** The share of a node that is left out goes to the others. In the last layer, where it
is never sure who lost a packet, no share may grow by more than a TENTH: of ten nodes, a suspect is
left out by nine packets of ten; of two, by one of ten. In the other layers, fewer than half are
left out: one of three, none of two. Nodes that refuse get no packets anyway, so leaving them out
gives others nothing. Of them, half of a layer is left out at most.

After ten minutes an avoided node is used again like any other and by all traffic, with a score
half-way to the threshold. If it is convicted again before it behaved for as long as it was avoided,
the time doubles. When nothing of an epoch comes back, nobody is avoided any longer: those that were
taken for good may be the bad ones.

**Refusals.** A first hop that refuses twice in a row, while another takes a packet in between, is
avoided for half a minute, doubling while it goes on. When all refuse, it is our own line.
"""

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from itertools import chain
from math import inf
from random import Random
from typing import NamedTuple

from nym.avoidance import Avoidance
from nym.evidence import THRESHOLD, is_proven, layer_of, log_likelihood_ratio, widths_of
from nym.loops import Loop, Loops
from nym.topology import Mix, ProviderNode, Topology
from nym.wire.addresses import NodeAddress

# At the default rates an epoch takes a quarter of a minute.
EPOCH = 60

# The latest loops, in which neighbours are told apart: five minutes' at the default rates.
REMEMBERED = 20 * EPOCH

# What a share in the last layer may grow by, as a part of itself.
TENTH = 0.1

# Seconds for which a node is avoided, at first and at most.
LOSSY = (600.0, 4 * 3600.0)
REFUSING = (30.0, 600.0)

# Seconds after which the last that was heard of a node is forgotten.
MEMORY = 24 * 3600.0

PROVIDER_SUSPECT = (
    "provider: what several nodes of the last layer bring doesn't come back: it seems to drop it"
)
LAST = -1  # layers are counted from the end
DROPS, REFUSES = "drops packets", "refuses"


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
        self._judged: deque[Loop] = deque(maxlen=REMEMBERED)
        self._scores: dict[Mix, _Score] = {}
        # And their layers, from the end: -1 is the last.
        self._convicted: dict[Mix, int | None] = {}
        self._provider_suspect_until = -inf
        self._lossy = Avoidance(*LOSSY)
        self._refused_at: dict[Mix, float] = {}
        self._last_was_accepted = False
        self.refused_since: float | None = None  # no node took a packet since then
        self._refusing = Avoidance(*REFUSING)
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
        """The nodes that packets should not go to for now; `usable` keeps that within bounds."""
        self._judge_settled(now)
        avoided: dict[Mix, Avoided] = {}
        for why, avoidance in ((DROPS, self._lossy), (REFUSES, self._refusing)):
            for node, end in avoidance.until(now).items():
                if node not in avoided or avoided[node].seconds < end - now:
                    avoided[node] = Avoided(node, why, end - now)
        return avoided

    def usable(
        self, layers: Sequence[Sequence[Mix]], now: float, random: Random
    ) -> list[list[Mix]]:
        """The layers for one packet, without the nodes that it should not go to."""
        avoided = self.avoided(now)
        *before, last = layers
        usable = [_without(layer, avoided, (len(layer) - 1) // 2) for layer in before]
        return [*usable, _without(last, avoided, _most_of_the_last(len(last), random))]

    def is_provider_suspect(self, now: float) -> bool:
        """Whether what is lost behind the last layer is the provider's doing."""
        self._judge_settled(now)
        return now < self._provider_suspect_until

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
        self._judged.extend(epoch)
        while True:
            avoided = self._lossy.until(now).keys()
            scores = dict(
                self._new_scores([loop for loop in epoch if avoided.isdisjoint(loop.route)], now)
            )
            worst = self._worst_of(scores, now)
            if worst is None:
                break
            self._convict(worst, now)
        self._scores |= scores
        self._scores = {
            node: score
            for node, score in self._scores.items()
            if score.value and now - score.time < MEMORY
        }

    def _new_scores(self, loops: list[Loop], now: float) -> Iterator[tuple[Mix, "_Score"]]:
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
            before = self._scores.get(node) or _Score(0.0, now, loops[0].sent_at)
            value = max(0.0, before.value + min(evidence, THRESHOLD / 2))
            # What can't be proven is not to pile up.
            yield node, _Score(min(value, 2 * THRESHOLD), now, before.since)

    def _worst_of(self, scores: dict[Mix, "_Score"], now: float) -> Mix | None:
        """Of those that are suspect, the worst that looks bad without its worst neighbours, too."""
        suspects = [node for node in scores if scores[node].value >= THRESHOLD]
        if not suspects:
            return None
        suspects.sort(key=lambda node: scores[node].value, reverse=True)
        avoided = self._lossy.until(now).keys()
        loops = [
            loop for loop in self._judged if not loop.is_void and avoided.isdisjoint(loop.route)
        ]
        widths = widths_of(loops)
        for node in suspects:
            recent = loops[bisect_left(loops, scores[node].since, key=_sent_at) :]
            layer = layer_of(node, recent)
            if layer not in widths or (layer == LAST and now < self._provider_suspect_until):
                continue
            if is_proven(node, layer, recent, widths):
                return node
        return None

    def _convict(self, node: Mix, now: float) -> None:
        end = self._lossy.begin(node, now)
        self._scores[node] = _Score(THRESHOLD / 2, end, end)
        bad = self._lossy.until(now).keys()
        self._convicted = {n: layer for n, layer in self._convicted.items() if n in bad}
        self._convicted[node] = layer_of(node, self._judged)
        in_last = Counter(self._convicted.values())[LAST]
        if in_last >= 2 and in_last > self._most_in_earlier_layers():
            self._suspect_provider(now)

    def _most_in_earlier_layers(self) -> int:
        """How many nodes of a layer before the last one seem bad, at most."""
        likely = {n for n, score in self._scores.items() if score.value >= THRESHOLD / 2}
        layers = self._convicted | {
            n: layer_of(n, self._judged) for n in likely - self._convicted.keys()
        }
        counts = Counter(layer for layer in layers.values() if layer not in (None, LAST))
        return max(counts.values(), default=0)

    def _suspect_provider(self, now: float) -> None:
        """Nobody of the last layer is to blame for what was lost there."""
        self._provider_suspect_until = now + LOSSY[0]
        for node in [node for node, layer in self._convicted.items() if layer == LAST]:
            self._lossy.forget(node)
            self._scores.pop(node, None)
            del self._convicted[node]


def _without(layer: Sequence[Mix], avoided: dict[Mix, Avoided], most_lossy: int) -> list[Mix]:
    """`layer` without its avoided nodes, or without those of them that are away for longest."""
    here = [avoided[node] for node in layer if node in avoided]
    here.sort(key=lambda one: one.seconds, reverse=True)
    refusing = [one.node for one in here if one.why == REFUSES]
    lossy = [one.node for one in here if one.why == DROPS]
    left_out = set(refusing[: len(layer) // 2])
    left_out.update(lossy[: max(0, most_lossy - len(left_out))])
    return [node for node in layer if node not in left_out]


def _most_of_the_last(size: int, random: Random) -> int:
    """How many nodes of the last layer one packet may leave out.

    With m of n left out by the share q of all packets, another one's share of them grows from 1/n
    to q / (n - m) + (1 - q) / n: by a TENTH where q = TENTH (n - m) / m.
    """
    most = max(1, int(size * TENTH / (1 + TENTH)))
    return most if random.random() < TENTH * (size - most) / most else 0


def _sent_at(loop: Loop) -> float:
    return loop.sent_at


class _Score(NamedTuple):
    value: float
    time: float
    since: float  # when the first loop left that it is made of
