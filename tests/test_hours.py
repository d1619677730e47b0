"""What leaves a client and what comes back, over hours of simulated time, whatever its user does.

The sending half of a client runs as it is. Its clock is the test's, so hours pass in seconds, and
its times are drawn from a seed, so that each run gives the same counts.
"""

import os
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from nym.client.packets import Draft
from nym.client.sender import Outcome
from nym.envelope import Run
from nym.routes import NANOSECONDS
from nym.statistics import fit_exponential, same_distribution
from nym.store.journal import Journal
from nym.store.outbox import Ends, Manner
from nym.timing import Poisson
from nym.wire.addresses import NodeAddress
from tests.test_outgoing import OTHER, OWN, Setup

pytestmark = pytest.mark.no_cover

TIME = 2 * 3600.0  # seconds of each activity
WINDOW = 60.0  # seconds in which an observer counts
MEAN = 0.5  # seconds between two packets of each stream, as at default rates
PULL = 0.4
MOST_PULLED = 5
LONG = 100_000  # bytes of a message that takes a minute
OFTEN = 0.7  # seconds between two messages that are acknowledged, on average

Activity = Callable[[Setup, float], None]


class Seen(NamedTuple):
    """By whoever watches the line: all gaps, and the packets of each window; and what was real."""

    gaps: list[float]
    out: list[int]
    out_less_in: list[int]
    real: int


def idle(setup: Setup, now: float) -> None:
    """Do nothing."""


def sending(setup: Setup, now: float) -> None:
    """Always have something to send."""
    if not setup.outbox:
        setup.accept(OTHER, bytes(LONG), Manner.SEALED)


def answering(setup: Setup, now: float) -> None:
    """Owe acknowledgements all the time: strangers can bring this about."""
    if now % OFTEN < MEAN / 2:
        setup.acknowledgements.add(
            Ends(b"", OTHER), Run(os.urandom(16), 0, 0), now, is_complete=True
        )


def both(setup: Setup, now: float) -> None:
    """Send, and answer."""
    sending(setup, now)
    answering(setup, now)


def watch(activity: Activity, folder: Path, seed: int) -> Seen:
    """What is seen in TIME."""
    folder.mkdir()
    now = 0.0
    left: list[float] = []
    returning: list[float] = []

    # What is drafted isn't made: the bytes of packets aren't looked at, and take most of the time.
    def send(
        moment: float, draft: Callable[[], Draft], settled: Callable[[Outcome], None], _: str
    ) -> None:
        request = draft().request
        if request.destination == OWN:
            returning.append(now + sum(hop.delay for hop in request.route[:-1]) / NANOSECONDS)
        left.append(moment)
        settled(Outcome.TAKEN)

    with closing(Journal(folder, bytes(32))) as journal, pytest.MonkeyPatch.context() as patch:
        setup = Setup(journal, [NodeAddress("127.0.0.1", 1)], is_sealed=True)
        patch.setattr(setup.sender, "send", send)
        patch.setattr(time, "monotonic", lambda: now)
        random = Random(seed)
        streams = [
            (Poisson(MEAN, 0.0, random), tick) for tick in (setup.queue.tick, setup.cover.tick)
        ]
        while now < TIME:
            stream, tick = min(streams, key=lambda stream: stream[0].deadline)
            now = stream.deadline
            activity(setup, now)
            tick(now)
            stream.advance(now)
    gone, came = by_window(left), by_window(pulled(sorted(returning)))
    return Seen(
        [after - before for before, after in pairwise(left)],
        gone,
        [one - other for one, other in zip(gone, came, strict=True)],
        setup.queue.sent,
    )


def pulled(arrivals: list[float]) -> list[float]:
    """When messages that arrive at the provider at these times are pulled."""
    times: list[float] = []
    for arrival in arrivals:
        pull = int(arrival / PULL) + 1
        if len(times) >= MOST_PULLED:
            earlier = round(times[-MOST_PULLED] / PULL)
            pull = max(pull, earlier + 1)
        times.append(pull * PULL)
    return times


def by_window(times: list[float]) -> list[int]:
    counts = Counter(int(at / WINDOW) for at in times)
    return [counts[window] for window in range(int(TIME / WINDOW))]


def test_for_hours_the_line_is_the_same_whatever_the_user_does(tmp_path: Path) -> None:
    nothing = watch(idle, tmp_path / "idle", 1)
    assert nothing.real == 0
    for seed, activity in enumerate((sending, answering, both), start=2):
        something = watch(activity, tmp_path / activity.__name__, seed)
        assert something.real > 0.25 * TIME / MEAN, activity
        assert same_distribution(something.gaps, nothing.gaps).p > 0.01, activity
        assert same_distribution(something.out, nothing.out).p > 0.01, activity
        assert same_distribution(something.out_less_in, nothing.out_less_in).p > 0.01, activity
        assert fit_exponential(something.gaps, MEAN / 2).p > 0.01, activity
