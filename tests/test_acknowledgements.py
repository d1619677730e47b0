"""What is owed to senders, and when it is said."""

import pytest

from nym.client import acknowledgements as acknowledgements_module
from nym.client.acknowledgements import MORE, Acknowledgements
from nym.envelope import MOST_RUNS, Run

OWN, ALICE, BOB = b"o" * 32, b"a" * 32, b"b" * 32
DELAY = 2.0


@pytest.fixture
def owed() -> Acknowledgements:
    return Acknowledgements(OWN, DELAY)


def run(number: int, first: int = 0, last: int = 0) -> Run:
    return Run(number.to_bytes(16, "big"), first, last)


def everybody(sender: bytes) -> bool:
    return True


def said(owed: Acknowledgements, now: float) -> tuple[bytes, list[Run]] | None:
    due = owed.next(now, everybody)
    if due is None:
        return None
    sender, acknowledgement = due
    assert acknowledgement.sender == OWN
    return sender, list(acknowledgement.runs)


def test_what_comes_within_the_delay_goes_into_one(owed: Acknowledgements) -> None:
    owed.add(ALICE, run(1), 10.0, is_complete=True)
    owed.add(ALICE, run(2), 11.0, is_complete=True)
    assert said(owed, 10.0 + DELAY - 0.1) is None
    assert said(owed, 10.0 + DELAY) == (ALICE, [run(1), run(2)])
    assert said(owed, 100.0) is None


def test_more_of_a_message_is_waited_for_but_not_when_another_is_complete(
    owed: Acknowledgements,
) -> None:
    owed.add(ALICE, run(1, 0, 3), 0.0, is_complete=False)
    assert said(owed, MORE * DELAY - 0.1) is None
    assert said(owed, MORE * DELAY) == (ALICE, [run(1, 0, 3)])
    owed.add(ALICE, run(1, 0, 4), 0.0, is_complete=False)
    owed.add(ALICE, run(2), 1.0, is_complete=True)
    owed.add(ALICE, run(3, 0, 1), 2.0, is_complete=False)
    assert said(owed, 1.0 + DELAY) == (ALICE, [run(1, 0, 4), run(2), run(3, 0, 1)])


def test_a_longer_run_takes_the_place_of_those_within_it(owed: Acknowledgements) -> None:
    for first, last in ((0, 0), (2, 2), (0, 2), (1, 1), (4, 4)):
        owed.add(ALICE, run(1, first, last), 0.0, is_complete=True)
    owed.add(ALICE, run(2, 1, 1), 0.0, is_complete=True)
    assert said(owed, DELAY) == (ALICE, [run(1, 0, 2), run(1, 4, 4), run(2, 1, 1)])


def test_what_does_not_fit_waits_behind_the_others(owed: Acknowledgements) -> None:
    for number in range(MOST_RUNS + 1):
        owed.add(ALICE, run(number), 0.0, is_complete=True)
    owed.add(BOB, run(7), -DELAY, is_complete=True)
    assert said(owed, 0.0) == (ALICE, [run(number) for number in range(MOST_RUNS)]), "it is full"
    assert said(owed, 0.0) == (BOB, [run(7)])
    assert said(owed, 0.0) is None
    assert said(owed, DELAY) == (ALICE, [run(MOST_RUNS)])


def test_who_cannot_be_reached_holds_up_nobody(owed: Acknowledgements) -> None:
    owed.add(ALICE, run(1), 0.0, is_complete=True)
    owed.add(BOB, run(2), 0.0, is_complete=True)
    due = owed.next(DELAY, lambda sender: sender == BOB)
    assert due is not None
    assert due[0] == BOB
    assert owed.next(DELAY, lambda sender: sender == BOB) is None
    assert said(owed, DELAY) == (ALICE, [run(1)])


def test_strangers_cannot_fill_the_memory(
    owed: Acknowledgements, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acknowledgements_module, "MOST_SENDERS", 2)
    monkeypatch.setattr(acknowledgements_module, "MOST_WAITING", 3)
    for number in range(5):
        owed.add(ALICE, run(number), 0.0, is_complete=True)
    assert said(owed, DELAY) == (ALICE, [run(number) for number in range(3)])
    for number in range(3):
        owed.add(bytes([number]) * 32, run(number), 0.0, is_complete=True)
    assert [said(owed, DELAY) for _ in range(3)] == [
        *((bytes([number]) * 32, [run(number)]) for number in (1, 2)),
        None,
    ]
