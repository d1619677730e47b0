"""The journal, when anything is raised while a round is being written, or a waiter is killed.

A round has one outcome, which all callers that wait for it get. Entries that nobody waits for stay
due and are written later. After each test, the entries on disk are compared.
"""

import logging
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import monkey
from gevent.threadpool import ThreadPool

from nym.errors import StoreError
from nym.store import journal as journal_module
from nym.store.database import Change, Database
from nym.store.journal import Journal
from nym.store.outbox import Manner, Outbox, Outgoing, new_id
from tests.faults.injection import Point
from tests.harness import PATIENCE, wait_until

KEY = bytes(32)
UNFORESEEN = [
    MemoryError(),
    RuntimeError("can't start new thread"),
    ValueError("libsodium's"),
    sqlite3.Warning("which is no sqlite3.Error"),
    gevent.GreenletExit(),
    SystemExit(),
]
POINTS = {
    "room": (Database, "lack"),
    "transaction": (Database, "transact"),
    "sealing": (Database, "_seal"),
    "thread": (ThreadPool, "spawn"),
    "commit": (Journal, "_commit"),
}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "RETRY", 0.01)


def on_disk(folder: Path) -> list[tuple[str, bytes]]:
    """The entries that the next start of the client finds."""
    journal = Journal(folder, KEY)
    entries = journal.take_short("a")
    journal.close()
    return entries


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("error", UNFORESEEN, ids=lambda error: type(error).__name__)
def test_every_round_ends_once_and_nothing_that_was_due_is_lost(
    journal: Journal,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    point: str,
    error: BaseException,
) -> None:
    caplog.set_level(logging.INFO)
    if point in ("thread", "commit") and not isinstance(error, Exception):
        pytest.skip("the loop is where this comes from elsewhere, and it ends the program")
    fault = Point(monkeypatch, *POINTS[point])
    heard: list[StoreError | None] = []
    journal.put("a", "due", b"1")
    fault.fail(error, times=6)
    writers = [
        gevent.spawn(write, journal, Change("a", f"asked {i}", b"2"), heard.append)
        for i in range(3)
    ]
    with gevent.Timeout(PATIENCE):
        with pytest.raises(StoreError, match="can't be written"):
            journal.flush()
        gevent.joinall(writers)
        assert all(isinstance(writer.value, StoreError) for writer in writers)
        assert [type(outcome) for outcome in heard] == [StoreError] * 3
        journal.put("a", "due", b"3")
        wait_until(lambda: not journal._is_busy)
        journal.flush()
        journal.write([Change("a", "later", b"4")], heard.append)
    assert heard[3:] == [None]
    said = [record for record in caplog.records if record.name == "nym.store.journal"]
    assert [record.levelno for record in said] == [logging.ERROR, logging.INFO]
    journal.close()
    assert on_disk(tmp_path) == [("due", b"3"), ("later", b"4")]


def write(
    journal: Journal, change: Change, then: Callable[[StoreError | None], None]
) -> StoreError | None:
    try:
        journal.write([change], then)
    except StoreError as error:
        return error
    return None


def test_an_unforeseen_error_comes_with_a_report_and_a_foreseen_one_without(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fault = Point(monkeypatch, Database, "_make")
    for error in (ValueError(), MemoryError(), sqlite3.OperationalError("disk I/O error")):
        fault.fail(error, times=2)
        journal.put("a", "1", b"")
        wait_until(lambda: not journal._is_busy)
    reports = [record.exc_info for record in caplog.records]
    assert [report and report[0] for report in reports] == [ValueError, None, None]
    assert "no memory is left" in caplog.text


class Gate:
    """Stops transactions in the journal's thread while it is closed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # A lock of the system, never gevent's: the journal's thread waits for it, and has no hub.
        self._lock = monkey.get_original("_thread", "allocate_lock")()
        self.met = 0
        transact = Database.transact

        def slow(database: Database, *arguments: object, **more: object) -> StoreError | None:
            self.met += 1
            with self._lock:
                return transact(database, *arguments, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(Database, "transact", slow)

    def close(self) -> None:
        self._lock.acquire()

    def open(self) -> None:
        if self._lock.locked():
            self._lock.release()


@pytest.fixture
def gate(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate(monkeypatch)
    yield gate
    gate.open()  # otherwise closing the journal would wait for the thread for ever


@pytest.mark.parametrize("fails", [False, True])
def test_a_killed_waiter_leaves_one_outcome_behind(
    journal: Journal,
    reopen: Callable[[], Journal],
    gate: Gate,
    monkeypatch: pytest.MonkeyPatch,
    *,
    fails: bool,
) -> None:
    outbox = Outbox(journal)
    outgoing = Outgoing(new_id(), b"a" * 32, b"message", Manner.SEALED)
    gate.close()
    accepting = gevent.spawn(outbox.accept, [outgoing])
    wait_until(lambda: gate.met)
    accepting.kill()
    if fails:
        Point(monkeypatch, Database, "_make").fail(sqlite3.OperationalError("disk I/O error"))
    gate.open()
    wait_until(lambda: not journal._is_busy)
    arrived = [arrived.id for arrived, _ in outbox.arrivals()]
    assert arrived == ([] if fails else [outgoing.id])
    assert len(outbox) == len(arrived)
    again = Outbox(reopen())
    assert [arrived.id for arrived, _ in again.arrivals()] == arrived


def test_what_the_thread_could_not_begin_is_never_written_later(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spawn, tasks = ThreadPool.spawn, list[tuple[Any, Any]]()

    def queued(pool: ThreadPool, function: Any, this: Any) -> None:
        tasks.append((function, this))  # the real pool, too, queues the task before this error
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(ThreadPool, "spawn", queued)
    assert isinstance(write(journal, Change("a", "1", b""), lambda _: None), StoreError)
    monkeypatch.setattr(ThreadPool, "spawn", spawn)
    for function, this in tasks:
        journal._thread.apply(function, (this,))
    journal.close()
    assert on_disk(tmp_path) == []


def test_a_client_that_gets_no_thread_says_so_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Point(monkeypatch, ThreadPool, "_add_thread").fail(RuntimeError("can't start new thread"))
    with pytest.raises(StoreError, match="can't start a thread"):
        Journal(tmp_path, KEY)


@pytest.mark.parametrize("state", ["fresh", "idle", "due", "writing", "failing", "closed"])
def test_closing_ends_everything_in_every_state(
    journal: Journal, tmp_path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    waiting: list[gevent.Greenlet[..., StoreError | None]] = []
    if state != "fresh":
        journal.write([Change("a", "1", b"")])
    if state == "due":
        journal.put("a", "2", b"")
    if state == "writing":
        gate.close()
        journal.put("a", "2", b"")
        waiting = [gevent.spawn(write, journal, Change("a", "3", b""), lambda _: None)]
        before = gate.met
        wait_until(lambda: gate.met > before)
        gevent.spawn_later(0.05, gate.open)
    if state == "failing":
        Point(monkeypatch, Database, "_make").fail(OSError("no disk"), times=1000)
        journal.put("a", "2", b"")
        wait_until(lambda: journal._retry)
    if state == "closed":
        journal.close()
    with gevent.Timeout(PATIENCE):
        closing = [gevent.spawn(journal.close) for _ in range(2)]
        gevent.joinall(closing, raise_error=True)
        gevent.joinall(waiting, raise_error=True)
        assert isinstance(write(journal, Change("a", "4", b""), lambda _: None), StoreError)
        journal.put("a", "5", b"")
        journal.flush()
    assert all(greenlet.value is None for greenlet in waiting)
    assert journal._retry is None, "its timer was closed by the loop that it belongs to"
    monkeypatch.undo()
    expected = {"fresh": [], "due": ["1", "2"], "writing": ["1", "2", "3"]}.get(state, ["1"])
    assert [entry_id for entry_id, _ in on_disk(tmp_path)] == expected
