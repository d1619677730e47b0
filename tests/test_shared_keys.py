"""The Sphinx keys that several processes of a provider have in common, and who posts for them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import gevent
import pytest
from gevent.event import Event

from nym._secrets import random_scalar
from nym.errors import MacError, NymError, ReplayedError
from nym.identity import Identity
from nym.nodes.inboxes.postgresql import PostgresEngine
from nym.nodes.inboxes.shared import SharedInboxes
from nym.nodes.members import Members
from nym.nodes.shared_keys import GRACE, SharedKeyring
from nym.sphinx import Final, Forward, Hop, create_packet
from nym.wire.postgresql import parse_database_url
from tests.harness import wait_until
from tests.postgres import Line, Postgres

TOKENS = random_scalar()
LIFETIME, OVERLAP = 1000.0, 100.0


class Machine:
    """One process: its folder, its inboxes and its keys. `pass_time` sets its database's clock."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.inboxes = SharedInboxes(PostgresEngine(parse_database_url(url)))
        self.keys = SharedKeyring(folder, self.inboxes, TOKENS, LIFETIME, OVERLAP)

    def close(self) -> None:
        self.keys.close()
        self.inboxes.close()

    def take(self, packet: bytes) -> Forward | Final | NymError:
        """What becomes of the packet in this process."""
        (outcome,) = self.keys.unwrap([packet])
        return outcome

    def opens(self, packet: bytes) -> bool:
        """Whether this process takes the packet."""
        return isinstance(self.take(packet), Final)

    @property
    def tags(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "tags").iterdir())


Start = Callable[[], Machine]


@pytest.fixture
def start(tmp_path: Path, postgres: Postgres) -> Iterator[Start]:
    """Starts one more process on one more machine."""
    url = postgres.url(postgres.database())
    with ExitStack() as stack:
        machines: list[Machine] = []

        def another() -> Machine:
            machine = Machine(tmp_path / str(len(machines)), url)
            machines.append(stack.enter_context(closing(machine)))
            return machine

        yield another


def pass_time(seconds: float, *machines: Machine) -> None:
    for machine in machines:
        machine.inboxes._common.set(machine.inboxes._common.now() + seconds)


def packet(key: Identity) -> bytes:
    return create_packet(b"hello", [Hop(bytes(32), key.public_key, 0)], bytes(32))


def test_all_processes_have_one_key_and_another_secret_has_another(start: Start) -> None:
    one, other = start(), start()
    assert one.keys.current == other.keys.current
    assert other.opens(packet(one.keys.current))
    stranger = SharedKeyring(one.folder / "stranger", one.inboxes, random_scalar())
    assert stranger.current != one.keys.current
    stranger.close()


def test_a_new_key_is_announced_when_all_processes_have_it(start: Start) -> None:
    one, other = start(), start()
    first = one.keys.current
    pass_time(LIFETIME, one, other)
    assert one.keys.age == 0
    assert not one.keys.turn()
    assert not other.keys.turn()
    assert one.keys.current == other.keys.current == first
    pass_time(GRACE / 2, one, other)  # the tests take some time as well
    assert not one.keys.turn()
    pass_time(GRACE / 2, one)
    # One announces it before the other one does.
    assert one.keys.turn()
    second = one.keys.current
    assert (second != first, other.keys.current == first) == (True, True)
    for machine in (one, other):
        assert machine.opens(packet(second))
        assert machine.opens(packet(first))
        assert machine.tags == ["1", "2"]
    pass_time(GRACE / 2, other)
    assert other.keys.turn()
    assert other.keys.current == second
    pass_time(OVERLAP, one, other)
    assert not one.keys.turn()
    assert not other.keys.turn()
    for machine in (one, other):
        assert machine.tags == ["2"]
        assert machine.opens(packet(second))
        assert isinstance(machine.take(packet(first)), MacError)
    assert start().keys.current == second


def test_the_salt_of_a_key_that_has_ended_is_gone(
    start: Start, postgres: Postgres, tmp_path: Path
) -> None:
    one = start()
    database = one.inboxes.name.split()[2]
    (before,) = postgres.run("SELECT value FROM nym.note WHERE name = 'key 1'", database)
    for seconds in (LIFETIME, GRACE, OVERLAP):
        pass_time(seconds, one)
        one.keys.turn()
    names = postgres.run("SELECT name, value FROM nym.note WHERE name LIKE 'key %'", database)
    assert [name for name, _ in names] == ["key 2"]
    assert before[0] != names[0][1]


def test_a_packet_is_taken_once_by_each_process_and_not_again_after_a_start(start: Start) -> None:
    one, other = start(), start()
    again = packet(one.keys.current)
    assert (one.opens(again), one.opens(again)) == (True, False)
    assert (other.opens(again), other.opens(again)) == (True, False)
    one.keys.close()
    restarted = SharedKeyring(one.folder, one.inboxes, TOKENS)
    (outcome,) = restarted.unwrap([again])
    assert isinstance(outcome, ReplayedError)
    restarted.close()


def test_a_key_whose_tables_are_full_gets_a_successor_from_one_process_alone(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = start(), start()
    for machine in (one, other):
        machine.keys._current.replays.is_full = True
        machine.opens(packet(machine.keys.current))
        assert machine.keys._is_due.is_set()
        machine.keys.turn()
    assert one.tags == other.tags == ["1", "2"]
    pass_time(GRACE, one, other)
    assert one.keys.turn()
    assert other.keys.turn()
    assert one.keys.current == other.keys.current


def test_keys_stay_while_the_database_is_away(
    tmp_path: Path, postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        Line(postgres).laid() as line,
        closing(Machine(tmp_path, line.url(postgres.database()))) as one,
    ):
        current = one.keys.current
        line.is_down = True
        line.cut()
        assert not one.keys.turn()
        assert one.opens(packet(current))
        assert "this node keeps its key and tries again" in caplog.text
        line.is_down = False
        wait_until(lambda: not one.keys.turn() and one.keys._outage.reason is None)
        assert one.keys.current == current


def test_one_process_posts_and_another_one_when_it_is_gone(start: Start) -> None:
    inboxes = [start().inboxes for _ in range(3)]
    everyone = [Members(one) for one in inboxes]
    for one in everyone:
        one._note()
    (first,) = [one for one in everyone if one.is_first]
    assert {one.count for one in everyone} == {3}
    others = [one for one in everyone if one is not first]
    assert not others[0].leave()
    changed = Event()
    running = gevent.spawn(others[1].run, changed)
    wait_until(lambda: others[1].count == 2)
    assert not others[1].is_first
    changed.clear()
    # The first one notes nothing any more, as if it had been killed.
    wait_until(lambda: others[1].is_first and changed.is_set())
    running.kill()
    assert others[1].leave()


def test_a_process_that_cannot_ask_posts(tmp_path: Path, postgres: Postgres) -> None:
    database = postgres.database()
    with (
        Line(postgres).laid() as line,
        closing(Machine(tmp_path / "near", postgres.url(database))) as near,
        closing(Machine(tmp_path / "far", line.url(database))) as far,
    ):
        everyone = [Members(one.inboxes) for one in (near, far)]
        mine = everyone[1]
        running = gevent.spawn(mine.run, Event())
        line.is_down = True
        line.cut()
        wait_until(lambda: mine.is_first and mine.count == 1)
        assert not mine.leave()
        running.kill()
