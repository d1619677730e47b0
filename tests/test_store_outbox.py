"""The outbox: what was accepted is kept, whatever happens."""

import sqlite3
from pathlib import Path

import gevent
import pytest

from nym.errors import BusyError, StoreError
from nym.store import outbox as outbox_module
from nym.store.journal import Journal
from nym.store.outbox import Manner, Outbox, Outgoing, new_id

ALICE = b"a" * 32


def messages(*texts: bytes, manner: Manner = Manner.SEALED) -> list[Outgoing]:
    return [Outgoing(new_id(), ALICE, text, manner) for text in texts]


@pytest.fixture
def outbox(journal: Journal) -> Outbox:
    return Outbox(journal)


def reopened(journal: Journal, folder: Path) -> Outbox:
    """The outbox of the next start."""
    journal.close()
    return Outbox(Journal(folder, bytes(32)))


@pytest.mark.parametrize("manner", Manner)
def test_what_is_accepted_arrives_once_now_and_at_each_start_until_it_is_done(
    outbox: Outbox, journal: Journal, tmp_path: Path, manner: Manner
) -> None:
    accepted = messages(b"1", b"", bytes(5000), manner=manner)
    assert outbox.accept(accepted) == [None] * 3
    assert outbox.arrivals() == [(outgoing, b"") for outgoing in accepted]
    assert outbox.arrivals() == []
    outbox.done(accepted[0].id)
    outbox.note(accepted[2].id, b"half")
    assert len(outbox) == 2
    again = reopened(journal, tmp_path)
    assert len(again) == 2
    assert again.arrivals() == [(accepted[1], b""), (accepted[2], b"half")]


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


@pytest.mark.parametrize(("limit", "value"), [("MOST_MESSAGES", 2), ("MOST_BYTES", 10)])
def test_a_full_outbox_says_so_and_takes_what_it_can(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(outbox_module, limit, value)
    accepted = messages(bytes(5), bytes(5), bytes(5))
    *taken, busy = outbox.accept(accepted)
    assert taken == [None, None]
    assert isinstance(busy, BusyError)
    assert "2 messages wait" in str(busy)
    outbox.done(accepted[0].id)
    assert outbox.accept(messages(bytes(5))) == [None]


def test_without_room_on_the_disk_nothing_is_accepted_and_all_else_goes_on(
    outbox: Outbox, journal: Journal, tmp_path: Path
) -> None:
    first = messages(b"first")
    outbox.accept(first)
    fill(journal._database._connection)
    outcomes = outbox.accept(messages(bytes(1 << 20), b"small"))
    assert [type(outcome) for outcome in outcomes] == [StoreError, StoreError]
    assert "disk is full" in str(outcomes[0])
    assert len(outbox) == 1
    assert outbox.arrivals() == [(first[0], b"")]
    fill(journal._database._connection, 1 << 30)
    assert outbox.accept(messages(b"second")) == [None]
    assert len(reopened(journal, tmp_path)) == 2


def fill(connection: sqlite3.Connection, pages: int = 1) -> None:
    """Let the database grow to this many pages at most; it never shrinks below what it has."""
    connection.execute(f"PRAGMA max_page_count = {pages}")


def test_what_is_given_up_is_remembered(
    outbox: Outbox, journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "MOST_FAILED", 2)
    accepted = messages(b"1", b"2", b"3")
    outbox.accept(accepted)
    for outgoing in accepted:
        outbox.give_up(outgoing.id)
    ids = [outgoing.id for outgoing in accepted[1:]]
    assert outbox.failed == ids
    again = reopened(journal, tmp_path)
    assert (len(again), again.failed) == (0, ids)
