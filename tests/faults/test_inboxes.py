"""A provider's inboxes, when the disk fails, anything is raised, or the process is killed.

What was acknowledged is never lost, what was named in a pull never comes again, and every caller
gets one outcome.
"""

import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from itertools import count
from pathlib import Path

import gevent
import pytest
from gevent.threadpool import ThreadPool

from nym.errors import NymError, OutcomeUnknownError, StoreError
from nym.nodes.inboxes.local import open_inboxes
from nym.nodes.inboxes.places import open_at
from nym.nodes.inboxes.sqlite import SqliteEngine
from nym.nodes.inboxes.stored import StoredInboxes
from tests.faults.inboxes_victim import CLIENTS
from tests.faults.injection import Disk, Point
from tests.harness import PATIENCE, SmallDisk, beside, wait_until
from tests.postgres import Line, Postgres

ALICE = CLIENTS[0]
KILLS = int(os.environ.get("NYM_KILLS", "8"))
LONGEST_LIFE = 0.3  # seconds from when the inboxes are open until their process is killed
UNFORESEEN = [
    MemoryError(),
    RuntimeError("can't start new thread"),
    ValueError("of the test"),
    sqlite3.Warning("which is no sqlite3.Error"),
    gevent.GreenletExit(),
]
POINTS = {
    "room": (SqliteEngine, "lack"),
    "transaction": (SqliteEngine, "transact"),
    "statements": (SqliteEngine, "_execute"),
    "thread": (ThreadPool, "spawn"),
    "commit": (StoredInboxes, "_commit"),
}


Reopen = Callable[[], StoredInboxes]


@pytest.fixture
def reopen(tmp_path: Path) -> Iterator[Reopen]:
    with ExitStack() as opened:

        def again() -> StoredInboxes:
            opened.close()
            return opened.enter_context(closing(StoredInboxes(SqliteEngine(tmp_path))))

        yield again


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("error", UNFORESEEN, ids=lambda error: type(error).__name__)
def test_every_caller_gets_one_outcome_and_it_is_true(
    reopen: Reopen, monkeypatch: pytest.MonkeyPatch, point: str, error: BaseException
) -> None:
    if point in ("thread", "commit") and not isinstance(error, Exception):
        pytest.skip("the loop is where this comes from elsewhere, and it ends the program")
    inboxes = reopen()
    inboxes.open(ALICE)
    inboxes.put(ALICE, b"before")
    fault = Point(monkeypatch, *POINTS[point])
    fault.fail(error, times=2)
    outcomes: list[NymError | None] = []
    with gevent.Timeout(PATIENCE):
        for _ in range(3):
            inboxes.keep(ALICE, b"refused", outcomes.append)
        inboxes.flush()
        assert [type(outcome) for outcome in outcomes] == [StoreError] * 3
        fault.fail(error, times=1)
        with pytest.raises(StoreError):
            inboxes.hand_over(ALICE, [], 5)
        fault.fail(error, times=1)
        with pytest.raises(StoreError):
            inboxes.take(ALICE, 5)
        fault.work()
        inboxes.put(ALICE, b"after")
    assert len(outcomes) == 3
    assert inboxes.count() == 2
    assert reopen().take(ALICE, 5) == [b"before", b"after"]


def test_what_follows_an_outcome_and_fails_hurts_nobody_else(
    reopen: Reopen, caplog: pytest.LogCaptureFixture
) -> None:
    inboxes = reopen()
    inboxes.open(ALICE)
    outcomes: list[NymError | None] = []

    def fails(_: NymError | None) -> None:
        raise ValueError("of the test")

    inboxes.keep(ALICE, b"", fails)
    inboxes.keep(ALICE, b"", outcomes.append)
    inboxes.flush()
    assert outcomes == [None]
    assert "ValueError: of the test" in caplog.text


ERRORS = {
    "full": sqlite3.SQLITE_FULL,
    "fsync": sqlite3.SQLITE_IOERR,
    "damage": sqlite3.SQLITE_CORRUPT,
    "memory": sqlite3.SQLITE_NOMEM,
}


def _error(kind: str) -> sqlite3.Error:
    error = sqlite3.OperationalError(f"{kind}, in the test")
    error.sqlite_errorcode = ERRORS[kind]
    return error


@pytest.mark.parametrize("kind", ERRORS)
def test_every_statement_fails_in_turn(
    reopen: Reopen, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    Disk.install(monkeypatch)
    inboxes = reopen()
    inboxes.open(ALICE)
    acknowledged: set[bytes] = set()
    handed_over: set[bytes] = set()
    tried: set[bytes] = set()
    for at in range(1, 9):
        for failures in (1, 3):
            Disk.fail(at, failures, _error(kind))
            for _ in range(2):
                message = os.urandom(8)
                tried.add(message)
                try:
                    inboxes.put(ALICE, message)
                except StoreError:
                    continue
                acknowledged.add(message)
            Disk.fail(at, failures, _error(kind))
            try:
                handed_over |= set(inboxes.take(ALICE, 1))
            except StoreError:
                Disk.fail(0, 0, _error(kind))
            Disk.fail(0, 0, _error(kind))
            assert inboxes.count() == inboxes.run(
                lambda execute, _: execute("SELECT COUNT(*) FROM message")[0][0]
            )
    left = set(reopen().take(ALICE, 1000))
    assert acknowledged <= left | handed_over <= tried
    assert acknowledged
    assert handed_over


def test_what_may_be_deleted_is_handed_over(
    reopen: Reopen, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    inboxes = reopen()
    inboxes.open(ALICE)
    inboxes.put(ALICE, b"message")
    with monkeypatch.context() as patch:
        transact = SqliteEngine.transact

        def cut(engine: SqliteEngine, *what: object, **how: object) -> None:
            transact(engine, *what, **how)  # type: ignore[arg-type]
            raise OutcomeUnknownError("the line broke")

        patch.setattr(SqliteEngine, "transact", cut)
        assert inboxes.take(ALICE, 5) == [b"message"]
        with pytest.raises(OutcomeUnknownError):
            inboxes.put(ALICE, b"may be there")
    assert "may come again" in caplog.text


def test_a_provider_that_gets_no_thread_says_so_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Point(monkeypatch, ThreadPool, "_add_thread").fail(RuntimeError("can't start new thread"))
    with pytest.raises(StoreError, match="can't start a thread"):
        open_inboxes(tmp_path)


def test_a_full_disk_refuses_what_comes_and_lets_go_what_waits(disk: SmallDisk) -> None:
    with closing(open_inboxes(disk.folder)) as inboxes:
        inboxes.open(ALICE)
        kept = 0
        with suppress(StoreError):
            while True:
                inboxes.put(ALICE, kept.to_bytes(8) + bytes(900))
                kept += 1
        assert kept > 50
        disk.fill()
        for _ in range(3):
            with pytest.raises(StoreError):
                inboxes.put(ALICE, bytes(900))
        first = inboxes.take(ALICE, kept // 2)
        got = inboxes.hand_over(ALICE, [], kept)
        assert [int.from_bytes(message[:8]) for message in first] == list(range(kept // 2))
        assert [int.from_bytes(one.message[:8]) for one in got] == list(range(kept // 2, kept))
        assert inboxes.hand_over(ALICE, [one.number for one in got], kept) == []
        disk.empty()
        inboxes.put(ALICE, b"after")
        assert inboxes.count() == 1


class Book:
    """What victims have said, and whether it is true."""

    def __init__(self) -> None:
        self.said: dict[str, set[str]] = {"open": set(), "kept": set(), "seen": set()}
        self.said["deleted"] = set()

    def note(self, lines: list[str]) -> None:
        """Note the lines of one victim, from its start to its end."""
        assert lines[0].startswith("open"), lines
        for line in lines[1:]:
            what, _, message = line.partition(" ")
            assert what != "seen" or message not in self.said["deleted"], "it came again"
            self.said[what].add(message)

    def check(self, folder: Path, store: str) -> None:
        """Check that nothing is lost, and that nothing that was deleted is there."""
        with closing(open_at(store, folder)) as inboxes:
            left = {
                message[:16].hex()
                for client in CLIENTS
                for message in inboxes.take(client, 1 << 20)
            }
            assert inboxes.count() == 0
        assert self.said["kept"] <= left | self.said["seen"]
        assert not left & self.said["deleted"]
        assert self.said["deleted"]


@pytest.mark.no_cover  # a program that is killed can't say which lines it has entered
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_killed_provider_loses_nothing_and_brings_nothing_twice(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str
) -> None:
    store = ""
    if kind == "postgresql":
        postgres: Postgres = request.getfixturevalue("postgres")
        store = postgres.url(postgres.database())
    book = Book()
    kills = count()
    # On a busy machine, the first ones may not get as far as a second pull.
    while next(kills) < KILLS or not book.said["deleted"]:
        with _victim(tmp_path, store) as victim:
            assert victim.stdout
            first = victim.stdout.readline()
            killing = gevent.get_hub().threadpool.spawn(_kill_later, victim)
            rest = victim.stdout.read()
            killing.get()
        book.note(_whole_lines(first + rest))
    book.check(tmp_path, store)


@pytest.mark.no_cover
def test_a_database_that_is_killed_stopped_or_cut_off_loses_nothing(tmp_path: Path) -> None:
    if not Postgres.is_installed():
        pytest.skip("PostgreSQL isn't installed; scripts/prepare --tests does that")
    book = Book()
    with Postgres() as server, Line(server).laid() as line:
        database = server.database()
        faults: list[Callable[[], None]] = [server.cut, line.cut, server.kill, server.stop]
        with _victim(tmp_path, line.url(database)) as victim:
            assert victim.stdout
            said = [beside(victim.stdout.readline)]
            reading = gevent.get_hub().threadpool.spawn(said.extend, victim.stdout)
            for _ in range(KILLS):
                gevent.sleep(random.uniform(0, 2 * LONGEST_LIFE))
                random.choice(faults)()
                if not server.is_running:
                    server.start()
            # On a busy machine, the faults may have come before a second pull.
            wait_until(lambda: any(line.startswith(b"deleted") for line in said))
            victim.kill()
            reading.get()
            book.note(_whole_lines(b"".join(said)))
        book.check(tmp_path, server.url(database))


def _victim(folder: Path, store: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "tests.faults.inboxes_victim", str(folder), store]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def _whole_lines(written: bytes) -> list[str]:
    return written.decode().split("\n")[:-1]  # the last one may be cut


def _kill_later(victim: "subprocess.Popen[bytes]") -> None:
    try:
        victim.wait(random.uniform(0, LONGEST_LIFE))
    except subprocess.TimeoutExpired:
        victim.kill()
