"""What loops, the cover that a client sends to itself, show of the way through the network.

A loop that isn't back is lost, or still on its way, or waits at the provider behind any number of
messages from others. So no loop is judged before it is **due**, which means: it is back by now
unless it was lost. There are two ways to know this. If a pull has brought all that waited (the
provider had to fill its answer up), then loops that left long enough ago are due. During a backlog,
no pull brings everything. But if the provider keeps the order of messages, all loops are due that
left before the one that comes out now. Published providers don't keep the order; with them, nothing
is known during a backlog.

A loop is **void** if it says nothing about the network: it was under way while pulls failed, while
the process stood still, or while a node had a new key that the client didn't know yet. It is void
even if it came back. If only the lost ones were void, the network would look better than it is.

The way is **dead** when LEAST loops in a row didn't come back. Then messages wait. Loops that leave
in the meantime are **probes**: they show when the way works again, and aren't counted in the loss.

Not knowing has a limit, DOUBT. Otherwise a stranger who keeps up a backlog could decide how long
messages wait.
"""

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence
from itertools import chain
from math import inf
from typing import NamedTuple

from nym.topology import Mix

# The loss is the share of lost loops among the last RECENT ones, and unknown for fewer than LEAST.
RECENT = 500
LEAST = 20

# Loops that are remembered at most, however long a backlog lasts: this bounds memory.
MOST = 10_000

# Loops before and after a packet, each, that show whether the network carried the packet.
NEAR = 5

# The part of `patience` in which a loop is usually back, if it doesn't wait at the provider.
USUAL = 1 / 3

# Seconds for which a known loss still counts while nothing newer is known.
STALE = 600.0

# Seconds after which the client decides although nothing is known.
DOUBT = 120.0

# Seconds; longer than a loop waits at a provider that keeps ten thousand messages.
LONGEST_BACKLOG = 3600.0

# Seconds without a pull, or without a loop, after which the silence of recipients says nothing.
# Reliable messages wait as long anyway, so shorter pauses make no difference to them.
LONG_PAUSE = 120.0


class Outlook(NamedTuple):
    """What a packet that leaves now can expect.

    `is_dead`: no loop comes back any more, although pulls work. Messages that nobody acknowledges
    should wait, because they would be lost. The cover that is sent instead shows when the network
    works again.

    `loss`: the expected share of lost packets. None means that too little is known yet, as after a
    start. This lasts at most DOUBT seconds while loops are sent; after that, the loss counts as
    1.0, the worst. During a backlog, the loss from before it counts, for STALE seconds.
    """

    is_dead: bool
    loss: float | None


class Loop:
    """A loop that was sent. `route` has its mixnodes, `delays` the seconds that each kept it.

    `own` is the reply address that it went to, or empty: the client's main one.
    """

    __slots__ = (
        *("delays", "is_back", "is_counted", "is_probe", "is_void", "name", "own", "route"),
        "sent_at",
    )

    def __init__(
        self,
        name: bytes,
        route: tuple[Mix, ...],
        sent_at: float,
        delays: tuple[float, ...] = (),
        own: bytes = b"",
    ) -> None:
        self.name = name
        self.own = own
        self.route = route
        self.delays = delays
        self.sent_at = sent_at
        self.is_back = self.is_void = self.is_probe = False
        self.is_counted = False  # whether it is in `Loops._counted`


class Loops:
    """The loops of one client. After `patience` seconds, a loop is overdue.

    Clock readings are passed in, and never go backwards.
    """

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self.usual = patience * USUAL
        # How many there were, by the own address that they went to.
        self.sent_to: Counter[bytes] = Counter()
        self.returned_to: Counter[bytes] = Counter()
        # By own address: loops to it that left before this are due.
        self._until: dict[bytes, float] = {}
        self._loops: list[Loop] = []  # in the order in which they left
        self._due = 0  # how many of them, from the first on, are due
        self._out: dict[bytes, Loop] = {}  # those that aren't back
        self._counted: deque[Loop] = deque()  # those that the loss is computed from
        self._lost = 0  # how many of these aren't back
        self._unserved_since = inf  # when a pull last succeeded, while none does
        self.open_since = -inf  # when answers could arrive again, after LONG_PAUSE without any
        self._returned_at = -inf  # when a loop last came back
        self.alive_since = -inf  # when a loop last came back after a dead time
        self._silent = 0  # due loops that left after the last return, and aren't back
        self._silent_from: float | None = None  # when the first loop left after the last return
        # By own address: the last loops that came back since nothing more waited for it, with their
        # seconds on the way.
        self._came: dict[bytes, deque[tuple[Loop, float]]] = {}
        self._times: deque[float] = deque(maxlen=RECENT)  # seconds that the last loops took
        self.last: tuple[Loop, float] | None = None  # that came back, and the seconds it took

    @property
    def sent_count(self) -> int:
        """How many loops were sent."""
        return self.sent_to.total()

    @property
    def returned_count(self) -> int:
        """How many came back."""
        return self.returned_to.total()

    @property
    def is_served(self) -> bool:
        """Whether pulls succeed."""
        return self._unserved_since == inf

    def sent(
        self,
        name: bytes,
        route: Sequence[Mix],
        now: float,
        delays: Sequence[float] = (),
        own: bytes = b"",
    ) -> Loop | None:
        """Note that the first hop took a loop to an own address.

        Returns None if that loop is under way already.
        """
        self.sent_to[own] += 1
        if self._silent_from is None:
            self._silent_from = now
        if name in self._out:
            return None
        loop = Loop(name, tuple(route), now, tuple(delays), own)
        # While pulls fail, no loop can come back, whatever the network does with it.
        loop.is_void, loop.is_probe = not self.is_served, self.is_dead
        self._out[name] = loop
        self._loops.append(loop)
        if len(self._loops) > MOST:
            self._forget(MOST // 10)  # many at once: deleting at the front moves the whole list
        return loop

    def returned(self, name: bytes, now: float) -> bool:
        """Note that a loop came back. False if the client wasn't waiting for it."""
        loop = self._out.pop(name, None)
        if loop is None:
            return False
        self.returned_to[loop.own] += 1
        loop.is_back = True
        self.last = loop, now - loop.sent_at
        self._lost -= loop.is_counted
        if self.is_dead:
            self.alive_since = now
            if self._silent_from is not None and now - self._silent_from > LONG_PAUSE:
                self.open_since = now
        self._returned_at, self._silent, self._silent_from = now, 0, None
        if not loop.is_void:
            self._times.append(now - loop.sent_at)
            came = self._came.setdefault(loop.own, deque(maxlen=LEAST))
            came.append((loop, now - loop.sent_at))
            if self._came_in_order(came):
                # What left before the latest of these is out of the backlog, or lost.
                latest = max(loop.sent_at for loop, _ in came)
                self._account(loop.own, latest - self.usual, now)
        return True

    def pulled(self, now: float, *, is_drained: bool, own: bytes = b"") -> None:
        """Note that a pull for an own address succeeded. `is_drained`: nothing more waits for it.

        Call `returned` for the loops that it brought first, or they would count as lost.
        """
        if now - self._unserved_since > LONG_PAUSE:
            self.open_since = now
        self._unserved_since = inf
        if is_drained:
            self._came.pop(own, None)
            self._account(own, now - self.usual, now)
        elif own:
            self.disregard(own, now)

    def unserved(self, since: float) -> None:
        """Note that no pull has succeeded since then.

        Loops that were under way then are void, and so are those that leave until a pull succeeds.
        """
        if self.is_served:
            self._unserved_since = since
            self._make_void(lambda loop: loop.sent_at >= since - self.usual)

    def disregard(self, own: bytes, now: float) -> None:
        """Make the loops void that are under way to a reply address, or waited there until now.

        That is for one that has ended, whose pull failed, or that has a backlog. The directory
        lists such addresses, and whoever fills one must not see the effect in what the client sends
        from another one: neither must its loops count, nor must others wait for them.
        """
        since = self._until.get(own, -inf)
        self._make_void(lambda loop: loop.own == own and loop.sent_at >= since)
        self._came.pop(own, None)
        self._account(own, now, now)

    def moved(self, gone: frozenset[Mix], *, is_provider_new: bool) -> None:
        """Note that the mixnodes in `gone` have left, or that the provider has a new key or place.

        Nobody knows since when. When the last loop came back, the provider was still the old one.
        """
        since = self._returned_at - self.usual if is_provider_new else inf
        self._make_void(
            lambda loop: loop.sent_at >= since or not gone.isdisjoint(loop.route),
        )

    def begin_anew(self) -> None:
        """Make all loops void: from now on, loops go another way, of which old ones say nothing."""
        self._make_void(lambda loop: True)
        self._out.clear()  # old loops that come late say nothing, either
        self._silent_from = None

    def loses(self, share: float, now: float) -> bool:
        """Whether pulls work, and at least this share of the loops is lost just now.

        During a backlog, that can't be known. But no loop waits longer than LONGEST_BACKLOG. If a
        provider delivers many messages, but no loop for that long, it feigns a backlog.
        """
        if not self.is_served:
            return False
        loss = self.loss(now)
        return self.is_dead or self.is_feigned(now) or (loss is not None and loss >= share)

    def is_feigned(self, now: float) -> bool:
        """Whether no loop has come back for longer than any backlog can take."""
        return self._silent_from is not None and now - self._silent_from > LONGEST_BACKLOG

    @property
    def is_dead(self) -> bool:
        """Whether no loop comes back any more; see Outlook."""
        return self._silent >= LEAST

    @property
    def silent_since(self) -> float | None:
        """When the first loop left after the last return; None if no loop has left since."""
        i = bisect_left(self._loops, self._returned_at, key=_sent_at)
        return self._loops[i].sent_at if i < len(self._loops) else None

    @property
    def lag(self) -> float:
        """The most seconds that a loop took of those that now come out of a backlog."""
        came = chain.from_iterable(self._came.values())
        return max((seconds for _, seconds in came), default=0.0)

    @property
    def age(self) -> float:
        """The median of the seconds that loops took that now come out of the main backlog."""
        ages = sorted(seconds for _, seconds in self._came.get(b"", ()))
        return ages[len(ages) // 2] if ages else 0.0

    def waiting(self, now: float) -> float:
        """About how many loops wait for the main address: those that aren't back, less the lost."""
        first = (loop for loop in self._loops[self._due :] if not loop.own)
        # Loops that left just now are still on their way through the network.
        away = [loop for loop in first if not loop.is_void and loop.sent_at < now - self.usual / 2]
        lost = len(away) * (self.loss(now) or 0.0)
        return max(0.0, sum(not loop.is_back for loop in away) - lost)

    def loss(self, now: float) -> float | None:
        """The share of lost loops among the last RECENT ones; None while too little is known."""
        if len(self._counted) < LEAST or now - self._counted[-1].sent_at > STALE:
            return None
        return self._lost / len(self._counted)

    def loss_since(self, at: float) -> float | None:
        """The share of lost loops among those that left since `at`; None while too few are due."""
        left = self._loops[bisect_left(self._loops, at, key=_sent_at) : self._due]
        known = [loop for loop in left if not loop.is_void]
        if len(known) < LEAST:
            return None
        return sum(not loop.is_back for loop in known) / len(known)

    def by_node(self) -> dict[Mix, tuple[int, int]]:
        """(how many went through it, how many of these were lost), of those in the loss."""
        through = Counter(node for loop in self._counted for node in loop.route)
        lost = Counter(node for loop in self._counted if not loop.is_back for node in loop.route)
        return {node: (count, lost[node]) for node, count in through.items()}

    def outlook(self, now: float) -> Outlook:
        """What a packet that leaves now can expect."""
        loss = self.loss(now)
        if loss is None and self._is_doubtful(now):
            loss = 1.0
        return Outlook(self.is_dead, loss)

    def was_carried(self, at: float, now: float) -> bool | None:
        """Whether the network carried packets at `at`, as loops just before and after show.

        None means not known yet. After DOUBT seconds, what nobody knows counts as carried.
        """
        i = bisect_left(self._loops, at, key=_sent_at)
        # An outage just before or after the packet may include it, so neither side may be lost. And
        # the loops after it decide: those before say nothing about an outage that began in between.
        sides = (
            self._were_carried(max(0, i - NEAR), i),
            self._were_carried(i, i + NEAR),
        )
        if False in sides:
            return False
        return sides[1] or (True if now - at > DOUBT else None)

    def loop_time(self) -> float | None:
        """The median of the seconds that the last loops took; None while too few came back."""
        if len(self._times) < LEAST:
            return None
        return sorted(self._times)[len(self._times) // 2]

    def _were_carried(self, start: int, end: int) -> bool | None:
        loops = self._loops[start:end]
        if any(loop.is_back for loop in loops):
            return True
        is_known = end <= self._due and sum(not loop.is_void for loop in loops) == NEAR
        return False if is_known else None

    def _is_doubtful(self, now: float) -> bool:
        """Whether a loop left more than DOUBT seconds ago and isn't due yet."""
        first = self._loops[self._due : self._due + 1]
        return bool(first) and now - first[0].sent_at > DOUBT

    def _came_in_order(self, came: Collection[tuple[Loop, float]]) -> bool:
        """Whether the last loops waited at the provider, and it keeps the order of messages.

        If it keeps no order, some of those that come out have hardly waited, or have overtaken
        others.
        """
        if len(came) < LEAST or min(seconds for _, seconds in came) < self.usual:
            return False
        latest = -inf
        for loop, _ in came:
            latest = max(latest, loop.sent_at)
            if loop.sent_at < latest - self.usual:
                return False
        return True

    def _account(self, own: bytes, until: float, now: float) -> None:
        """Count the loops to an own address that left before `until` as due; forget old ones.

        Loops become due in the order in which they left, so one waits for those before it to other
        addresses. Each address is pulled in its turn, so that isn't for long.
        """
        self._until[own] = max(until, self._until.get(own, -inf))
        while self._due < len(self._loops):
            loop = self._loops[self._due]
            if loop.sent_at >= self._until.get(loop.own, -inf):
                break
            self._due += 1
            self._silent += self._is_silent(loop)
            if not loop.is_void and not loop.is_probe:
                self._count(loop)
        self._forget(bisect_left(self._loops, now - 2 * DOUBT, hi=self._due, key=_sent_at))

    def _is_silent(self, loop: Loop) -> bool:
        return not loop.is_void and not loop.is_back and loop.sent_at > self._returned_at

    def _count(self, loop: Loop) -> None:
        loop.is_counted = True
        self._counted.append(loop)
        self._lost += not loop.is_back
        if len(self._counted) > RECENT:
            oldest = self._counted.popleft()
            oldest.is_counted = False
            self._lost -= not oldest.is_back

    def _make_void(self, is_void: Callable[[Loop], bool]) -> None:
        # The sums below are computed again, because loops that became void may be in them.
        for loop in self._loops:
            loop.is_void |= is_void(loop)
            loop.is_counted &= not loop.is_void
        self._counted = deque(loop for loop in self._counted if loop.is_counted)
        self._lost = sum(not loop.is_back for loop in self._counted)
        self._silent = sum(self._is_silent(loop) for loop in self._loops[: self._due])

    def _forget(self, count: int) -> None:
        """Forget the first `count` loops, which are too old to matter."""
        for loop in self._loops[:count]:
            self._out.pop(loop.name, None)
        del self._loops[:count]
        self._due = max(0, self._due - count)


def _sent_at(loop: Loop) -> float:
    return loop.sent_at
