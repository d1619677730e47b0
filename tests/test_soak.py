"""The soak test itself: a short run passes, and each broken promise is found in the ledger."""

import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.soaking.checks import check_messages, check_program, table
from tests.soaking.ledger import Answer, Kind, Ledger, Message
from tests.soaking.programs import ClientProgram, Sample

SOAK = Path(__file__).with_name("soak")
QUICK = ["--duration=20", "--messages=40", "--gap=4", "--restart=8", "--speed=3", "--drain=600"]


def test_a_quick_run(tmp_path: Path) -> None:
    command = [str(SOAK), *QUICK, "--seed=1", f"--folder={tmp_path}"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"the soak test failed: {ran.stdout}{ran.stderr}"
    assert "as promised" in ran.stdout
    assert "seed 1" in ran.stdout
    assert not ran.stderr


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(1)


@pytest.fixture
def clients(tmp_path: Path, ledger: Ledger) -> list[ClientProgram]:
    return [ClientProgram(name, tmp_path, ledger, 0) for name in ("alice", "bob", "carol")]


def accepted(ledger: Ledger, kind: Kind, state: str = "done", recipient: str = "bob") -> Message:
    message = ledger.new(kind, "alice", recipient, 100)
    message.answer, message.id, message.state = Answer.ACCEPTED, str(message.number), state
    return message


def arrive(ledger: Ledger, message: Message, inbox_id: str = "1") -> None:
    ledger.arrived(message.recipient, ledger.content(message), inbox_id)


def test_one_outcome_each_is_as_promised(ledger: Ledger, clients: list[ClientProgram]) -> None:
    for kind in Kind:
        arrive(ledger, accepted(ledger, kind))
    accepted(ledger, Kind.RELIABLE, "failed")
    check_messages(ledger, clients)
    assert not ledger.violations
    assert list(table(ledger, clients[:0], Counter()))[-1] == "as promised"


@pytest.mark.parametrize("kind", Kind)
def test_what_waits_is_a_violation(
    ledger: Ledger, clients: list[ClientProgram], kind: Kind
) -> None:
    accepted(ledger, kind, "waiting")
    check_messages(ledger, clients)
    assert list(ledger.violations) == [f"{kind}: still waiting at the end"]


@pytest.mark.parametrize("kind", Kind)
def test_what_comes_twice_is_a_violation(
    ledger: Ledger, clients: list[ClientProgram], kind: Kind
) -> None:
    message = accepted(ledger, kind)
    arrive(ledger, message, "1")
    arrive(ledger, message, "2")
    check_messages(ledger, clients)
    assert list(ledger.violations) == [f"{kind}: came more than once"]
    assert list(table(ledger, clients[:0], Counter()))[-1] == "NOT as promised"


def test_a_plain_message_may_come_twice_where_its_sender_was_killed(
    ledger: Ledger, clients: list[ClientProgram]
) -> None:
    message = accepted(ledger, Kind.PLAIN)
    arrive(ledger, message, "1")
    arrive(ledger, message, "2")
    clients[0].kills = 1
    check_messages(ledger, clients)
    assert not ledger.violations


def test_a_reliable_message_is_not_lost_without_a_report(
    ledger: Ledger, clients: list[ClientProgram]
) -> None:
    accepted(ledger, Kind.RELIABLE)
    check_messages(ledger, clients)
    assert ledger.violations["reliable: lost without a report"] == 1


def test_a_reliable_message_that_arrived_has_not_failed(
    ledger: Ledger, clients: list[ClientProgram]
) -> None:
    arrive(ledger, accepted(ledger, Kind.RELIABLE, "failed"))
    check_messages(ledger, clients)
    assert ledger.violations["reliable: arrived, and is reported as failed"] == 1


def test_many_lost_anonymous_messages_are_a_violation(
    ledger: Ledger, clients: list[ClientProgram]
) -> None:
    for number in range(1000):
        message = accepted(ledger, Kind.ANONYMOUS)
        if number >= 30:
            arrive(ledger, message)
    check_messages(ledger, clients)
    assert ledger.violations["anonymous: lost"] == 1


def test_what_nobody_sent_is_a_violation(ledger: Ledger) -> None:
    message = accepted(ledger, Kind.ANONYMOUS)
    content = ledger.content(message)
    ledger.arrived("bob", content[:-1], "1")
    ledger.arrived("bob", b"nonsense", "2")
    ledger.arrived("carol", content, "3")
    ledger.arrived("bob", Ledger(2).content(message), "4")
    assert ledger.violations == {
        "a message that nobody sent": 3,
        "a message at the wrong client": 1,
    }


def test_what_was_acknowledged_does_not_come_again(ledger: Ledger) -> None:
    message = accepted(ledger, Kind.ANONYMOUS)
    arrive(ledger, message)
    message.acknowledged.add("1")
    arrive(ledger, message)
    assert list(ledger.violations) == ["a message came again though acknowledged"]


def test_what_was_refused_does_not_arrive(ledger: Ledger) -> None:
    message = accepted(ledger, Kind.ANONYMOUS)
    message.answer = Answer.REFUSED
    arrive(ledger, message)
    assert list(ledger.violations) == ["a message that was refused arrived"]


@pytest.mark.parametrize(("minutes", "is_judged"), [(60, True), (5, False)])
def test_what_grows_for_long_is_a_violation(
    ledger: Ledger, tmp_path: Path, minutes: int, is_judged: bool
) -> None:
    client = ClientProgram("dave", tmp_path, ledger, 0)
    (tmp_path / "dave.log").touch()
    client.samples = [
        [Sample(10.0 * i, 30_000 + 500 * i, 20 + i) for i in range(6 * minutes)],
        [Sample(10.0 * i, 30_000, 20) for i in range(6 * minutes)],
    ]
    check_program(ledger, client, minutes / 60)
    found = {"memory grows": 1, "descriptors grow": 1}
    assert ledger.violations == (found if is_judged else {})
