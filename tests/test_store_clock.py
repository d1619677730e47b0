"""The lasting clock: it goes on across starts of client and machine, whatever system clocks do."""

from pathlib import Path

import pytest

from nym.store.clock import LONGEST_PAUSE, NOTE_EVERY, LastingClock
from nym.store.journal import Journal
from nym.store.state import State

DAY = 86_400.0


class Machine:
    """A machine whose clocks the test sets, and a client's folder on it."""

    def __init__(self, folder: Path) -> None:
        self.boot: str | None = "first"
        self.since_boot = 100.0
        self.wall = 1.7e9
        self._folder = folder

    def start(self) -> LastingClock:
        """Start the client; its clock notes the time at once, and the journal is closed again."""
        journal = Journal(self._folder, bytes(32))
        self.state = State(journal)
        clock = LastingClock(
            self.state, lambda: self.boot, lambda: self.since_boot, lambda: self.wall
        )
        journal.close()
        return clock

    def restart(self, boot: str | None = "second") -> None:
        self.boot, self.since_boot = boot, 5.0


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_it_begins_with_the_time(machine: Machine) -> None:
    assert machine.start().now() == 1.7e9


@pytest.mark.parametrize("jump", [-1e9, -3600.0, 3600.0, 1e9])
def test_while_the_machine_runs_the_wall_clock_says_nothing(machine: Machine, jump: float) -> None:
    clock = machine.start()
    machine.wall += jump
    machine.since_boot += 10.0
    assert clock.now() == 1.7e9 + 10.0
    machine.since_boot += 30 * DAY
    assert machine.start().now() == 1.7e9 + 10.0 + 30 * DAY


@pytest.mark.parametrize(
    ("wall", "counts"),
    [(3600.0, 3600.0), (0.0, 0.0), (-1e9, 0.0), (30 * DAY, LONGEST_PAUSE), (1e9, LONGEST_PAUSE)],
)
@pytest.mark.parametrize("boot", ["second", None])
def test_over_a_start_of_the_machine_a_pause_counts_as_far_as_it_can_be_believed(
    machine: Machine, wall: float, counts: float, boot: str | None
) -> None:
    machine.start()
    machine.restart(boot)
    machine.wall += wall
    assert machine.start().now() == 1.7e9 + counts


def test_it_never_runs_backwards(machine: Machine) -> None:
    readings = [machine.start().now()]
    for boot, since_boot, wall in [
        ("first", 50.0, 0.0),
        ("second", 1.0, -1.7e9),
        ("third", 1.0, 1e9),
        ("third", 0.0, 0.0),
    ]:
        machine.boot, machine.since_boot = boot, since_boot
        machine.wall += wall
        readings.append(machine.start().now())
    assert readings == sorted(readings)


def test_a_long_run_is_not_lost_with_the_machine(tmp_path: Path, machine: Machine) -> None:
    journal = Journal(tmp_path, bytes(32))
    clock = LastingClock(
        State(journal), lambda: machine.boot, lambda: machine.since_boot, lambda: machine.wall
    )
    for _ in range(100):
        machine.since_boot += NOTE_EVERY
        machine.wall += NOTE_EVERY
        last = clock.now()
    journal.close()
    machine.restart()
    machine.wall -= 1e9
    assert machine.start().now() == last


def test_the_real_clocks(tmp_path: Path) -> None:
    for _ in range(2):
        journal = Journal(tmp_path, bytes(32))
        clock = LastingClock(State(journal))
        before = clock.now()
        assert 0 <= clock.now() - before < 60
        journal.close()
