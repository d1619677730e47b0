"""tests/converse: the run, from the first start to the table."""

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from random import Random
from tempfile import mkdtemp

import gevent

from tests.conversing.findings import Span, Talk, compare
from tests.conversing.people import ADDRESSES, ByAnswers, ByName, Conversation, Person
from tests.conversing.watched import Watched
from tests.harness import wait_until

PAIRS = (("alice", "bob"), ("carol", "dave"), ("erin", "frank"))
# Seconds at default rates, at the start, that aren't compared: loops return only after a while.
SETTLING = 30.0
OUTAGE = 20.0  # seconds for which providers are away
REPORT_GAP = 60.0


def main() -> int:
    """Run as the options say; the exit code."""
    parser = argparse.ArgumentParser(prog="tests/converse", description=__doc__)
    parser.add_argument("--duration", type=float, default=3600.0, metavar="SECONDS")
    parser.add_argument("--speed", type=float, default=1.0, help="times the default rates")
    parser.add_argument("--thought", type=float, default=3.0, help="mean seconds before an answer")
    parser.add_argument("--loss", type=float, default=0.0, help="share of packets that are lost")
    parser.add_argument("--faults", type=int, default=0, help="restarts of clients and providers")
    parser.add_argument("--life", type=float, default=345_600.0, help="client.reply_lifetime")
    parser.add_argument("--seed", type=int, default=Random().getrandbits(32))
    parser.add_argument("--folder", help="where everything is; else a new one in /tmp")
    options = parser.parse_args()
    random = Random(options.seed)
    folder = Path(options.folder or mkdtemp(prefix="nym-converse-"))
    with ExitStack() as stack:
        watched = Watched(stack, folder / "network", options.loss, random)
        pairs: list[tuple[Person, Person]] = []
        for names in PAIRS:
            one, other = (
                Person(name, folder, watched.line(name).directory, options.speed, options.life)
                for name in names
            )
            stack.callback(one.stop)
            stack.callback(other.stop)
            pairs.append((one, other))
        for person in (person for pair in pairs for person in pair):
            person.wait_until_registered()
        talking = ByAnswers(*pairs[0], options.thought, random)
        named = ByName(*pairs[1], options.thought, random)
        began = time.monotonic()
        for conversation in (talking, named):
            conversation.start()
        _go_on(began, options.duration, _faults(options.faults, pairs, watched), (talking, named))
        span = Span(began + SETTLING / options.speed, time.monotonic())
        are_replaced = options.life < options.duration
        wrong = _finish((talking, named), may_fail=are_replaced)
        if not are_replaced:
            wrong += [
                f"{name} has {count} addresses"
                for name in watched.seen.lines
                if (count := len(watched.seen.of(name))) != ADDRESSES
            ]
    one, other = talking.people
    talk = Talk(PAIRS[0], (one.moments, other.moments))
    findings = list(
        compare(watched.seen, span, talk, PAIRS[1], PAIRS[2], are_replaced=are_replaced)
    )
    say(f"{'seen by: what':<75} {'samples':>15}        p")
    for finding in findings:
        here, there = finding.samples
        mark = "  different" if finding.is_different else ""
        say(f"{finding.what:<75} {here:>7} {there:>7} {finding.p:8.4f}{mark}")
    for sentence in wrong:
        say(sentence)
    say(f"seed {options.seed}; logs and folders are in {folder}")
    return 1 if wrong or any(finding.is_different for finding in findings) else 0


def _faults(
    count: int, pairs: list[tuple[Person, Person]], watched: Watched
) -> list[tuple[str, Callable[[], None]]]:
    """What breaks, in its order: the same at all clients, or else one could be told by that."""

    def restart(which: int, *, is_killed: bool) -> None:
        for pair in pairs:
            pair[which].restart(is_killed=is_killed)

    faults: list[tuple[str, Callable[[], None]]] = [
        ("who asks is killed", lambda: restart(0, is_killed=True)),
        ("providers lose all that they have", lambda: watched.restart_providers(OUTAGE)),
        ("who answers is restarted", lambda: restart(1, is_killed=False)),
    ]
    return list(islice(cycle(faults), count))


def _go_on(
    began: float,
    duration: float,
    faults: list[tuple[str, Callable[[], None]]],
    conversations: tuple[Conversation, ...],
) -> None:
    due = [began + duration * (i + 1) / (len(faults) + 1) for i in range(len(faults))]
    reported = began
    while (now := time.monotonic()) < began + duration:
        for conversation in conversations:
            conversation.check()
        if due and now >= due[0]:
            due.pop(0)
            what, happen = faults.pop(0)
            say(f"{now - began:7.0f} s  {what}")
            happen()
        if now >= reported + REPORT_GAP:
            reported = now
            said = " ".join(_summary(conversation) for conversation in conversations)
            say(f"{now - began:7.0f} s  {said}")
        gevent.sleep(0.5)


def _finish(conversations: tuple[Conversation, ...], *, may_fail: bool) -> list[str]:
    """Let all that waits arrive, and tell what has not one outcome."""
    wrong = []
    for conversation in conversations:
        conversation.is_over = True
    for conversation in conversations:
        for person in conversation.people:
            wait_until(partial(_is_idle, person), f"{person.name}'s outbox")
    for conversation in conversations:
        conversation.check()
        say(_summary(conversation))
        wrong += conversation.judge(may_fail=may_fail)
        conversation.stop()
    return wrong


def _is_idle(person: Person) -> bool:
    return person.waiting() == 0


def _summary(conversation: Conversation) -> str:
    ledger = conversation.ledger
    names = " and ".join(person.name for person in conversation.people)
    refused = "".join(f", {count} x {name}" for name, count in ledger.refused.items())
    return (
        f"{names}: {len(ledger.said)} said, {len(ledger.heard)} heard, "
        f"{ledger.anew} begun anew, {len(ledger.unknown)} unknown{refused};"
    )


def say(line: str) -> None:
    """One line, at once."""
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
