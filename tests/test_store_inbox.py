"""The inbox: offers, hand-overs, limits, and the next start."""

from pathlib import Path

import pytest

from nym.store import inbox as inbox_module
from nym.store.inbox import Inbox
from nym.store.journal import Journal
from tests.harness import contents


@pytest.fixture
def inbox(journal: Journal) -> Inbox:
    return Inbox(journal)


def reopened(journal: Journal, folder: Path) -> Inbox:
    """The inbox of the next start."""
    journal.close()
    return Inbox(Journal(folder, bytes(32)))


def test_what_came_is_there_at_the_next_start(
    inbox: Inbox, journal: Journal, tmp_path: Path
) -> None:
    assert inbox.deliver(b"1")
    assert inbox.deliver(b"2", b"s" * 32)
    offered = inbox.offer(inbox.subscribe(nobody))
    assert inbox.take() == []
    assert reopened(journal, tmp_path).take() == offered
    assert [received.sender for received in offered] == [None, b"s" * 32]


def test_what_was_taken_stays_until_it_is_handed_over(
    inbox: Inbox, journal: Journal, tmp_path: Path
) -> None:
    for message in (b"1", b"2", b"3"):
        inbox.deliver(message)
    one, _ = inbox.take(2)
    inbox.handed_over([one])
    again = reopened(journal, tmp_path)
    assert contents(again.take()) == [b"2", b"3"]


def test_what_was_acknowledged_is_gone_at_once(
    inbox: Inbox, journal: Journal, tmp_path: Path
) -> None:
    inbox.deliver(b"1")
    (one,) = inbox.offer(inbox.subscribe(nobody))
    assert inbox.acknowledge(one.id)
    entries = journal._database._connection.execute("SELECT count(*) FROM entry").fetchone()
    assert entries == (0,)
    assert reopened(journal, tmp_path).take() == []


@pytest.mark.parametrize(("limit", "value"), [("MOST_MESSAGES", 1), ("MOST_BYTES", 10)])
def test_when_it_is_full_the_oldest_are_kept_and_losses_counted(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(inbox_module, limit, value)
    assert [inbox.deliver(bytes([i] * 6)) for i in range(3)] == [True, False, False]
    assert contents(inbox.take()) == [bytes(6)]
    assert inbox.lost == 2
    assert inbox.deliver(bytes(6))


def test_an_inbox_keeps_order_and_what_was_not_taken(inbox: Inbox) -> None:
    for message in (b"1", b"2"):
        inbox.deliver(message)
    taken = inbox.take()
    inbox.deliver(b"3")
    inbox.give_back(taken)
    assert contents(inbox.take()) == [b"1", b"2", b"3"]
    assert contents(inbox.take()) == []


def nobody() -> None:
    """A subscriber that needs no waking."""


def test_what_is_offered_is_nobody_elses_until_its_subscriber_goes(inbox: Inbox) -> None:
    woken: list[int] = []
    first, second = inbox.subscribe(lambda: woken.append(1)), inbox.subscribe(nobody)
    inbox.deliver(b"1")
    assert woken
    offered = inbox.offer(first)
    assert contents(offered) == [b"1"]
    assert inbox.offer(first) == inbox.offer(second) == inbox.take() == []
    assert len(inbox) == 1
    inbox.unsubscribe(first)
    assert inbox.offer(second) == offered


def test_what_is_acknowledged_is_gone_for_good(inbox: Inbox) -> None:
    subscriber = inbox.subscribe(nobody)
    inbox.deliver(b"1")
    inbox.deliver(b"2")
    one, two = inbox.offer(subscriber)
    assert inbox.acknowledge(one.id)
    assert not inbox.acknowledge(one.id)
    assert not inbox.acknowledge("nonsense")
    inbox.unsubscribe(subscriber)
    assert inbox.take() == [two]
    assert len(inbox) == 0


def test_offers_stop_where_nothing_is_acknowledged(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_module, "MOST_OFFERED", 2)
    woken: list[int] = []
    subscriber = inbox.subscribe(lambda: woken.append(1))
    for message in (b"1", b"2", b"3"):
        inbox.deliver(message)
    one, _ = inbox.offer(subscriber)
    assert inbox.offer(subscriber) == []
    woken.clear()
    inbox.acknowledge(one.id)
    assert woken
    assert contents(inbox.offer(subscriber)) == [b"3"]


def test_taking_no_more_than_there_is_room_for(inbox: Inbox) -> None:
    for message in (bytes(10), bytes(20), bytes(30)):
        inbox.deliver(message)
    assert contents(inbox.take(30)) == [bytes(10), bytes(20)]
    inbox.deliver(bytes(40))
    assert contents(inbox.take(70, lambda message: 1 + len(message))) == [bytes(30)]


def test_one_message_is_taken_however_little_room_there_is(inbox: Inbox) -> None:
    for message in (bytes(10), bytes(20)):
        inbox.deliver(message)
    assert contents(inbox.take(5)) == [bytes(10)]
    assert contents(inbox.take(5)) == [bytes(20)]


def test_what_is_too_long_for_a_dialect_is_passed_over(inbox: Inbox) -> None:
    for message in (bytes(10), bytes(20), bytes(5)):
        inbox.deliver(message)
    assert contents(inbox.take(longest=10)) == [bytes(10), bytes(5)]
    assert contents(inbox.take()) == [bytes(20)]
