"""What the tests of statistics say about the packets and pulls of a client, in a sentence for each.

Each test compares what others see with what `docs/security.md` promises of it. A client that keeps
its promises fails one in UNLIKELY of them by accident.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import ceil
from typing import Any, NamedTuple

from nym.statistics import Fit, fit_exponential, fit_shares, same_distribution, same_shares
from nym.topology import machine
from nym.wire.addresses import parse_numeric
from nym.wire.sightings import Observing, PacketSeen, PullSeen

UNLIKELY = 0.001
FEWEST = 100  # gaps in each sample
FEWEST_EXPECTED = 5.0  # packets at each first mixnode; with fewer, chi-square is off
LATE = 0.1  # the share of a period by which pulls may be late
_COVER = ("loop", "drop")
_BUSY = "a machine that is busy does that, and then its line shows when it is busy"


class Verdict(NamedTuple):
    """What one test says. `passed` is None if it can't say anything yet."""

    test: str
    passed: bool | None
    found: str
    distance: float | None = None
    p: float | None = None

    @property
    def word(self) -> str:
        """It in one word, for people."""
        return {True: "ok", False: "FAIL", None: "?"}[self.passed]

    def as_json(self) -> dict[str, Any]:
        """It as an object."""
        return self._asdict()


class FirstLayer(NamedTuple):
    """The mixnodes that a packet may go to first. `avoided`: those that the client avoids now."""

    nodes: frozenset[str]
    avoided: frozenset[str] = frozenset()

    def shares(self) -> dict[str, float]:
        """How often each is drawn: a machine first, then one of its nodes (nym.routes).

        Without the machines that have a node which is avoided, because that changes their shares.
        """
        machines: dict[str, list[str]] = {}
        for node in sorted(self.nodes):
            machines.setdefault(_machine(node), []).append(node)
        left = [nodes for nodes in machines.values() if self.avoided.isdisjoint(nodes)]
        return {node: 1 / len(left) / len(nodes) for nodes in left for node in nodes}


def judge(
    rates: Observing,
    packets: Sequence[PacketSeen],
    pulls: Sequence[PullSeen],
    before: FirstLayer,
    now: FirstLayer,
) -> Iterator[Verdict]:
    """The verdicts about what was seen, from its first moment to its last."""
    yield _gaps(rates, packets)
    yield _kinds_by_gaps(packets)
    if before.nodes == now.nodes:
        shares = FirstLayer(now.nodes, before.avoided | now.avoided).shares()
        yield _first_hops(packets, shares)
        yield _kinds_by_first_hops(packets, shares)
    else:
        changed = "the mixnodes of the first layer have changed meanwhile; start again"
        yield Verdict("first mixnodes", None, changed)
        yield Verdict("first mixnodes of messages", None, changed)
    yield _rhythm(rates, pulls)
    yield _pulls(rates, pulls)


def _gaps(rates: Observing, packets: Sequence[PacketSeen]) -> Verdict:
    test, gaps = "gaps", [gap for _, gap in _with_gaps(packets)]
    if len(gaps) < FEWEST:
        return _too_few(test, FEWEST - len(gaps), "packets")
    fit = fit_exponential(gaps, rates.mean_gap)
    what = f"{len(gaps)} gaps between packets"
    return _judged(
        test,
        fit,
        f"{what} follow the exponential distribution with a mean of {_ms(rates.mean_gap)}",
        f"{what} don't follow the exponential distribution with a mean of "
        f"{_ms(rates.mean_gap)}: {_BUSY}",
    )


def _kinds_by_gaps(packets: Sequence[PacketSeen]) -> Verdict:
    test = "gaps of messages"
    real, cover = (
        [gap for packet, gap in _with_gaps(packets) if (packet.carries in _COVER) == is_cover]
        for is_cover in (False, True)
    )
    if (verdict := _too_few_of_both(test, len(real), len(cover), FEWEST)) is not None:
        return verdict
    return _judged(
        test,
        same_distribution(real, cover),
        f"{len(real)} gaps before messages are like {len(cover)} before cover",
        f"{len(real)} gaps before messages differ from {len(cover)} before cover: whoever watches "
        "the line can tell in time that something is sent",
    )


def _first_hops(packets: Sequence[PacketSeen], shares: dict[str, float]) -> Verdict:
    test = "first mixnodes"
    if len(shares) <= 1:
        return _no_choice(test)
    counts = Counter(packet.first_hop for packet in packets)
    total = sum(counts[node] for node in shares)
    if (missing := ceil(FEWEST_EXPECTED / min(shares.values())) - total) > 0:
        return _too_few(test, missing, "packets")
    return _judged(
        test,
        fit_shares([counts[node] for node in shares], list(shares.values())),
        f"{total} packets are spread evenly over the machines of {len(shares)} first mixnodes",
        f"{total} packets aren't spread evenly over the machines of {len(shares)} first mixnodes: "
        "some of them learn more than others",
    )


def _kinds_by_first_hops(packets: Sequence[PacketSeen], shares: dict[str, float]) -> Verdict:
    test = "first mixnodes of messages"
    if len(shares) <= 1:
        return _no_choice(test)
    counts = Counter((packet.carries in _COVER, packet.first_hop) for packet in packets)
    rows = [[counts[is_cover, node] for node in shares] for is_cover in (False, True)]
    real, cover = map(sum, rows)
    fewest = ceil(FEWEST_EXPECTED / min(shares.values()))
    if (verdict := _too_few_of_both(test, real, cover, fewest)) is not None:
        return verdict
    filled = [places for places in zip(*rows, strict=True) if any(places)]
    return _judged(
        test,
        same_shares(*zip(*filled, strict=True)),
        f"{real} packets with messages are spread like {cover} with cover",
        f"{real} packets with messages are spread unlike {cover} with cover: a first mixnode can "
        "tell in time that something is sent, unless mixnodes were avoided meanwhile",
    )


def _rhythm(rates: Observing, pulls: Sequence[PullSeen]) -> Verdict:
    test, late = "rhythm of pulls", sorted(_lateness(rates.pull_period, pulls))
    if len(late) < FEWEST:
        return _too_few(test, FEWEST - len(late), "pulls")
    most = late[int(0.95 * len(late))]
    found = f"95 % of {len(late)} pulls come within {_ms(most)} of {_ms(rates.pull_period)} steps"
    passed = most <= LATE * rates.pull_period
    return Verdict(test, passed, found if passed else f"{found}: {_BUSY}", most)


def _pulls(rates: Observing, pulls: Sequence[PullSeen]) -> Verdict:
    test, late = "pulls after messages", _lateness(rates.pull_period, pulls)
    own = [pull for pull in pulls if not pull.other]
    some, none = (
        [at for before, at in zip(own, late[1:], strict=False) if bool(before.messages) == brought]
        for brought in (True, False)
    )
    if (missing := FEWEST - min(len(some), len(none))) > 0:
        kind = "that bring messages" if len(some) < len(none) else "that bring nothing"
        return _too_few(test, missing, f"pulls {kind}")
    return _judged(
        test,
        same_distribution(some, none),
        f"{len(some)} pulls after messages come like {len(none)} after none",
        f"{len(some)} pulls after messages come unlike {len(none)} after none: whoever watches the "
        "line can tell in time that something is received",
    )


def _with_gaps(packets: Sequence[PacketSeen]) -> list[tuple[PacketSeen, float]]:
    """Each packet but the first, with the seconds since the one before it."""
    return [(packet, packet.at - before.at) for before, packet in pairwise(packets)]


def _lateness(period: float, pulls: Sequence[PullSeen]) -> list[float]:
    """By how many seconds the pulls are behind a rhythm of this period that fits them best."""
    phases = [pull.at % period for pull in pulls if not pull.other]
    around = sorted(phases)
    # The rhythm begins behind the widest part of the period in which none comes.
    quiet = [(at - before) % period for before, at in pairwise([*around[-1:], *around])]
    begin = around[quiet.index(max(quiet))] if quiet else 0.0
    return [(phase - begin) % period for phase in phases]


def _judged(test: str, fit: Fit, good: str, bad: str) -> Verdict:
    passed = fit.p >= UNLIKELY
    p = f"p = {fit.p:.2g}" if fit.p >= UNLIKELY / 10 else f"p < {UNLIKELY / 10}"
    found = f"{good if passed else bad} (distance {fit.distance:.3g}, {p})"
    return Verdict(test, passed, found, fit.distance, fit.p)


def _too_few(test: str, missing: int, what: str) -> Verdict:
    return Verdict(test, None, f"too few to say: {missing} more {what} are needed")


def _too_few_of_both(test: str, real: int, cover: int, fewest: int) -> Verdict | None:
    if real < fewest:
        return _too_few(test, fewest - real, "packets with messages")
    return _too_few(test, fewest - cover, "packets with cover") if cover < fewest else None


def _no_choice(test: str) -> Verdict:
    return Verdict(test, None, "there is only one first mixnode, so nothing is drawn")


def _machine(node: str) -> str:
    address = parse_numeric(node)
    return machine(address) if address else node


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms"
