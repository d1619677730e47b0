"""The outbox: an accepted message is kept, over starts and full disks, until it has ended."""

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from struct import pack

import gevent
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nym.errors import BusyError, StoreError
from nym.store import endings, room
from nym.store.journal import Journal
from nym.store.outbox import ID_LENGTH, Manner, Outbox, Outgoing, _decode, _encode, new_id
from nym.store.room import MOST_MESSAGES
from nym.wire.keys import encode_base58
from nym.wire.pieces import Pieces, prefix

ALICE = b"a" * 32


def messages(*texts: bytes, manner: Manner = Manner.SEALED) -> list[Outgoing]:
    return [Outgoing(new_id(), ALICE, text, manner) for text in texts]


@pytest.fixture
def outbox(journal: Journal) -> Outbox:
    return Outbox(journal)


@pytest.fixture
def reopened(reopen: Callable[[], Journal]) -> Callable[[], Outbox]:
    """Returns the outbox of the next start."""
    return lambda: Outbox(reopen())


def arrived(outbox: Outbox) -> list[tuple[Outgoing, bytes]]:
    """The arrivals, without the time and the number that the outbox adds to each message."""
    return [
        (outgoing._replace(accepted=0.0, number=0), progress)
        for outgoing, progress in outbox.arrivals()
    ]


@pytest.mark.parametrize("manner", Manner)
def test_what_is_accepted_arrives_once_now_and_at_each_start_until_it_is_done(
    outbox: Outbox, reopened: Callable[[], Outbox], manner: Manner
) -> None:
    accepted = messages(b"1", b"", bytes(5000), manner=manner)
    assert outbox.accept(accepted) == [None] * 3
    assert arrived(outbox) == [(outgoing, b"") for outgoing in accepted]
    assert arrived(outbox) == []
    outbox.done(accepted[0].id)
    outbox.note(accepted[2].id, b"half")
    assert len(outbox) == 2
    again = reopened()
    assert len(again) == 2
    assert arrived(again) == [(accepted[1], b""), (accepted[2], b"half")]


def bytes_of(length: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=length, max_size=length)


WRITTEN = st.builds(
    Outgoing,
    id=bytes_of(ID_LENGTH).map(bytes.hex),
    recipient=bytes_of(32),
    message=st.binary() | st.lists(st.binary(min_size=1), min_size=2).map(Pieces),
    manner=st.sampled_from(Manner),
    accepted=st.floats(allow_nan=False),
    number=st.just(0),
    # Zeros stand for the main address, and for no tag. Both are random, so they are never that.
    own=st.just(b"") | bytes_of(32).filter(any),
    tag=st.just(b"") | bytes_of(16).filter(any),
)


@given(WRITTEN)
def test_an_entry_is_read_as_it_was_written(outgoing: Outgoing) -> None:
    assert _decode(outgoing.id, _encode(outgoing), 0.0) == (outgoing, True)


@given(WRITTEN)
def test_an_entry_of_before_there_were_answers_has_the_main_address_and_no_tag(
    written: Outgoing,
) -> None:
    head = bytes([0x80 | written.manner]) + pack(">d", written.accepted) + written.recipient
    read, is_dated = _decode(written.id, prefix(head, written.message), 0.0)
    assert (read, is_dated) == (written._replace(own=b"", tag=b""), True)
    assert not read.ends.is_reply


@given(WRITTEN)
def test_an_entry_of_before_messages_had_a_time_gets_one(written: Outgoing) -> None:
    head = bytes([written.manner]) + written.recipient
    read, is_dated = _decode(written.id, prefix(head, written.message), 7.0)
    assert (read, is_dated) == (written._replace(accepted=7.0, own=b"", tag=b""), False)


def test_the_ends_of_an_answer_outlive_a_start(
    outbox: Outbox, reopened: Callable[[], Outbox]
) -> None:
    own, tag = b"o" * 32, b"t" * 16
    accepted = [
        outgoing._replace(own=one, tag=other)
        for outgoing, one, other in zip(
            messages(b"1", b"2", b"3", bytes(100_000)),
            (b"", own, b"", own),
            (b"", b"", tag, tag),
            strict=True,
        )
    ]
    assert outbox.accept(accepted) == [None] * 4
    again = arrived(reopened())
    assert [outgoing for outgoing, _ in again] == accepted
    assert [outgoing.ends for outgoing, _ in again] == [outgoing.ends for outgoing in accepted]


def test_of_what_is_done_nothing_is_left(outbox: Outbox, journal: Journal) -> None:
    (outgoing,) = messages(bytes(5000))
    outbox.accept([outgoing])
    outbox.note(outgoing.id, b"half")
    outbox.done(outgoing.id)
    journal.flush()
    entries = journal._database._connection.execute("SELECT count(*) FROM entry").fetchone()
    assert entries == (0,)


def test_many_at_once_take_one_commit(outbox: Outbox, journal: Journal) -> None:
    commits: list[str] = []
    journal._database._connection.set_trace_callback(
        lambda statement: commits.append(statement) if statement == "COMMIT" else None
    )
    senders = [gevent.spawn(outbox.accept, messages(*[b"x"] * 100)) for _ in range(20)]
    gevent.joinall(senders, raise_error=True)
    assert len(outbox) == 2000
    assert 1 <= len(commits) <= 3


def test_a_message_without_progress_takes_two_changes_on_disk(
    outbox: Outbox, journal: Journal
) -> None:
    changes: list[str] = []
    journal._database._connection.set_trace_callback(
        lambda statement: changes.append(statement.partition(" ")[0])
    )
    (outgoing,) = messages(b"short")
    outbox.accept([outgoing])
    outbox.done(outgoing.id)
    journal.flush()
    assert [one for one in changes if one in ("INSERT", "DELETE")] == ["INSERT", "DELETE"]


@pytest.mark.parametrize(("limit", "value"), [("MOST_MESSAGES", 4), ("MOST_BYTES", 20)])
def test_one_recipient_has_half_of_the_outbox_and_a_full_one_says_who_fills_it(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(room, limit, value)
    now = 1000.0
    outbox = Outbox(journal, lambda: now, lambda oldest: f"{bytes(oldest.message)[0]} is silent")
    first, second, third = messages(b"first", b"secnd", b"third")
    assert outbox.accept([first, second]) == [None, None]
    now += 7300.0
    (refusal,) = outbox.accept([third])
    assert isinstance(refusal, BusyError)
    half = f"no recipient can have more than half of the outbox, and {encode_base58(ALICE)} has"
    assert half in str(refusal)
    assert "2 messages of 0.0 MiB" in str(refusal)
    assert "has waited for 2 h 1 min: 102 is silent" in str(refusal)
    others = [
        m._replace(recipient=bytes([i]) * 32) for i, m in enumerate(messages(*[b"other"] * 3))
    ]
    *taken, refusal = outbox.accept(others)
    assert taken == [None, None]
    assert (
        f"full, with 4 messages of 0.0 MiB; 2 messages of 0.0 MiB of it for {encode_base58(ALICE)}"
        in str(refusal)
    )
    outbox.done(first.id)
    assert outbox.accept([third]) == [None]
    assert [o.id for o in outbox.waiting(0, 10)] == [
        second.id,
        others[0].id,
        others[1].id,
        third.id,
    ]


def test_many_refusals_at_once_are_cheap(journal: Journal) -> None:
    outbox = Outbox(journal)
    half = MOST_MESSAGES // 2
    outbox.accept(messages(*[b"x"] * half))
    # A refusal says what fills the outbox, and why that waits. The text is made once for all of
    # them, because making it for each would take long.
    began = time.process_time()
    outcomes = outbox.accept(messages(*[b"x"] * half))
    assert {type(outcome) for outcome in outcomes} == {BusyError}
    assert len({str(outcome) for outcome in outcomes}) == 1
    assert time.process_time() - began < 1.0


def test_without_room_on_the_disk_nothing_is_accepted_and_all_else_goes_on(
    outbox: Outbox, journal: Journal, reopened: Callable[[], Outbox]
) -> None:
    first = messages(b"first")
    outbox.accept(first)
    fill(journal._database._connection)
    outcomes = outbox.accept(messages(bytes(1 << 20), b"small"))
    assert [type(outcome) for outcome in outcomes] == [StoreError, StoreError]
    assert "disk is full" in str(outcomes[0])
    assert len(outbox) == 1
    assert arrived(outbox) == [(first[0], b"")]
    fill(journal._database._connection, 1 << 30)
    assert outbox.accept(messages(b"second")) == [None]
    assert len(reopened()) == 2


def fill(connection: sqlite3.Connection, pages: int = 1) -> None:
    """Limit the database to this many pages, or to those that it has, if they are more."""
    connection.execute(f"PRAGMA max_page_count = {pages}")


def test_what_is_given_up_is_remembered(
    outbox: Outbox, reopened: Callable[[], Outbox], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endings, "MOST_ENDED", 2)
    accepted = messages(b"1", b"2", b"3")
    outbox.accept(accepted)
    for outgoing in accepted:
        outbox.give_up(outgoing.id)
    ids = [outgoing.id for outgoing in accepted[1:]]
    assert outbox.failed == ids
    again = reopened()
    assert (len(again), again.failed) == (0, ids)


def test_how_old_a_message_is_outlives_a_start(
    journal: Journal, reopen: Callable[[], Journal]
) -> None:
    outbox = Outbox(journal, lambda: 1_000_000.5)
    outbox.accept(messages(b"old"))
    again = Outbox(reopen(), lambda: 1_000_300.5)
    ((old, _),) = again.arrivals()
    assert (old.message, again.age(old)) == (b"old", 300.0)


@pytest.mark.parametrize("manner", Manner)
def test_entries_of_before_messages_had_a_time_are_read_and_grow_old_once(
    journal: Journal, tmp_path: Path, manner: Manner
) -> None:
    journal.put("outgoing", "00" * 16, bytes([manner]) + ALICE + b"text")
    journal.close()
    for now in (500.0, 800.0):
        journal = Journal(tmp_path, bytes(32))
        outbox = Outbox(journal, lambda: now)  # noqa: B023
        ((old, _),) = outbox.arrivals()
        assert (old.id, old.recipient, old.message) == ("00" * 16, ALICE, b"text")
        assert old.manner is manner
        assert outbox.age(old) == now - 500.0
        journal.close()


def test_what_is_cancelled_is_gone_and_remembered(
    outbox: Outbox, reopened: Callable[[], Outbox]
) -> None:
    first, second = messages(b"first", b"second")
    outbox.accept([first, second])
    outbox.cancel(first.id)
    outbox.flush()
    assert outbox.was_cancelled(first.id)
    assert not outbox.has_failed(first.id)
    again = reopened()
    assert again.was_cancelled(first.id)
    assert [outgoing.message for outgoing, _ in again.arrivals()] == [b"second"]


def test_nothing_can_be_cancelled_before_it_is_on_disk(outbox: Outbox, journal: Journal) -> None:
    (outgoing,) = messages(b"being written")
    accepting = gevent.spawn(outbox.accept, [outgoing])
    gevent.sleep(0)  # until the message is being written
    assert outgoing.id not in outbox
    outbox.cancel(outgoing.id)
    assert accepting.get() == [None]
    assert outgoing.id in outbox
    assert not outbox.was_cancelled(outgoing.id)


def test_what_ended_before_it_was_seen_does_not_arrive(outbox: Outbox) -> None:
    first, second = messages(b"first", b"second")
    outbox.accept([first, second])
    outbox.cancel(first.id)
    assert [outgoing.id for outgoing, _ in outbox.arrivals()] == [second.id]


def test_an_arrival_over_which_something_was_raised_arrives_again(outbox: Outbox) -> None:
    first, second = messages(b"first", b"second")
    outbox.accept([first, second])
    next(outbox.arrivals())  # as if an error had ended the loop over the arrivals here
    assert [outgoing.id for outgoing, _ in outbox.arrivals()] == [first.id, second.id]


def test_watchers_are_all_told_once_whatever_one_of_them_raises(
    outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(message_id: str) -> None:
        raise MemoryError

    told: list[str] = []
    for watcher in (fail, told.append):
        outbox.watch(watcher)
    (outgoing,) = messages(b"failed")
    outbox.accept([outgoing])
    for _ in range(2):
        outbox.give_up(outgoing.id)
    assert told == [outgoing.id]
    assert outbox.failed == [outgoing.id]
    assert len(outbox) == 0
    assert "could not be told" in caplog.text
