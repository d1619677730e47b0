"""The journal: callers return when their entries are on disk; due entries are tried until then."""

import logging
from pathlib import Path
from tempfile import TemporaryDirectory

import gevent
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nym.errors import StoreError
from nym.store import journal as journal_module
from nym.store.database import Change, Database, Parts
from nym.store.journal import Journal
from nym.wire.pieces import PIECE, gather
from tests.harness import PATIENCE, noted_rounds, wait_until

KEY = bytes(32)


def reopen(journal: Journal, folder: Path, key: bytes = KEY) -> Journal:
    journal.close()
    return Journal(folder, key)


def test_entries_last_in_their_order(journal: Journal, tmp_path: Path) -> None:
    journal.put("a", "2", b"two")
    journal.put("a", "1", b"")
    journal.put("b", "1", b"another kind")
    journal.put("a", "2", b"two, changed")
    journal.put("a", "3", b"three")
    journal.drop("a", "3")
    journal.drop("a", "never there")
    again = reopen(journal, tmp_path)
    assert again.take("a") == [("2", b"two, changed"), ("1", b"")]
    assert again.take("a") == []
    assert again.take("b") == [("1", b"another kind")]
    again.close()


IDS = st.sampled_from(["1", "2", "1 0", "1 1"])
CHANGES = st.one_of(
    st.builds(Change, st.sampled_from("ab"), IDS, st.binary(max_size=4) | st.none()),
    # A long entry's pieces are named after it, like the parts of another one.
    st.builds(Change, st.just("a"), st.just("2"), st.just(gather([bytes(PIECE), b"end"]))),
    st.builds(Parts, st.sampled_from("ab"), st.just("1")),
)


@settings(max_examples=60, deadline=None)
@given(changes=st.lists(CHANGES, max_size=12))
def test_changes_in_one_transaction_do_what_they_do_one_by_one(
    changes: list[Change | Parts],
) -> None:
    found = []
    for rounds in ([changes], [[change] for change in changes]):
        with TemporaryDirectory() as folder:
            database = Database(Path(folder), KEY)
            assert [database.transact(some) for some in rounds] == [None] * len(rounds)
            database.close()
            again = Database(Path(folder), KEY)
            again.close()
        found.append(
            {
                kind: [(entry_id, bytes(body)) for entry_id, body in entries]
                for kind, entries in again.entries.items()
            }
        )
    assert found[0] == found[1]


def test_an_entry_that_changes_often_is_written_once_a_round(journal: Journal) -> None:
    written: list[str] = []
    journal._database._connection.set_trace_callback(
        lambda statement: written.append(statement) if "INSERT" in statement else None
    )
    for number in range(100):
        journal.put("a", "1", b"%d" % number)
    journal.flush()
    assert len(written) == 1


def test_write_and_flush_return_when_the_disk_has_it(journal: Journal, tmp_path: Path) -> None:
    journal.write([Change("a", "1", b"one")])
    journal.put("a", "2", b"two")
    journal.flush()
    # The files as a kill -9 at this moment would leave them.
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in tmp_path.glob("client.db*"):
        (copy / path.name).write_bytes(path.read_bytes())
    killed = Journal(copy, KEY)
    assert killed.take("a") == [("1", b"one"), ("2", b"two")]
    killed.close()


def test_a_flush_waits_for_the_round_that_has_everything_and_for_no_more(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = noted_rounds(journal, monkeypatch)

    def written() -> list[int]:
        return [len(changes) for changes in rounds]

    journal.put("a", "1", b"one")
    gevent.sleep(0)  # from now on, that is being written
    journal.flush()
    assert written() == [1]
    journal.put_along("a", "2", b"two")
    gevent.sleep(0.01)
    assert written() == [1], "it begins no round"
    journal.put("a", "3", b"three")
    journal.flush()
    assert written() == [1, 2]
    journal.put_along("a", "4", b"four")
    journal.flush()
    journal.flush()
    assert written() == [1, 2, 1]


def test_what_has_to_be_written_is_tried_until_it_is(
    journal: Journal,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(journal_module, "RETRY", 0.01)
    journal.flush()
    journal._database._connection.execute("PRAGMA max_page_count = 1")
    journal.put("a", "1", bytes(1 << 20))
    with pytest.raises(StoreError, match="full"):
        journal.flush()
    with pytest.raises(StoreError, match="full"):
        journal.write([Change("a", "2", b"two")])
    journal.put("a", "3", b"three")
    journal._database._connection.execute("PRAGMA max_page_count = 100000")
    wait_until(lambda: not journal._is_busy)
    assert caplog.text.count("can't be written") == 1
    assert caplog.text.count("can be written again") == 1
    again = reopen(journal, tmp_path)
    assert [entry_id for entry_id, _ in again.take("a")] == ["1", "3"]
    again.close()


def test_what_was_asked_for_and_does_not_fit_keeps_nothing_else_from_the_disk(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "RETRY", 3600.0)
    journal.write([Change("a", "1", bytes(1 << 16))])
    journal._database._connection.execute("PRAGMA max_page_count = 1")
    journal.drop("a", "1")
    with pytest.raises(StoreError):
        journal.write([Change("a", "2", bytes(1 << 20))])
    with gevent.Timeout(PATIENCE):
        journal.flush()
    again = reopen(journal, tmp_path)
    assert again.take("a") == []
    again.close()


def test_writers_get_their_own_outcome(journal: Journal) -> None:
    journal._database._connection.execute("PRAGMA max_page_count = 30")
    writers = [
        gevent.spawn(journal.write, [Change("a", f"{i} {j}", bytes(9000)) for j in range(3)])
        for i in range(10)
    ]
    gevent.joinall(writers)
    assert all(isinstance(writer.exception, StoreError) for writer in writers)
    assert journal._database._connection.execute("SELECT count(*) FROM entry").fetchone() == (0,)
    journal.write([Change("a", "1", b"it goes on")])


class _BusyLoop:
    """An event loop that has no memory for another callback."""

    def run_callback(self, *_: object) -> None:
        raise MemoryError


def test_what_raises_is_not_asked_for_and_nobody_waits_for_ever(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "_loop", _BusyLoop())
    with pytest.raises(MemoryError):
        journal.put("a", "1", b"not asked for")
    monkeypatch.undo()
    journal.put("a", "2", b"two")
    with gevent.Timeout(PATIENCE):
        journal.flush()
    again = reopen(journal, tmp_path)
    assert again.take("a") == [("2", b"two")]
    again.close()
