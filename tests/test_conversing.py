"""The long conversation itself: a short one passes, and each thing that could be seen is found."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.conversing.findings import Span, Talk, compare
from tests.conversing.seen import Inbox, Line, Seen, Visit

CONVERSE = Path(__file__).with_name("converse")
# At default rates: a busy machine can't make six clients go faster.
QUICK = ["--duration=45", "--thought=0.5", "--loss=0.1", "--seed=1"]

TALKING, NAMED, SILENT = ("alice", "bob"), ("carol", "dave"), ("erin", "frank")
HOUR = Span(0.0, 3600.0)
Change = Callable[[Random, Seen], None]


def test_a_quick_run(tmp_path: Path) -> None:
    command = [str(CONVERSE), *QUICK, f"--folder={tmp_path}"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{ran.stdout}{ran.stderr}"
    assert "provider: gaps between pulls of an address" in ran.stdout
    assert "seed 1" in ran.stdout


def times(random: Random, mean: float) -> list[float]:
    """A Poisson process for an hour."""
    at, all_of_them = 0.0, []
    while (at := at + random.expovariate(1 / mean)) < HOUR.ends:
        all_of_them.append(at)
    return all_of_them


def client(random: Random, seen: Seen, name: str, answers: float) -> None:
    """An hour of a client: its main address, or another one, gets more than the others."""
    line = seen.lines[name] = Line()
    line.packets = [
        Visit(at, f"mixnode {random.randrange(2)}", 1343, 0) for at in times(random, 0.25)
    ]
    line.pulls = [Visit(0.4 * i + random.random(), "provider", 400, 7000) for i in range(9000)]
    line.lookups = times(random, 10.0)
    for number in range(3):
        inbox = seen.inboxes[f"{name} {number}".encode()] = Inbox({name})
        inbox.pulled = [visit.at for visit in line.pulls[number::3]]
        inbox.arrived = times(random, 1.5) + (times(random, answers) if number == 1 else [])


def different(change: Change) -> list[str]:
    """What is found to be different after a change of what was seen."""
    random, seen = Random(1), Seen()
    for name in (*TALKING, *NAMED):
        client(random, seen, name, answers=5.0)
    for name in SILENT:
        client(random, seen, name, answers=1e9)
    change(random, seen)
    talk = Talk(TALKING, (times(random, 10.0), times(random, 10.0)))
    return [
        finding.what
        for finding in compare(seen, HOUR, talk, NAMED, SILENT, are_replaced=False)
        if finding.is_different
    ]


def test_what_is_alike_is_not_different() -> None:
    assert not different(lambda random, seen: None)


def more_packets(random: Random, seen: Seen) -> None:
    line = seen.lines["alice"]
    line.packets += [visit._replace(at=visit.at + 0.01) for visit in line.packets[::10]]


def larger_pulls(random: Random, seen: Seen) -> None:
    line = seen.lines["bob"]
    line.pulls[::100] = [visit._replace(received=7001) for visit in line.pulls[::100]]


def one_first_hop(random: Random, seen: Seen) -> None:
    line = seen.lines["bob"]
    line.packets = [visit._replace(place="mixnode 1") for visit in line.packets]


def more_lookups(random: Random, seen: Seen) -> None:
    seen.lines["alice"].lookups += times(random, 20.0)


def used_address_pulled_more(random: Random, seen: Seen) -> None:
    inbox = seen.inboxes[b"alice 1"]
    inbox.pulled += times(random, 3.0)


def more_loops_for_unused_addresses(random: Random, seen: Seen) -> None:
    for name in TALKING:
        seen.inboxes[f"{name} 2".encode()].arrived += times(random, 6.0)


def answers_come_to_two_addresses(random: Random, seen: Seen) -> None:
    for name in TALKING:
        one, other = (seen.inboxes[f"{name} {number}".encode()] for number in (1, 2))
        both = one.arrived + other.arrived
        one.arrived, other.arrived = both[::2], both[1::2]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (more_packets, "line: gaps between packets"),
        (larger_pulls, "line: sizes of pulls"),
        (one_first_hop, "line: first hops"),
        (more_lookups, "directory: gaps between requests"),
        (used_address_pulled_more, "provider: gaps between pulls of an address"),
        (more_loops_for_unused_addresses, "provider: packets for an unused address"),
        (answers_come_to_two_addresses, "provider: packets for the busiest address"),
    ],
)
def test_what_is_different_is_found(change: Change, what: str) -> None:
    assert any(found.startswith(what) for found in different(change))


def test_packets_that_follow_a_message_are_found() -> None:
    random, seen = Random(1), Seen()
    for name in (*TALKING, *NAMED, *SILENT):
        client(random, seen, name, answers=5.0)
    moments = (times(random, 10.0), times(random, 10.0))
    for name, some in zip(TALKING, moments, strict=True):
        seen.lines[name].packets += [Visit(at + 0.5, "mixnode 1", 1343, 0) for at in some]
    findings = compare(seen, HOUR, Talk(TALKING, moments), NAMED, SILENT, are_replaced=False)
    found = [finding.what for finding in findings if finding.is_different]
    assert "line: packets in the 2 s after a message" in found
