"""Inboxes, in memory and in a database: what they keep, hand over and refuse."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import gevent
import pytest

from nym.config.nodes import InboxSettings
from nym.errors import (
    FolderInUseError,
    InboxFullError,
    NoInboxError,
    NymError,
    OverloadError,
    RemoteFormatError,
    StoreError,
)
from nym.nodes.inboxes import Gone, Inboxes, Numbered, statements, stored
from nym.nodes.inboxes.memory import MemoryInboxes
from nym.nodes.inboxes.postgresql import PostgresEngine
from nym.nodes.inboxes.shared import SharedInboxes
from nym.nodes.inboxes.sqlite import FILE, SqliteEngine
from nym.nodes.inboxes.stored import StoredInboxes
from nym.store.clock import LastingClock
from nym.wire.postgresql import parse_database_url

ALICE, BOB, CAROL = (bytes([number]) * 32 for number in (1, 2, 3))
DAY = 86_400.0
SETTINGS = InboxSettings(clients=3, messages=4, size=1000)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.time = 1_000_000_000.0

    def now(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


Open = Callable[[], Inboxes]


@pytest.fixture
def reopen(tmp_path: Path, clock: Clock) -> Iterator[Callable[[], StoredInboxes]]:
    """Closes the stored inboxes that are open, and opens those of the next start."""
    with ExitStack() as opened:

        def again() -> StoredInboxes:
            opened.close()
            inboxes = StoredInboxes(SqliteEngine(tmp_path), SETTINGS, lambda _: clock)
            return opened.enter_context(closing(inboxes))

        yield again


@pytest.fixture(params=["memory", "stored", "shared"])
def inboxes(
    request: pytest.FixtureRequest, clock: Clock, reopen: Callable[[], StoredInboxes]
) -> Iterator[Inboxes]:
    if request.param == "memory":
        yield MemoryInboxes(SETTINGS, clock.now)
    elif request.param == "stored":
        yield reopen()
    else:
        postgres = request.getfixturevalue("postgres")
        url = parse_database_url(postgres.url(postgres.database()))
        with closing(SharedInboxes(PostgresEngine(url), SETTINGS)) as shared:
            shared._clock = clock
            yield shared


def test_messages_come_out_in_their_order_and_once(inboxes: Inboxes) -> None:
    for client in (ALICE, BOB):
        inboxes.open(client)
    for number in range(3):
        inboxes.put(ALICE, b"%d" % number)
    inboxes.put(BOB, b"")
    assert (len(inboxes), sorted(inboxes.clients()), inboxes.count()) == (2, [ALICE, BOB], 4)
    assert inboxes.take(ALICE, 2) == [b"0", b"1"]
    assert inboxes.take(ALICE, 2) == [b"2"]
    assert inboxes.take(ALICE, 2) == []
    assert inboxes.take(BOB, 2) == [b""]
    assert inboxes.count() == 0


def test_what_is_handed_over_stays_until_it_is_named(inboxes: Inboxes) -> None:
    for client in (ALICE, BOB):
        inboxes.open(client)
        for word in (b"a", b"b", b"c"):
            inboxes.put(client, word)
    first = inboxes.hand_over(ALICE, [], 2)
    assert [message for _, message in first] == [b"a", b"b"]
    assert inboxes.hand_over(ALICE, [], 2) == first  # an answer that broke off costs nothing
    assert inboxes.count() == 6
    bobs = inboxes.hand_over(BOB, [], 1)[0].number
    left = inboxes.hand_over(ALICE, [first[1].number, bobs, 12345], 5)
    assert left[0] == first[0]
    assert [message for _, message in left] == [b"a", b"c"]
    assert inboxes.count() == 5
    assert inboxes.hand_over(BOB, [], 1)[0] == Numbered(bobs, b"a")
    assert inboxes.hand_over(ALICE, [number for number, _ in left], 5) == []
    inboxes.put(ALICE, b"d")
    assert inboxes.hand_over(ALICE, [], 5)[0].number > max(left).number


def test_an_unknown_client_has_no_inbox(inboxes: Inboxes) -> None:
    inboxes.open(BOB)
    assert ALICE not in inboxes
    assert BOB in inboxes
    with pytest.raises(NoInboxError):
        inboxes.put(ALICE, b"")
    with pytest.raises(NoInboxError):
        inboxes.take(ALICE, 1)
    with pytest.raises(NoInboxError):
        inboxes.hand_over(ALICE, [1], 1)
    assert inboxes.count() == 0


def test_an_inbox_is_full_by_its_messages_or_its_bytes(inboxes: Inboxes) -> None:
    for client in (ALICE, BOB):
        inboxes.open(client)
    for _ in range(SETTINGS.messages):
        inboxes.put(ALICE, b"")
    with pytest.raises(InboxFullError):
        inboxes.put(ALICE, b"")
    inboxes.put(BOB, bytes(SETTINGS.size - 1))
    with pytest.raises(InboxFullError):
        inboxes.put(BOB, b"12")
    inboxes.put(BOB, b"1")
    assert len(inboxes.take(ALICE, 1)) == 1
    inboxes.put(ALICE, b"")
    number = inboxes.hand_over(BOB, [], 1)[0].number
    inboxes.hand_over(BOB, [number], 1)
    inboxes.put(BOB, bytes(SETTINGS.size - 1))


def test_there_is_a_limit_of_clients_and_registering_again_is_no_new_one(inboxes: Inboxes) -> None:
    for client in (ALICE, BOB, CAROL, ALICE):
        inboxes.open(client)
    with pytest.raises(OverloadError, match="3 clients already"):
        inboxes.open(bytes(32))
    inboxes.settings = replace(SETTINGS, clients=4)
    inboxes.open(bytes(32))
    assert len(inboxes) == 4


def test_an_address_that_was_proven_is_never_opened_without_proof(inboxes: Inboxes) -> None:
    inboxes.open(ALICE)
    assert not inboxes.is_proven(ALICE)
    inboxes.open(ALICE, is_proven=True)
    inboxes.open(ALICE, is_proven=True)
    inboxes.open(BOB, is_proven=True)
    assert inboxes.is_proven(ALICE)
    assert inboxes.is_proven(BOB)
    with pytest.raises(RemoteFormatError, match="proven"):
        inboxes.open(ALICE)
    assert len(inboxes) == 2


def test_what_is_too_old_goes(inboxes: Inboxes, clock: Clock) -> None:
    inboxes.open(ALICE, is_proven=True)
    inboxes.open(BOB)
    inboxes.put(ALICE, b"old")
    clock.time += 20 * DAY
    inboxes.put(ALICE, b"new")
    inboxes.put(BOB, b"new")
    assert inboxes.age() == Gone(0, 0, is_all=True)
    clock.time += 11 * DAY
    assert inboxes.age() == Gone(1, 0, is_all=True)
    assert inboxes.take(ALICE, 5) == [b"new"]  # which is seen as a sign of life
    inboxes.put(BOB, b"newer")
    clock.time += 340 * DAY
    inboxes.put(ALICE, b"newest")
    assert inboxes.age() == Gone(2, 1, is_all=True)
    assert inboxes.clients() == [ALICE]
    assert inboxes.count() == 1
    clock.time += 370 * DAY
    assert inboxes.age() == Gone(1, 1, is_all=True)
    assert inboxes.is_proven(ALICE)
    with pytest.raises(RemoteFormatError, match="proven"):
        inboxes.open(ALICE)
    for client in (BOB, CAROL, bytes(32)):  # there is room for as many as before
        inboxes.open(client)


def test_what_is_stored_outlasts_the_process(reopen: Callable[[], StoredInboxes]) -> None:
    inboxes = reopen()
    for client in (CAROL, ALICE):
        inboxes.open(client)
    inboxes.open(BOB, is_proven=True)
    for word in (b"a", b"b", b"c"):
        inboxes.put(ALICE, word)
    first = inboxes.hand_over(ALICE, [], 1)[0]
    inboxes = reopen()
    assert (inboxes.clients(), inboxes.count()) == ([CAROL, ALICE, BOB], 3)
    assert inboxes.is_proven(BOB)
    assert inboxes.hand_over(ALICE, [first.number], 1)[0].message == b"b"
    assert inboxes.take(ALICE, 5) == [b"b", b"c"]
    inboxes = reopen()
    assert inboxes.count() == 0
    inboxes.put(ALICE, b"d")
    assert inboxes.hand_over(ALICE, [], 1)[0].number > first.number + 2


def test_many_at_once_take_one_commit_and_a_refusal_is_nobody_elses(
    reopen: Callable[[], StoredInboxes], monkeypatch: pytest.MonkeyPatch
) -> None:
    inboxes = reopen()
    inboxes.open(ALICE)
    inboxes.open(BOB)
    commits = []
    transact = inboxes.engine.transact
    monkeypatch.setattr(
        inboxes.engine,
        "transact",
        lambda work, has_to_be=False: (
            commits.append(work) or transact(work, has_to_be=has_to_be)  # type: ignore[func-returns-value]
        ),
    )
    outcomes: list[NymError | None] = []
    for _ in range(SETTINGS.messages + 2):
        inboxes.keep(ALICE, b"", outcomes.append)
    inboxes.keep(BOB, b"", outcomes.append)
    assert outcomes == []
    inboxes.flush()
    assert len(commits) == 1
    kept = [None] * SETTINGS.messages
    assert [error and type(error) for error in outcomes] == [*kept, *[InboxFullError] * 2, None]
    assert inboxes.count() == SETTINGS.messages + 1


def test_too_much_at_once_is_refused(
    reopen: Callable[[], StoredInboxes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "MOST_WAITING", 2)
    inboxes = reopen()
    inboxes.open(ALICE)
    outcomes: list[NymError | None] = []
    for _ in range(3):
        inboxes.keep(ALICE, b"", outcomes.append)
    assert [type(error) for error in outcomes] == [OverloadError]
    inboxes.flush()
    assert outcomes[1:] == [None, None]


def test_a_pull_of_nothing_asks_no_database(
    reopen: Callable[[], StoredInboxes], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    inboxes = reopen()
    inboxes.open(ALICE)
    inboxes.put(ALICE, b"one")
    inboxes.take(ALICE, 5)
    monkeypatch.setattr(inboxes, "_wake", lambda: pytest.fail("the thread was asked"))
    assert inboxes.take(ALICE, 5) == []
    assert inboxes.hand_over(ALICE, [], 5) == []
    monkeypatch.undo()
    # But that the client is there is noted before it counts as gone.
    clock.time += 364 * DAY
    assert inboxes.take(ALICE, 5) == []
    clock.time += 2 * DAY
    assert inboxes.age().clients == 0


def test_ageing_goes_in_small_steps(
    reopen: Callable[[], StoredInboxes], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statements, "AT_ONCE", 2)
    inboxes = reopen()
    for client in (ALICE, BOB, CAROL):
        inboxes.open(client)
        inboxes.put(client, b"")
    clock.time += 31 * DAY
    assert inboxes.age() == Gone(2, 0, is_all=False)
    assert inboxes.age() == Gone(1, 0, is_all=True)
    clock.time += 366 * DAY
    assert inboxes.age() == Gone(0, 2, is_all=False)
    assert inboxes.age() == Gone(0, 1, is_all=True)


def test_a_clock_that_was_set_ends_nothing(tmp_path: Path) -> None:
    for start, years in enumerate((0, 50, 100)):
        wall = 1.6e9 + years * 365 * DAY
        clock = partial(LastingClock, boot=partial(str, start), wall=partial(float, wall))
        with closing(StoredInboxes(SqliteEngine(tmp_path), SETTINGS, clock)) as inboxes:
            inboxes.open(ALICE)
            inboxes.put(ALICE, b"message")
            assert inboxes.age() == Gone(0, 0, is_all=True)
            assert inboxes.count() == start + 1


def test_two_processes_never_share_a_file(
    reopen: Callable[[], StoredInboxes], tmp_path: Path
) -> None:
    reopen()
    with pytest.raises(FolderInUseError):
        SqliteEngine(tmp_path)


def test_files_are_the_owners_alone(reopen: Callable[[], StoredInboxes], tmp_path: Path) -> None:
    reopen().open(ALICE)
    assert {path.stat().st_mode & 0o077 for path in tmp_path.iterdir()} == {0}


def test_a_newer_format_is_refused(reopen: Callable[[], StoredInboxes], tmp_path: Path) -> None:
    reopen().run(lambda execute, _: execute("UPDATE format SET number = 1000"))
    with pytest.raises(StoreError, match="newer version"):
        reopen()


@pytest.mark.parametrize("damage", ["empty", "header", "pages", "schema"])
def test_a_damaged_file_is_never_taken_for_an_empty_one(
    reopen: Callable[[], StoredInboxes], tmp_path: Path, damage: str
) -> None:
    inboxes = reopen()
    for client in (ALICE, BOB):
        inboxes.open(client)
    inboxes.close()
    path = tmp_path / FILE
    content = path.read_bytes()
    damaged = {
        "empty": b"",
        "header": b"\xff" * 100 + content[100:],
        "pages": content[:4096] + b"\xff" * (len(content) - 4096),
        # SQLite's error has this name in it, and Python can't read that.
        "schema": content.replace(b"tableformatformat", b"table\x87ormatformat").replace(
            b"CREATE TABLE format", b"CREATE TABLX format"
        ),
    }[damage]
    assert damaged != content
    path.write_bytes(damaged)
    with pytest.raises(StoreError, match=r"is damaged .* from a backup"):
        reopen()
    assert path.read_bytes() == damaged


def test_what_was_asked_for_has_its_outcome_when_they_are_closed(
    reopen: Callable[[], StoredInboxes],
) -> None:
    inboxes = reopen()
    inboxes.open(ALICE)
    putting = [gevent.spawn(inboxes.put, ALICE, b"") for _ in range(3)]
    gevent.sleep(0)
    inboxes.close()
    gevent.joinall(putting, raise_error=True)
    with pytest.raises(StoreError, match="closed"):
        inboxes.put(ALICE, b"")
    inboxes.close()
    assert reopen().count() == 3
