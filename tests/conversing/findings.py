"""What was seen of clients that converse beside what was seen of others, and whether it differs."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from nym.statistics import same_distribution, same_shares
from tests.conversing.seen import Inbox, Line, Seen, Visit

# A difference that is as large in one of so many runs, for each comparison, is no accident.
LEAST_P = 1e-4
LONG = 10.0  # seconds in each of which packets are counted
SOON = (
    2.0  # seconds after a program's message came or went in which its client's packets are counted
)


Pair = tuple[str, str]  # the names of two clients
Kind = Callable[[Visit], str]


class Finding(NamedTuple):
    """One comparison: `p` is how often two samples of the same differ as much by accident."""

    what: str
    samples: tuple[int, int]
    p: float

    @property
    def is_different(self) -> bool:
        """Whether somebody could tell one from the other."""
        return self.p < LEAST_P


class Span(NamedTuple):
    """The seconds of the clock that are looked at."""

    begins: float
    ends: float

    def within(self, times: Iterable[float]) -> list[float]:
        """Those of the times that are in it, in order."""
        return sorted(at for at in times if self.begins <= at < self.ends)

    def visits(self, visits: Iterable[Visit]) -> list[Visit]:
        """Those that began in it."""
        return [visit for visit in visits if self.begins <= visit.at < self.ends]

    def gaps(self, times: Iterable[float]) -> list[float]:
        """Between one and the next."""
        return [later - at for at, later in pairwise(self.within(times))]

    def counts(self, times: Iterable[float]) -> list[float]:
        """How many there were in each LONG seconds."""
        inside = self.within(times)
        edges = [self.begins + LONG * i for i in range(int((self.ends - self.begins) / LONG) + 1)]
        return [
            float(bisect_left(inside, later) - bisect_left(inside, at))
            for at, later in pairwise(edges)
        ]


class Talk(NamedTuple):
    """Two clients that converse, and when each one's program said or heard something."""

    names: Pair
    moments: tuple[Sequence[float], Sequence[float]]


def compare(
    seen: Seen, span: Span, talk: Talk, named: Pair, silent: Pair, *, are_replaced: bool
) -> Iterator[Finding]:
    """All comparisons of two clients that converse by answers with others.

    `named` converse by name, as much as they do, and `silent` do nothing. If addresses end and
    others take their place, they aren't compared one by one: each gets packets for a part of the
    time.
    """
    groups = [seen.lines[name] for name in talk.names], [seen.lines[name] for name in silent]

    def sampled(what: str, measure: Callable[[Line], list[float]]) -> Finding:
        return _sample(what, *([x for line in group for x in measure(line)] for group in groups))

    def counted(what: str, visits: Callable[[Line], Iterable[Visit]], kind: Kind) -> Finding:
        return _shares(
            what,
            *(
                Counter(kind(visit) for line in group for visit in span.visits(visits(line)))
                for group in groups
            ),
        )

    def of_visits(what: str, visits: Callable[[Line], list[Visit]]) -> Iterator[Finding]:
        yield sampled(f"line: gaps between {what}", lambda line: span.gaps(_times(visits(line))))
        yield sampled(
            f"line: {what} in {LONG:.0f} s", lambda line: span.counts(_times(visits(line)))
        )
        yield counted(f"line: sizes of {what}", visits, lambda visit: f"{visit[2:]}")

    yield from of_visits("packets", _packets)
    yield from of_visits("pulls", _pulls)
    yield counted("line: first hops", _packets, lambda visit: visit.place)
    yield _reactions(span, talk, *groups)
    yield sampled("directory: gaps between requests", lambda line: span.gaps(line.lookups))
    yield from _providers(seen, span, talk.names, named, silent)
    if not are_replaced:
        yield from _addresses(seen, span, talk.names, named, silent)


def _reactions(span: Span, talk: Talk, speakers: Sequence[Line], silent: Sequence[Line]) -> Finding:
    """Packets right after a message: of those who got it or wrote it, and of the others."""

    def soon(group: Sequence[Line]) -> Iterator[float]:
        for line, moments in zip(group, talk.moments, strict=True):
            times = sorted(_times(line.packets))
            for at in span.within(moments):
                yield float(bisect_left(times, at + SOON) - bisect_left(times, at))

    what = f"line: packets in the {SOON:.0f} s after a message"
    return _sample(what, list(soon(speakers)), list(soon(silent)))


def _providers(
    seen: Seen, span: Span, speakers: Pair, named: Pair, silent: Pair
) -> Iterator[Finding]:
    def pulls(pair: Pair) -> list[float]:
        return [gap for name in pair for inbox in seen.of(name) for gap in span.gaps(inbox.pulled)]

    yield _sample("provider: gaps between pulls of an address", pulls(speakers), pulls(silent))
    yield _sample(
        "provider: packets for a client, as for those who converse by name",
        *(_arrivals(span, map(seen.of, pair)) for pair in (speakers, named)),
    )


def _addresses(
    seen: Seen, span: Span, speakers: Pair, named: Pair, silent: Pair
) -> Iterator[Finding]:
    """What comes can't be hidden from the provider. What can be is which address is the main one.

    The address that is used has most packets.
    """
    yield _sample(
        "provider: packets for an unused address, as for any of the silent ones",
        _arrivals(span, ([inbox] for name in speakers for inbox in seen.of(name)[1:])),
        _arrivals(span, ([inbox] for name in silent for inbox in seen.of(name))),
    )
    yield _sample(
        "provider: packets for the busiest address, as for those who converse by name",
        *(_arrivals(span, (seen.of(name)[:1] for name in pair)) for pair in (speakers, named)),
    )


def _arrivals(span: Span, owners: Iterable[Sequence[Inbox]]) -> list[float]:
    """How many packets came in each LONG seconds: for the inboxes of each owner together."""
    counts = (span.counts(at for inbox in own for at in inbox.arrived) for own in owners)
    return [count for some in counts for count in some]


def _packets(line: Line) -> list[Visit]:
    return line.packets


def _pulls(line: Line) -> list[Visit]:
    return line.pulls


def _times(visits: Iterable[Visit]) -> Iterator[float]:
    return (visit.at for visit in visits)


def _sample(what: str, one: Sequence[float], other: Sequence[float]) -> Finding:
    p = same_distribution(one, other).p if one and other else 1.0  # a short run may have none
    return Finding(what, (len(one), len(other)), p)


def _shares(what: str, one: Counter[str], other: Counter[str]) -> Finding:
    """Compare how often each of some things was seen. If all are the same thing, so they are."""
    rows = [[counts[kind] for kind in sorted(one | other)] for counts in (one, other)]
    p = same_shares(*rows).p if len(rows[0]) > 1 else 1.0
    return Finding(what, (one.total(), other.total()), p)
