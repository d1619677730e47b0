"""Inboxes in PostgreSQL: several processes with the same ones, and a database that goes away."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import gevent
import pytest
from pg8000.exceptions import InterfaceError

from nym.config.nodes import InboxSettings
from nym.errors import (
    InboxFullError,
    NoInboxError,
    OutcomeUnknownError,
    OverloadError,
    RemoteFormatError,
    StoreError,
)
from nym.nodes.inboxes import postgresql
from nym.nodes.inboxes.engine import Execute
from nym.nodes.inboxes.postgresql import PostgresEngine
from nym.nodes.inboxes.shared import SharedInboxes
from nym.wire.postgresql import parse_database_url
from tests.harness import beside, small_disk, wait_until
from tests.postgres import Line, Postgres

ALICE, BOB, CAROL = (bytes([number]) * 32 for number in (1, 2, 3))
SETTINGS = InboxSettings(clients=3, messages=10, size=1 << 20)


def engine(url: str) -> PostgresEngine:
    return PostgresEngine(parse_database_url(url))


@pytest.fixture
def database(postgres: Postgres) -> str:
    return postgres.database()


@pytest.fixture
def opened(postgres: Postgres, database: str) -> Iterator[Callable[..., SharedInboxes]]:
    """Opens the inboxes of one more process, by a URL or directly."""
    with ExitStack() as stack:

        def one_more(url: str = "") -> SharedInboxes:
            url = url or postgres.url(database)
            return stack.enter_context(closing(SharedInboxes(engine(url), SETTINGS)))

        yield one_more


Opened = Callable[..., SharedInboxes]


def test_what_one_process_keeps_another_one_hands_over(opened: Opened) -> None:
    one, other = opened(), opened()
    one.open(ALICE)
    other.put(ALICE, b"a")
    one.put(ALICE, b"b")
    assert [message for _, message in other.hand_over(ALICE, [], 5)] == [b"a", b"b"]
    assert one.take(ALICE, 5) == [b"a", b"b"]
    assert one.take(ALICE, 5) == []
    wait_until(lambda: other.count() == 0 and other.take(ALICE, 5) == [])
    one.put(ALICE, b"c")
    wait_until(lambda: other.count() == 1)
    assert other.take(ALICE, 5) == [b"c"]


def test_what_one_process_has_handed_over_is_removed_by_another_one_at_once(opened: Opened) -> None:
    one, other = opened(), opened()
    one.open(ALICE)
    assert other.take(ALICE, 5) == []
    for number in range(20):
        one.put(ALICE, b"%d" % number)
        (handed,) = one.hand_over(ALICE, [], 5)
        # Nothing in its memory may say yet that a message waits.
        assert other.hand_over(ALICE, [handed.number], 5) == []
        assert one.hand_over(ALICE, [], 5) == []


def test_what_is_in_memory_follows_what_others_change(opened: Opened) -> None:
    one, other = opened(), opened()
    one.open(ALICE, is_proven=True)
    one.open(BOB)
    one.put(BOB, b"1")
    wait_until(lambda: sorted(other.clients()) == [ALICE, BOB] and other.count() == 1)
    assert other.is_proven(ALICE)
    assert not other.is_proven(BOB)
    late = opened()
    assert (sorted(late.clients()), late.count(), late.is_proven(ALICE)) == ([ALICE, BOB], 1, True)
    other.settings = InboxSettings(client_age=1e-9, message_age=1e-9)
    other._common.set(other._common.now() + 10)
    while not other.age().is_all:
        pass
    wait_until(lambda: one.clients() == [] and one.count() == 0 and late.clients() == [])
    assert late.is_proven(ALICE)


def test_limits_and_proofs_count_for_all_processes_at_once(opened: Opened) -> None:
    one, other = opened(), opened()
    one.open(ALICE, is_proven=True)
    assert other.is_proven(ALICE)
    assert not other.is_proven(BOB)
    with pytest.raises(RemoteFormatError, match="proven"):
        other.open(ALICE)
    one.open(BOB)
    other.open(CAROL)
    for inboxes in (one, other):
        with pytest.raises(OverloadError, match="3 clients already"):
            inboxes.open(bytes(32))
        with pytest.raises(NoInboxError):
            inboxes.put(bytes(32), b"")
    for number in range(SETTINGS.messages):
        (one, other)[number % 2].put(BOB, b"")
    for inboxes in (one, other):
        with pytest.raises(InboxFullError):
            inboxes.put(BOB, b"")


def test_many_changes_of_several_processes_disturb_nobody(opened: Opened) -> None:
    everyone = [opened() for _ in range(3)]
    for client in (ALICE, BOB, CAROL):
        everyone[0].open(client)
    taken: list[bytes] = []

    def work(mine: SharedInboxes, number: int) -> None:
        for turn in range(30):
            client = (ALICE, BOB, CAROL)[(turn + number) % 3]
            message = b"%d %d" % (number, turn)
            kept = False
            while not kept:
                try:
                    mine.put(client, message)
                    kept = True
                except InboxFullError:
                    taken.extend(mine.take(client, 5))

    gevent.joinall(
        [gevent.spawn(work, one, number) for number, one in enumerate(everyone)], raise_error=True
    )
    for client in (ALICE, BOB, CAROL):
        while more := everyone[0].take(client, 5):
            taken += more
    assert sorted(taken) == sorted(b"%d %d" % (one, turn) for one in range(3) for turn in range(30))


def test_several_processes_make_the_tables_together(postgres: Postgres, database: str) -> None:
    url = postgres.url(database)
    found: list[SharedInboxes] = []
    starts = [
        gevent.spawn(lambda: found.append(SharedInboxes(engine(url), SETTINGS))) for _ in range(4)
    ]
    gevent.joinall(starts, raise_error=True)
    assert len(found) == 4
    for inboxes in found:
        inboxes.close()


def test_a_database_of_a_newer_version_is_refused(
    postgres: Postgres, database: str, opened: Opened
) -> None:
    opened().close()
    postgres.run("UPDATE nym.format SET number = 1000", database)
    with pytest.raises(StoreError, match="written by a newer version"):
        opened()


def test_numbers_go_on_above_those_of_another_database(opened: Opened) -> None:
    inboxes = opened()
    inboxes.open(ALICE)
    found: list[int] = []

    def skip(execute: Execute) -> None:
        found.append(inboxes._shared.last_number(execute))
        for last in (0, 1000):
            inboxes._shared.skip_numbers(execute, last)
            found.append(inboxes._shared.last_number(execute))

    inboxes.run(lambda execute, now: skip(execute))
    inboxes.put(ALICE, b"")
    assert found == [0, 0, 1000]
    assert [number for number, _ in inboxes.hand_over(ALICE, [], 1)] == [1001]


# The database goes away.


@contextmanager
def logged(caplog: pytest.LogCaptureFixture, name: str) -> Iterator[None]:
    """What goes wrong inside is logged once when it begins and once when it ends."""
    caplog.clear()
    caplog.set_level(logging.INFO)
    yield
    lines = [record for record in caplog.records if record.name.startswith("nym.nodes.inboxes")]
    assert [record.levelname for record in lines] == ["ERROR", "INFO"], caplog.text
    assert lines[1].getMessage() == f"{name} can be written again"


def refused(inboxes: SharedInboxes) -> StoreError | None:
    """The error for a message, or None if it was kept, as the last one."""
    try:
        inboxes.put(ALICE, b"")
    except StoreError as error:
        return error
    return None


def test_a_connection_that_was_cut_is_not_noticed(opened: Opened, postgres: Postgres) -> None:
    inboxes = opened()
    inboxes.open(ALICE)
    for _ in range(3):
        postgres.cut()
        inboxes.put(ALICE, b"kept")
    assert inboxes.take(ALICE, 5) == [b"kept"] * 3


@pytest.mark.parametrize("way", ["stop", "kill"])
def test_while_the_database_is_away_everything_is_refused_and_goes_on_later(
    way: str, caplog: pytest.LogCaptureFixture
) -> None:
    if not Postgres.is_installed():
        pytest.skip("PostgreSQL isn't installed")
    with Postgres() as server:
        url = server.url(server.database())
        with closing(SharedInboxes(engine(url), SETTINGS)) as inboxes:
            inboxes.open(ALICE)
            inboxes.put(ALICE, b"before")
            with logged(caplog, str(parse_database_url(url))):
                getattr(server, way)()
                wait_until(lambda: refused(inboxes) is not None)
                for ask in (lambda: inboxes.open(BOB), lambda: inboxes.take(ALICE, 1)):
                    with pytest.raises(StoreError, match=r"^the database .* can't be reached"):
                        ask()
                server.start()
                wait_until(lambda: refused(inboxes) is None)
            found = inboxes.take(ALICE, 10)
            assert (found[0], {*found[1:]}) == (b"before", {b""})
            assert BOB not in inboxes


def test_what_others_changed_while_the_connection_was_away_is_seen(
    opened: Opened, postgres: Postgres, database: str
) -> None:
    with Line(postgres).laid() as line:
        far, near = opened(line.url(database)), opened()
        line.is_down = True
        line.cut()
        near.open(ALICE)
        near.put(ALICE, b"1")
        with pytest.raises(StoreError):
            far.take(ALICE, 5)
        line.is_down = False
        wait_until(lambda: far.clients() == [ALICE] and far.count() == 1)


@pytest.mark.parametrize("arrives", [True, False])
def test_a_line_that_is_cut_at_the_commit_loses_nothing_that_was_acknowledged(
    opened: Opened, postgres: Postgres, database: str, *, arrives: bool
) -> None:
    with Line(postgres).laid() as line:
        far, near = opened(line.url(database)), opened()
        near.open(ALICE)
        near.put(ALICE, b"first")
        far._timer.stop()  # each commit is one that the test asks for

        def lose_the_answer(_: bytes) -> bool:
            line.answers = line.passes = lambda piece: True
            line.cut()
            return False

        def at_the_commit(piece: bytes) -> bool:
            if b"COMMIT" not in piece:
                return True
            if arrives:
                line.answers = lose_the_answer
            else:
                lose_the_answer(piece)
            return arrives

        line.passes = at_the_commit
        # The outcome is unknown, so the messages are handed over in any case, and may come again.
        assert far.take(ALICE, 5) == [b"first"]
        assert near.take(ALICE, 5) == ([] if arrives else [b"first"])
        line.passes = at_the_commit
        with pytest.raises(OutcomeUnknownError):
            far.put(ALICE, b"second")
        wait_until(lambda: near.count() == arrives)
        assert near.take(ALICE, 5) == [b"second"] * arrives
        far.put(ALICE, b"third")
        wait_until(lambda: near.count() == 1)
        assert near.take(ALICE, 5) == [b"third"]


def test_a_process_that_hangs_in_a_transaction_holds_up_the_others_for_seconds_only(
    opened: Opened, postgres: Postgres, database: str
) -> None:
    inboxes = opened()
    inboxes.open(ALICE)
    hanging = postgres.connect(database)
    hanging.run("SET idle_in_transaction_session_timeout = '1s'")
    hanging.run(postgresql._BEGIN)
    inboxes.put(ALICE, b"kept")
    assert inboxes.take(ALICE, 1) == [b"kept"]
    with suppress(InterfaceError):  # the server has ended it
        hanging.close()


def test_a_full_disk_keeps_nothing_new_and_loses_nothing() -> None:
    settings = {"min_wal_size": "2MB", "max_wal_size": "4MB"}
    with (
        TemporaryDirectory(prefix="nym-disk-") as folder,
        small_disk(Path(folder), "64m") as disk,
        Postgres(disk.folder, **settings) as server,
    ):
        Path(folder).chmod(0o755)
        url = server.url(server.database())
        with closing(SharedInboxes(engine(url), InboxSettings())) as inboxes:
            inboxes.open(ALICE)
            kept = 0
            disk.fill()
            while True:
                try:
                    # Random bytes: the server compresses, and zeros fill the inbox before the disk.
                    inboxes.put(ALICE, b"%05d" % kept + os.urandom(10_000))
                except StoreError:
                    break
                kept += 1
            disk.empty()
            if not server.is_running:  # it can't write its log, and ends
                server.start()
            wait_until(lambda: refused(inboxes) is None)
            found = []
            while more := inboxes.take(ALICE, 5):
                found += [int(message[:5]) for message in more if message]
            assert found[:kept] == list(range(kept))
            assert len(found) <= kept + 1  # one whose outcome was unknown


def test_the_driver_is_loaded_only_for_a_database_with_a_url(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "import nym.cli.node, nym.cli.moving\n"
        "from pathlib import Path\n"
        "from nym.nodes.inboxes.places import open_at\n"
        f"open_at('', Path({str(tmp_path)!r})).close()\n"
        "print('pg8000' in sys.modules)\n"
        "try:\n"
        "    open_at('postgresql://nym@%2Fnowhere/nym', Path())\n"
        "except nym.errors.StoreError:\n"
        "    print('pg8000' in sys.modules)\n"
    )
    ran = beside(subprocess.run, [sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.stdout == "False\nTrue\n", ran.stderr
