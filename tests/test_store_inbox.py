"""The inbox: what it offers and hands over, its limits, and what it has after a restart."""

import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import gevent
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nym.errors import StoreError
from nym.store import shares
from nym.store.database import Database
from nym.store.inbox import REVIEW, Inbox
from nym.store.journal import Journal
from nym.store.shares import SAY_EVERY, Standing
from nym.wire.answers import Received
from tests.faults.injection import Point
from tests.harness import contents, deliver

ALICE, BOB, CAROL = b"a" * 32, b"b" * 32, b"c" * 32


@pytest.fixture
def inbox(journal: Journal) -> Inbox:
    return Inbox(journal)


@pytest.fixture
def reopened(reopen: Callable[[], Journal]) -> Callable[[], Inbox]:
    """Returns the inbox of the next start."""
    return lambda: Inbox(reopen())


def test_what_came_is_there_at_the_next_start(inbox: Inbox, reopened: Callable[[], Inbox]) -> None:
    assert deliver(inbox, b"1")
    assert deliver(inbox, b"2", b"s" * 32)
    offered = inbox.offer(inbox.subscribe(nobody))
    assert inbox.take() == []
    assert reopened().take() == offered
    assert [received.sender for received in offered] == [None, b"s" * 32]


def test_whether_a_message_was_sealed_is_known_at_the_next_start(
    inbox: Inbox, reopened: Callable[[], Inbox]
) -> None:
    for sender, is_sealed in ((None, False), (None, True), (b"s" * 32, True)):
        deliver(inbox, b"hello", sender, is_sealed=is_sealed)
    came = inbox.offer(inbox.subscribe(nobody))
    assert [(r.sender, r.sealed) for r in came] == [
        (None, False),
        (None, True),
        (b"s" * 32, True),
    ]
    assert reopened().take() == came


@pytest.mark.parametrize("sender", [b"", b"s" * 32])
def test_of_what_an_earlier_version_kept_only_what_has_a_sender_counts_as_sealed(
    journal: Journal, reopened: Callable[[], Inbox], sender: bytes
) -> None:
    head = struct.pack(">dB", 1.5, len(sender)) + sender
    journal.put("received", "old", head + b"hello")
    journal.flush()
    (old,) = reopened().take()
    assert old == Received("old", b"hello", 1.5, sender or None, sealed=bool(sender))


def test_what_was_taken_stays_until_it_is_handed_over(
    inbox: Inbox, reopened: Callable[[], Inbox]
) -> None:
    for message in (b"1", b"2", b"3"):
        deliver(inbox, message)
    one, _ = inbox.take(2)
    inbox.handed_over([one])
    again = reopened()
    assert contents(again.take()) == [b"2", b"3"]


def test_what_was_acknowledged_is_gone_at_once(
    inbox: Inbox, journal: Journal, reopened: Callable[[], Inbox]
) -> None:
    deliver(inbox, b"1")
    (one,) = inbox.offer(inbox.subscribe(nobody))
    assert inbox.acknowledge([one.id]) == [True]
    entries = journal._database._connection.execute("SELECT count(*) FROM entry").fetchone()
    assert entries == (0,)
    assert reopened().take() == []


def test_what_was_acknowledged_while_the_disk_fails_is_acknowledged_again(
    inbox: Inbox, journal: Journal, reopened: Callable[[], Inbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nym.store.journal.RETRY", 0.01)
    deliver(inbox, b"1")
    (one,) = inbox.offer(inbox.subscribe(nobody))
    disk = Point(monkeypatch, Database, "_make")
    disk.fail(OSError("no disk"))
    for _ in range(2):
        with pytest.raises(StoreError):
            inbox.acknowledge([one.id])
    assert inbox.take() == []
    disk.work()
    assert inbox.acknowledge([one.id]) == [True]
    assert inbox.acknowledge([one.id]) == [False]
    assert reopened().take() == []


def test_nobody_gets_a_message_before_it_is_on_disk(
    inbox: Inbox, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nym.store.journal.RETRY", 0.01)
    journal.flush()
    database, calls = journal._database._connection, list[int]()
    subscriber = inbox.subscribe(lambda: calls.append(1))
    database.execute("PRAGMA max_page_count = 1")
    assert inbox.deliver(bytes(5000), is_sealed=True)
    with pytest.raises(StoreError):
        inbox.settle()
    assert inbox.deliver(b"2", is_sealed=True)
    assert (inbox.take(), inbox.offer(subscriber), calls, len(inbox)) == ([], [], [], 2)
    database.execute("PRAGMA max_page_count = 10000")
    inbox.settle()
    assert calls
    assert contents(inbox.offer(subscriber)) == [bytes(5000), b"2"]


def test_what_comes_while_others_are_written_waits_for_its_own_turn(
    inbox: Inbox, journal: Journal
) -> None:
    assert inbox.deliver(b"1", is_sealed=True)
    round_before = journal._next
    settling = gevent.spawn(inbox.settle)
    while journal._next is round_before:  # until the round with message 1 is being written
        gevent.sleep(0)
    assert inbox.deliver(b"2", is_sealed=True)
    settling.join()
    assert contents(inbox.take()) == [b"1"]
    inbox.settle()
    assert contents(inbox.take()) == [b"2"]


@pytest.mark.parametrize(("limit", "value"), [("MOST_MESSAGES", 1), ("MOST_BYTES", 10)])
def test_when_it_is_full_the_oldest_are_kept_and_losses_counted(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(shares, limit, value)
    assert [deliver(inbox, bytes([i] * 6)) for i in range(3)] == [True, False, False]
    assert contents(inbox.take()) == [bytes(6)]
    assert inbox.refusals.counts[Standing.ANONYMOUS] == 2
    assert deliver(inbox, bytes(6))


@pytest.mark.parametrize("is_strangers", [True, False])
def test_once_a_sender_was_refused_it_is_until_the_next_review_whatever_is_taken(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, *, is_strangers: bool
) -> None:
    monkeypatch.setattr(shares, "MOST_MESSAGES", 20)
    now = 100.0
    contacts = set[bytes]() if is_strangers else {ALICE, BOB}
    inbox = Inbox(journal, contacts, lambda: now)
    kept = [deliver(inbox, b"fills", ALICE) for _ in range(11)]
    assert kept == [True] * 10 + [False]
    answers = list[bool]()
    while now < 100.0 + REVIEW:
        if now == 160.0:  # an application fetches everything, which senders must not notice
            inbox.handed_over(inbox.take())
        answers.append(deliver(inbox, b"ping", ALICE))
        now += 15.0
    assert not any(answers)
    assert deliver(inbox, b"ping", BOB)
    assert deliver(inbox, b"ping", ALICE)


def test_where_all_strangers_together_left_no_room_all_of_them_wait_for_the_review(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares, "MOST_MESSAGES", 20)
    now = 0.0
    inbox = Inbox(journal, {CAROL}, lambda: now)
    kept = [deliver(inbox, b"fills", bytes([number]) * 32) for number in range(30)]
    assert sum(kept) == 20
    inbox.handed_over(inbox.take())
    assert not deliver(inbox, b"from another one", BOB)
    assert deliver(inbox, b"from a contact", CAROL)
    assert deliver(inbox, b"from nobody")
    now += REVIEW
    assert deliver(inbox, b"from another one", BOB)


def test_each_standing_has_room_of_its_own_and_is_said_to_be_full_once_an_hour(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shares, "MOST_MESSAGES", 20)
    now = 0.0
    inbox = Inbox(journal, {CAROL, b"d" * 32}, lambda: now)
    made_up = iter(range(1000, 2000))
    for _ in range(30):
        deliver(inbox, b"hello")
        deliver(inbox, b"hello", next(made_up).to_bytes(32, "big"))
        for contact in (CAROL, b"d" * 32):
            deliver(inbox, b"hello", contact)
    assert len(inbox) == 60
    assert inbox.refusals.counts == {
        Standing.ANONYMOUS: 10,
        Standing.STRANGER: 10,
        Standing.CONTACT: 40,
    }
    assert len(caplog.records) == 3
    now += SAY_EVERY
    for _ in range(2):
        deliver(inbox, b"hello")
    assert len(caplog.records) == 4
    assert "anonymous senders are refused; 11 so far" in caplog.text


def test_room_that_was_made_counts_at_once_for_those_who_are_told_nothing(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares, "MOST_MESSAGES", 1)
    inbox = Inbox(journal)
    assert [deliver(inbox, b"hello") for _ in range(2)] == [True, False]
    inbox.handed_over(inbox.take())
    assert deliver(inbox, b"hello")


def test_what_was_kept_before_a_start_takes_its_senders_room(
    inbox: Inbox, reopened: Callable[[], Inbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares, "MOST_MESSAGES", 4)
    for _ in range(2):
        assert deliver(inbox, b"hello", ALICE)
    again = reopened()
    assert not deliver(again, b"hello", ALICE)
    assert deliver(again, b"hello", BOB)


def test_an_inbox_keeps_order_and_what_was_not_taken(inbox: Inbox) -> None:
    for message in (b"1", b"2"):
        deliver(inbox, message)
    taken = inbox.take()
    deliver(inbox, b"3")
    inbox.give_back(taken)
    assert contents(inbox.take()) == [b"1", b"2", b"3"]
    assert contents(inbox.take()) == []


def nobody() -> None:
    """Stands in for waking a subscriber."""


def test_what_is_offered_is_nobody_elses_until_its_subscriber_goes(inbox: Inbox) -> None:
    woken: list[int] = []
    first, second = inbox.subscribe(lambda: woken.append(1)), inbox.subscribe(nobody)
    deliver(inbox, b"1")
    assert woken
    offered = inbox.offer(first)
    assert contents(offered) == [b"1"]
    assert inbox.offer(first) == inbox.offer(second) == inbox.take() == []
    assert len(inbox) == 1
    inbox.unsubscribe(first)
    assert inbox.offer(second) == offered


def test_what_is_acknowledged_is_gone_for_good(inbox: Inbox) -> None:
    subscriber = inbox.subscribe(nobody)
    deliver(inbox, b"1")
    deliver(inbox, b"2")
    one, two = inbox.offer(subscriber)
    assert inbox.acknowledge([one.id]) == [True]
    assert inbox.acknowledge([one.id]) == [False]
    assert inbox.acknowledge(["nonsense"]) == [False]
    inbox.unsubscribe(subscriber)
    assert inbox.take() == [two]
    assert len(inbox) == 0


def test_offers_stop_where_nothing_is_acknowledged(inbox: Inbox) -> None:
    woken: list[int] = []
    subscriber = inbox.subscribe(lambda: woken.append(1), window=2)
    for message in (b"1", b"2", b"3"):
        deliver(inbox, message)
    one, _ = inbox.offer(subscriber)
    assert inbox.offer(subscriber) == []
    woken.clear()
    inbox.acknowledge([one.id])
    assert woken
    assert contents(inbox.offer(subscriber)) == [b"3"]


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_whatever_subscribers_do_each_message_is_somewhere_once(data: st.DataObject) -> None:
    """Beside a model: the messages in their order, each with the subscriber it is on offer to."""
    with TemporaryDirectory() as folder, closing(Journal(Path(folder), bytes(32))) as journal:
        inbox = Inbox(journal)
        model: dict[bytes, int | None] = {}
        ids: dict[bytes, str] = {}
        windows = (1, 3)
        subscribers = [inbox.subscribe(nobody, window) for window in windows]
        for number in range(data.draw(st.integers(1, 25))):
            who = data.draw(st.integers(0, 1))
            match data.draw(st.sampled_from(["deliver", "offer", "ack", "leave", "take", "back"])):
                case "deliver":
                    deliver(inbox, b"%d" % number)
                    model[b"%d" % number] = None
                case "offer":
                    room = windows[who] - sum(owner == who for owner in model.values())
                    expected = [one for one, owner in model.items() if owner is None][:room]
                    offered = inbox.offer(subscribers[who])
                    assert contents(offered) == expected
                    model.update(dict.fromkeys(expected, who))
                    ids.update(zip(expected, (one.id for one in offered), strict=True))
                case "ack":
                    own = [one for one, owner in model.items() if owner == who]
                    if own:
                        done = data.draw(st.sampled_from(own))
                        assert inbox.acknowledge([ids[done]]) == [True]
                        del model[done]
                case "leave":
                    inbox.unsubscribe(subscribers[who])
                    subscribers[who] = inbox.subscribe(nobody, windows[who])
                    model = {one: None if owner == who else owner for one, owner in model.items()}
                case way:
                    taken = inbox.take()
                    free = [one for one, owner in model.items() if owner is None]
                    assert contents(taken) == free
                    model = {one: owner for one, owner in model.items() if owner is not None}
                    if way == "back":
                        inbox.give_back(taken)
                        model = {**dict.fromkeys(free), **model}
                    else:
                        inbox.handed_over(taken)
            assert len(inbox) == len(model)
            assert inbox.has_free() == (None in model.values())
            for index, subscriber in enumerate(subscribers):
                is_drained = not {index, None} & set(model.values())
                assert inbox.is_drained(subscriber) == is_drained


def test_taking_no_more_than_there_is_room_for(inbox: Inbox) -> None:
    for message in (bytes(10), bytes(20), bytes(30)):
        deliver(inbox, message)
    assert contents(inbox.take(30)) == [bytes(10), bytes(20)]
    deliver(inbox, bytes(40))
    assert contents(inbox.take(70, lambda message: 1 + len(message))) == [bytes(30)]


def test_one_message_is_taken_however_little_room_there_is(inbox: Inbox) -> None:
    for message in (bytes(10), bytes(20)):
        deliver(inbox, message)
    assert contents(inbox.take(5)) == [bytes(10)]
    assert contents(inbox.take(5)) == [bytes(20)]


def test_what_is_too_long_for_a_dialect_is_passed_over(inbox: Inbox) -> None:
    for message in (bytes(10), bytes(20), bytes(5)):
        deliver(inbox, message)
    assert contents(inbox.take(longest=10)) == [bytes(10), bytes(5)]
    assert contents(inbox.take()) == [bytes(20)]
