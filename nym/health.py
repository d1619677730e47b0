"""Which mixnodes lose packets or refuse them, so that routes leave them out for a while.

The evidence comes from what the client sends anyway. A loop (cover to itself) comes back or is
lost, and a first hop takes a packet or refuses it. Nothing is sent in order to test a node. A
mixnode is identified by its key and its address together, so a record with the same key at another
address does the node no harm. When it takes another key at its address, everything that is known
about it goes on under that key: otherwise a node could drop packets for ever, with a new key for
each evening.

**Loops.** Sixty loops that left one after another are an epoch. It is judged when each of them is
back or overdue. For every mixnode, the epoch's loops through it are compared with the others. These
had the same internet connection, the same provider and the same minute, so an outage, or a backlog
at the provider, affects both groups alike and says nothing about the node. The comparison gives a
log-likelihood ratio: how much more likely the losses are if the node drops packets than if it
doesn't. It is added to the node's score, which never falls below zero (a CUSUM test). From a
threshold on, the node is suspect. Three rules protect good nodes:

- The loss of the other loops is only an estimate of the usual loss. It is taken a little too high,
  as if one more had been lost. The fewer other loops there were, the less the epoch counts; it
  counts nothing if every loop went through the node.
- One epoch adds at most half of the threshold, so one bad moment convicts nobody.
- Only the worst suspect is convicted at a time. Then the epoch is judged again without the loops
  through it, because the loops that it dropped were also lost to the other nodes of their routes.

**Who else may be to blame.**

- *The neighbours of a suspect.* It is convicted only if it looks bad without its worst neighbours,
  too: see nym.evidence.
- *The provider.* It is the only neighbour behind the last layer, so it can't be left out in the
  same way. Either a node drops packets, or the provider drops what that node brings: both explain
  the losses equally well. For several nodes, the provider is the better explanation. As hypotheses,
  k bad nodes cost k thresholds, one each. A provider that picks on k of n nodes costs one
  threshold, plus ln C(n, k) for the choice, which is less from k = 2 on. The provider can't see
  earlier layers. So if two or more nodes of the last layer look bad, and no earlier layer has as
  many bad nodes, the provider is suspect. Then no node of the last layer is avoided for losses.

**How many may be avoided.** The packets of a node that is left out go to the others of its layer.
In the last layer, where nobody can be sure who lost a packet, no node's share may grow by more than
a TENTH. So of ten nodes, nine packets of ten leave a suspect out; of two nodes, one packet of ten
does. In the other layers, fewer than half are left out: one of three, none of two. Nodes that
refuse packets get none anyway, so leaving them out gives the others nothing more. At most half of a
layer is left out for refusing.

After ten minutes, routes use an avoided node again like any other, with all traffic. Its score then
starts half-way to the threshold. If it is convicted again before it has behaved for as long as it
was avoided, the time doubles. If nothing of an epoch comes back, no node is avoided for losses any
longer, because those that seemed good may be the bad ones.

**Refusals.** A first hop that refuses twice in a row, while another one takes a packet in between,
is avoided for half a minute. The time doubles while that goes on. If all first hops refuse, the
reason is probably the client's own internet connection, so none is avoided.
"""

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from itertools import chain
from math import inf
from random import Random
from typing import Any, NamedTuple

from nym.avoidance import Avoidance
from nym.evidence import THRESHOLD, is_proven, layer_of, log_likelihood_ratio, widths_of
from nym.loops import Loop, Loops
from nym.topology import Mix, Nodes, ProviderNode, Topology
from nym.wire.addresses import NodeAddress

# Loops that are judged together. At the default rates they take a quarter of a minute.
EPOCH = 60

# The latest loops, used to tell a suspect from its neighbours: five minutes at the default rates.
REMEMBERED = 20 * EPOCH

# By how much the share of a node in the last layer may grow, relative to itself.
TENTH = 0.1

# Seconds for which a node is avoided, at first and at most.
LOSSY = (600.0, 4 * 3600.0)
REFUSING = (30.0, 600.0)

# Seconds after which scores and refusals of a node that isn't heard of any more are forgotten.
MEMORY = 24 * 3600.0

PROVIDER_SUSPECT = (
    "provider: it seems to drop packets: those from several nodes of the last layer are lost"
)
LAST = -1  # layers are counted from the end
DROPS, REFUSES = "drops packets", "refuses packets"


class Avoided(NamedTuple):
    """A node that is left out, and for how many seconds more."""

    node: Mix
    why: str
    seconds: float


class Health:
    """What is known of the mixnodes. A loop is overdue after `patience` seconds.

    Clock readings are passed in. Nothing here does I/O or starts a timer.
    """

    def __init__(self, patience: float) -> None:
        self.loops = Loops(patience)
        self._patience = patience
        self._epochs: deque[list[Loop]] = deque()
        self._judged: deque[Loop] = deque(maxlen=REMEMBERED)
        self._scores: dict[Mix, _Score] = {}
        # The nodes avoided for losses, with their layers counted from the end: -1 is the last.
        self._convicted: dict[Mix, int | None] = {}
        self._provider_suspect_until = -inf
        self._lossy = Avoidance(*LOSSY)
        self._refused_at: dict[Mix, float] = {}
        self._last_was_accepted = False
        self.refused_since: float | None = None  # since when no node has taken a packet
        self._refusing = Avoidance(*REFUSING)
        self._mixnodes: frozenset[Mix] = frozenset()
        self._place: tuple[bytes, NodeAddress] | None = None

    def sent(
        self,
        name: bytes,
        route: Sequence[Mix],
        now: float,
        delays: Sequence[float] = (),
        own: bytes = b"",
    ) -> None:
        """Note that the first hop of a loop has taken it.

        `route` has the loop's mixnodes, `delays` the seconds for which they keep it, and `own` the
        reply address that it goes to, or nothing: the main one.
        """
        self._judge_settled(now)
        loop = self.loops.sent(name, route, now, delays, own)
        if loop is None:
            return
        if not self._epochs or len(self._epochs[-1]) == EPOCH:
            self._epochs.append([])
        self._epochs[-1].append(loop)

    def follow(
        self, topology: Topology, provider: ProviderNode | None, *, was_unknown: bool
    ) -> None:
        """Use this network and this provider from now on.

        `was_unknown`: for some time, no directory said what the network is. Nodes may have gone in
        that time, and losses through them say nothing about those that remain. The same holds if
        this is a different network.
        """
        mixnodes = frozenset(node for layer in topology.layers for node in layer)
        self._take_over_keys(mixnodes)
        is_explained = was_unknown or mixnodes.isdisjoint(self._mixnodes)
        gone = self._mixnodes - mixnodes if is_explained else frozenset()
        place = provider and (provider.public_key, provider.address)
        is_provider_new = self._place is not None and place != self._place
        if gone or is_provider_new:
            self.loops.moved(gone, is_provider_new=is_provider_new)
        self._mixnodes, self._place = mixnodes, place

    def _take_over_keys(self, mixnodes: frozenset[Mix]) -> None:
        """Go on with what is known about nodes that have other keys now."""
        old = {node.address: node for node in self._mixnodes - mixnodes}
        new = {old[node.address]: node for node in mixnodes - self._mixnodes if node.address in old}
        if not new:
            return
        for loop in chain(self._judged, *self._epochs):
            loop.route = tuple(new.get(node, node) for node in loop.route)
        for known in (self._scores, self._convicted, self._refused_at):
            _rename(known, new)
        for avoidance in (self._lossy, self._refusing):
            avoidance.rename(new)
        self._mixnodes = frozenset(new.get(node, node) for node in self._mixnodes)

    def refused(self, node: Mix, now: float) -> None:
        """Note that `node`, as first hop, refused a packet."""
        # Since this node's earlier refusal, a packet was accepted. It was another node's: if this
        # node had accepted one, `accepted` would have forgotten the refusal.
        if node in self._refused_at and self._last_was_accepted:
            self._refusing.begin(node, now)
        self._last_was_accepted = False
        if self.refused_since is None:
            self.refused_since = now
        self._refused_at = {n: at for n, at in self._refused_at.items() if now - at < MEMORY}
        self._refused_at[node] = now

    def accepted(self, node: Mix, now: float) -> None:
        """Note that `node`, as first hop, took a packet."""
        self._last_was_accepted = True
        self.refused_since = None
        if self._refused_at.pop(node, None) is not None:
            self._refusing.forget(node)

    def avoided(self, now: float) -> dict[Mix, Avoided]:
        """The nodes that routes should avoid now. `usable` limits how many really are left out."""
        self._judge_settled(now)
        avoided: dict[Mix, Avoided] = {}
        for why, avoidance in ((DROPS, self._lossy), (REFUSES, self._refusing)):
            for node, end in avoidance.until(now).items():
                # If a node is avoided for both reasons, the one that lasts longer counts.
                if node not in avoided or avoided[node].seconds < end - now:
                    avoided[node] = Avoided(node, why, end - now)
        return avoided

    def usable(self, layers: Sequence[Nodes[Mix]], now: float, random: Random) -> list[Nodes[Mix]]:
        """The layers to draw one packet's route from, without nodes that it should avoid."""
        avoided = self.avoided(now)
        if not avoided:
            return list(layers)
        *before, last = layers
        # In earlier layers, fewer than half of the nodes are left out for losses.
        usable = [_without(layer, avoided, (len(layer) - 1) // 2) for layer in before]
        return [*usable, _without(last, avoided, _most_of_the_last(len(last), random))]

    def is_provider_suspect(self, now: float) -> bool:
        """Whether the provider is the likely reason for losses behind the last layer."""
        self._judge_settled(now)
        return now < self._provider_suspect_until

    def _judge_settled(self, now: float) -> None:
        while self._epochs and self._is_settled(self._epochs[0], now):
            epoch = [loop for loop in self._epochs.popleft() if not loop.is_void]
            if any(loop.is_back for loop in epoch):
                self._judge(epoch, now)
            elif len(epoch) == EPOCH:
                # Nothing came back: those that were avoided may be the good ones.
                self._lossy.forget_all()

    def _is_settled(self, epoch: list[Loop], now: float) -> bool:
        # During a backlog, loops come back later by the time that they wait at the provider.
        is_overdue = now - epoch[-1].sent_at > self._patience + self.loops.lag
        return len(epoch) == EPOCH and (is_overdue or all(loop.is_back for loop in epoch))

    def _judge(self, epoch: list[Loop], now: float) -> None:
        self._judged.extend(epoch)
        # Each conviction takes loops out of the epoch, so the scores are computed again from those
        # before this epoch, until nobody is convicted.
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
        """The new scores of nodes that lost a loop or had a score; those of others stay zero."""
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
            # Bounded, so that the score of a suspect that can't be convicted doesn't pile up.
            yield node, _Score(min(value, 2 * THRESHOLD), now, before.since)

    def _worst_of(self, scores: dict[Mix, "_Score"], now: float) -> Mix | None:
        """The suspect with the highest score that looks bad without its worst neighbours, too."""
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
            # While the provider is suspect, losses behind the last layer convict no node.
            if layer not in widths or (layer == LAST and now < self._provider_suspect_until):
                continue
            if is_proven(node, layer, recent, widths):
                return node
        return None

    def _convict(self, node: Mix, now: float) -> None:
        # When it is used again, its score starts half-way to the threshold: if it still drops
        # packets, half of the evidence is enough.
        end = self._lossy.begin(node, now)
        self._scores[node] = _Score(THRESHOLD / 2, end, end)
        bad = self._lossy.until(now).keys()
        self._convicted = {n: layer for n, layer in self._convicted.items() if n in bad}
        self._convicted[node] = layer_of(node, self._judged)
        in_last = Counter(self._convicted.values())[LAST]
        if in_last >= 2 and in_last > self._most_in_earlier_layers():
            self._suspect_provider(now)

    def _most_in_earlier_layers(self) -> int:
        """The highest number of nodes that seem bad in one of the layers before the last one."""
        # Nodes count from half of the threshold on: those that aren't convicted yet, but may soon
        # be, already speak for bad nodes instead of a bad provider.
        likely = {n for n, score in self._scores.items() if score.value >= THRESHOLD / 2}
        layers = self._convicted | {
            n: layer_of(n, self._judged) for n in likely - self._convicted.keys()
        }
        counts = Counter(layer for layer in layers.values() if layer not in (None, LAST))
        return max(counts.values(), default=0)

    def _suspect_provider(self, now: float) -> None:
        """Suspect the provider, and acquit the nodes of the last layer."""
        self._provider_suspect_until = now + LOSSY[0]
        for node in [node for node, layer in self._convicted.items() if layer == LAST]:
            self._lossy.forget(node)
            self._scores.pop(node, None)
            del self._convicted[node]


def _rename(known: dict[Mix, Any], new: dict[Mix, Mix]) -> None:
    for before, after in new.items():
        if before in known:
            known[after] = known.pop(before)


def _without(layer: Nodes[Mix], avoided: dict[Mix, Avoided], most_lossy: int) -> Nodes[Mix]:
    """`layer` without its avoided nodes, within the limits. Those avoided for longest go first.

    Nodes that refuse packets are left out first, up to half of the layer. Nodes that drop packets
    are left out as long as the total is below `most_lossy`.
    """
    here = [one for node, one in avoided.items() if node in layer]
    here.sort(key=lambda one: one.seconds, reverse=True)
    refusing = [one.node for one in here if one.why == REFUSES]
    lossy = [one.node for one in here if one.why == DROPS]
    left_out = set(refusing[: len(layer) // 2])
    left_out.update(lossy[: max(0, most_lossy - len(left_out))])
    return layer.without(frozenset(left_out))


def _most_of_the_last(size: int, random: Random) -> int:
    """How many nodes of the last layer one packet may leave out.

    If the share q of all packets leaves out m of n nodes, the share of each other node grows from
    1/n to q / (n - m) + (1 - q) / n. That is a growth by a TENTH if q = TENTH (n - m) / m.
    """
    most = max(1, int(size * TENTH / (1 + TENTH)))
    return most if random.random() < TENTH * (size - most) / most else 0


def _sent_at(loop: Loop) -> float:
    return loop.sent_at


class _Score(NamedTuple):
    value: float
    time: float
    since: float  # when the first loop left that counts in it
