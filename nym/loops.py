"""What loops, the cover that the client sends itself, say of the way through the network.

A loop that isn't back is lost, or on its way, or waits at the provider, where any number of
messages may be before it: others decide how many come. So none counts before it is **due**. When a
pull has brought all that waited (the provider had to fill its answer up), what left long enough
before is there, or lost. Behind a backlog, when no pull does, order tells as well where the
provider keeps it: what left before that which comes out now is there, or lost. Published providers
keep none; with them, nothing is known meanwhile.

A loop is **void** if it says nothing of the network: it was under way while pulls failed, or the
process stood still, or while a node had a key that wasn't known yet. Whether it came back doesn't
matter: without the others, those that did would make the network look better than it is.

The way is **dead** when LEAST loops in a row didn't come back. Messages wait then. The loops that
leave meanwhile are **probes**: they show when that is over, and say nothing of messages.

Not to know has a bound, DOUBT: a stranger who keeps up a backlog would otherwise decide how long
messages wait.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence
from math import inf
from typing import NamedTuple

from nym.topology import Mix

# Loops that the share of losses is taken from, at most and at least.
RECENT = 500
LEAST = 20

# Loops that are remembered, behind a backlog of any length.
MOST = 10_000

# Loops on each side of a moment that tell whether what left then was carried.
NEAR = 5

# The part of the patience in which a loop is usually back, if it doesn't wait at the provider.
USUAL = 1 / 3

# Seconds for which a loss is reckoned with when nothing newer is known.
STALE = 600.0

# Seconds after which what can't be known is decided nevertheless.
DOUBT = 120.0

# Seconds, and more, that a loop waits at a provider which keeps ten thousand messages.
LONGEST_BACKLOG = 3600.0

# Seconds without a pull, or without a loop, after which the silence of recipients says nothing.
# Reliable messages wait as long anyway, so shorter pauses make no difference to them.
LONG_PAUSE = 120.0


class Outlook(NamedTuple):
    """What a packet that leaves now can expect.

    `is_dead`: no loop comes back any more, though pulls work. What nobody acknowledges should
    wait, as it would be lost. The cover that goes out in its place shows when that is over.

    `loss`: the share of packets to reckon with. None: too little is known yet, as after a start;
    that lasts for no longer than DOUBT seconds of sending loops. After that it is 1.0, the worst.
    Behind a backlog, what was known before it counts, for STALE seconds.
    """

    is_dead: bool
    loss: float | None


class Loop:
    """A loop that was sent; `route` is its mixnodes."""

    __slots__ = ("is_back", "is_counted", "is_probe", "is_void", "name", "route", "sent_at")

    def __init__(self, name: bytes, route: tuple[Mix, ...], sent_at: float) -> None:
        self.name = name
        self.route = route
        self.sent_at = sent_at
        self.is_back = self.is_void = self.is_probe = False
        self.is_counted = False  # in the share of losses


class Loops:
    """The loops of a client that is patient with each for `patience` seconds.

    Clock readings are passed in, and never go back.
    """

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self.usual = patience * USUAL
        self.sent_count = 0
        self.returned_count = 0
        self._loops: list[Loop] = []  # in the order in which they left
        self._due = 0  # so many of them are due
        self._out: dict[bytes, Loop] = {}  # those that aren't back
        self._counted: deque[Loop] = deque()
        self._lost = 0  # of those that are counted
        self.is_served = True  # pulls succeed
        self._unserved_since = inf  # the last pull that succeeded, while none does
        self.open_since = -inf  # when answers could come again, after LONG_PAUSE without any
        self._returned_at = -inf  # when one came back last
        self.alive_since = -inf  # when one came back that ended a dead time
        self._silent = 0  # that left since then, and should be back
        self._silent_from: float | None = None  # when the first left since then
        self._came: deque[tuple[Loop, float]] = deque(maxlen=LEAST)  # behind a backlog; after s
        self._times: deque[float] = deque(maxlen=RECENT)

    def sent(self, name: bytes, route: Sequence[Mix], now: float) -> Loop | None:
        """A loop was taken by its first hop; None if it is under way already."""
        self.sent_count += 1
        if self._silent_from is None:
            self._silent_from = now
        if name in self._out:
            return None
        loop = Loop(name, tuple(route), now)
        loop.is_void, loop.is_probe = not self.is_served, self.is_dead
        self._out[name] = loop
        self._loops.append(loop)
        if len(self._loops) > MOST:
            self._forget(MOST // 10)
        return loop

    def returned(self, name: bytes, now: float) -> bool:
        """A loop came back. False if it is none that was waited for."""
        loop = self._out.pop(name, None)
        if loop is None:
            return False
        self.returned_count += 1
        loop.is_back = True
        self._lost -= loop.is_counted
        if self.is_dead:
            self.alive_since = now
            if self._silent_from is not None and now - self._silent_from > LONG_PAUSE:
                self.open_since = now
        self._returned_at, self._silent, self._silent_from = now, 0, None
        if not loop.is_void:
            self._times.append(now - loop.sent_at)
            self._came.append((loop, now - loop.sent_at))
            if self._came_in_order():
                self._advance(max(loop.sent_at for loop, _ in self._came) - self.usual, now)
        return True

    def pulled(self, now: float, *, is_drained: bool) -> None:
        """A pull succeeded; `is_drained`: nothing else waits. What it brought has `returned`."""
        self.is_served = True
        if now - self._unserved_since > LONG_PAUSE:
            self.open_since = now
        self._unserved_since = inf
        if is_drained:
            self._came.clear()
            self._advance(now - self.usual, now)

    def unserved(self, since: float) -> None:
        """No pull has succeeded since then: what was under way is void, and so is what follows."""
        if self.is_served:
            self.is_served = False
            self._unserved_since = since
            self._make_void(lambda loop: loop.sent_at >= since - self.usual)

    def moved(self, gone: frozenset[Mix], *, is_provider_new: bool) -> None:
        """The network changed: the mixnodes in `gone` left, or the own provider has a new key.

        Nobody knows since when. While loops came back, it was as before.
        """
        since = self._returned_at - self.usual if is_provider_new else inf
        self._make_void(
            lambda loop: loop.sent_at >= since or not gone.isdisjoint(loop.route),
        )

    def begin_anew(self) -> None:
        """The loops go another way from now on: those that left say nothing of it."""
        self._make_void(lambda loop: True)
        self._out.clear()  # those that come late say nothing either
        self._silent_from = None

    def loses(self, share: float, now: float) -> bool:
        """Whether pulls work, and this share of the loops, or more, is lost just now.

        Behind a backlog that can't be known. But no loop waits for longer than LONGEST_BACKLOG:
        a provider that has brought none for that time, and messages in plenty, feigns a backlog.
        """
        if not self.is_served:
            return False
        loss = self.loss(now)
        return self.is_dead or self.is_feigned(now) or (loss is not None and loss >= share)

    def is_feigned(self, now: float) -> bool:
        """Whether none came back for longer than any backlog takes."""
        return self._silent_from is not None and now - self._silent_from > LONGEST_BACKLOG

    @property
    def is_dead(self) -> bool:
        """Whether no loop comes back any more; see Outlook."""
        return self._silent >= LEAST

    @property
    def silent_since(self) -> float | None:
        """When the first loop left of those since the last return; None where none is missing."""
        i = bisect_left(self._loops, self._returned_at, key=_sent_at)
        return self._loops[i].sent_at if i < len(self._loops) else None

    @property
    def lag(self) -> float:
        """The seconds that loops took, at most, which come out of a backlog now."""
        return max((seconds for _, seconds in self._came), default=0.0)

    @property
    def age(self) -> float:
        """The seconds that loops took, in the middle, which come out of a backlog now."""
        ages = sorted(seconds for _, seconds in self._came)
        return ages[len(ages) // 2] if ages else 0.0

    def waiting(self, now: float) -> float:
        """How many loops wait at the provider: they aren't back, and few of them are lost."""
        first = self._loops[self._due :]
        away = [loop for loop in first if not loop.is_void and loop.sent_at < now - self.usual / 2]
        lost = len(away) * (self.loss(now) or 0.0)
        return max(0.0, sum(not loop.is_back for loop in away) - lost)

    def loss(self, now: float) -> float | None:
        """The share of lost loops among the last ones; None while too little is known."""
        if len(self._counted) < LEAST or now - self._counted[-1].sent_at > STALE:
            return None
        return self._lost / len(self._counted)

    def loss_since(self, at: float) -> float | None:
        """The share that is lost of those that left since then; None while too few are due."""
        left = self._loops[bisect_left(self._loops, at, key=_sent_at) : self._due]
        known = [loop for loop in left if not loop.is_void]
        if len(known) < LEAST:
            return None
        return sum(not loop.is_back for loop in known) / len(known)

    def outlook(self, now: float) -> Outlook:
        """What a packet can expect that leaves now."""
        loss = self.loss(now)
        if loss is None and self._is_doubtful(now):
            loss = 1.0
        return Outlook(self.is_dead, loss)

    def was_carried(self, at: float, now: float) -> bool | None:
        """Whether what left at `at` had a way through the network, as loops before and after had.

        None: not known yet. After DOUBT seconds, what nobody can tell counts as carried.
        """
        i = bisect_left(self._loops, at, key=_sent_at)
        sides = (
            self._were_carried(max(0, i - NEAR), i),
            self._were_carried(i, i + NEAR),
        )
        if False in sides:
            return False
        return sides[1] or (True if now - at > DOUBT else None)

    def loop_time(self) -> float | None:
        """The median of how long the last loops took, in seconds; None while too few came back."""
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
        """Whether what left is not known for DOUBT seconds already."""
        first = self._loops[self._due : self._due + 1]
        return bool(first) and now - first[0].sent_at > DOUBT

    def _came_in_order(self) -> bool:
        """Whether the last loops waited at a provider that keeps the order.

        Where it keeps none, some of those that come out have hardly waited.
        """
        if len(self._came) < LEAST or min(seconds for _, seconds in self._came) < self.usual:
            return False
        latest = -inf
        for loop, _ in self._came:
            latest = max(latest, loop.sent_at)
            if loop.sent_at < latest - self.usual:
                return False
        return True

    def _advance(self, until: float, now: float) -> None:
        """What left before `until` is due."""
        while self._due < len(self._loops) and self._loops[self._due].sent_at < until:
            loop = self._loops[self._due]
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
        for loop in self._loops:
            loop.is_void |= is_void(loop)
            loop.is_counted &= not loop.is_void
        self._counted = deque(loop for loop in self._counted if loop.is_counted)
        self._lost = sum(not loop.is_back for loop in self._counted)
        self._silent = sum(self._is_silent(loop) for loop in self._loops[: self._due])

    def _forget(self, count: int) -> None:
        """The first ones are too old to matter."""
        for loop in self._loops[:count]:
            self._out.pop(loop.name, None)
        del self._loops[:count]
        self._due = max(0, self._due - count)


def _sent_at(loop: Loop) -> float:
    return loop.sent_at
