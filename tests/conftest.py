"""Patches the standard library for gevent, and defines the fixtures that many tests use.

The program's modules rely on the patch. Tests patch only what waits for the network or for time:
pytest-xdist's workers have started threads already, so a patch of threads would come too late.
"""

from gevent import monkey

monkey.patch_socket()
monkey.patch_ssl()
monkey.patch_select()
monkey.patch_time()

import math  # noqa: E402
import os  # noqa: E402
import signal  # noqa: E402
from collections.abc import Callable, Iterator  # noqa: E402
from contextlib import ExitStack, closing  # noqa: E402
from pathlib import Path  # noqa: E402

import coverage  # noqa: E402
import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

from nym.net import resolver, transport  # noqa: E402
from nym.net.outward import outward  # noqa: E402
from nym.net.places import Experience  # noqa: E402
from nym.store.journal import Journal  # noqa: E402
from tests.harness import SmallDisk, held_ports, small_disk  # noqa: E402
from tests.planner import Planner  # noqa: E402
from tests.postgres import Postgres  # noqa: E402

# A shell makes its background jobs ignore Ctrl-C, nohup makes its program ignore SIGHUP, and the
# programs that tests start would inherit that. They have to end when tests send them these signals.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First what takes minutes, so that no process is left with it when the others are done."""
    items.sort(key=lambda item: "tests/faults/test_outcomes.py" not in item.nodeid)


def pytest_xdist_auto_num_workers() -> int:
    """One more process than there are processors: most tests wait half of the time."""
    return (os.cpu_count() or 1) + 1


# How long an example takes depends on how busy the machine is, so a deadline would fail at random.
settings.register_profile("nym", deadline=None)
settings.load_profile("nym")
# For tests/coverage: always the same examples, so that they always enter the same lines.
settings.register_profile(
    "coverage",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=25,
    stateful_step_count=25,
)


@pytest.fixture(autouse=True)
def released() -> Iterator[None]:
    """What a test asked for with `free_port` is kept until it ends."""
    yield
    held_ports.close()


@pytest.fixture(autouse=True)
def undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that tests call decide on a proxy for the process; the next test begins anew."""
    monkeypatch.setattr(outward, "proxy", None)
    monkeypatch.setattr(outward, "follows_environment", True)


@pytest.fixture(autouse=True)
def experience(monkeypatch: pytest.MonkeyPatch) -> Experience:
    """A fresh memory of connections, so that what other tests connected to doesn't count here."""
    fresh = Experience()
    monkeypatch.setattr(resolver, "experience", fresh)
    monkeypatch.setattr(transport, "experience", fresh)
    return fresh


@pytest.fixture(autouse=True)
def uncovered(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """See the mark `no_cover` in pyproject.toml."""
    counting = coverage.Coverage.current()
    if counting is None or not request.node.get_closest_marker("no_cover"):
        yield
        return
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG")  # what makes the programs count
    counting.stop()
    yield
    counting.start()


@pytest.fixture
def never_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """For whoever checks a network: a busy machine delays packets, which is no problem here."""
    monkeypatch.setattr("nym.network.check.problems.SLOW", math.inf)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path, bytes(32))
    yield journal
    journal.close()


@pytest.fixture
def reopen(journal: Journal, tmp_path: Path) -> Iterator[Callable[[], Journal]]:
    """Closes the journal, and opens that of the next start, which is closed in its turn."""
    with ExitStack() as opened:
        opened.callback(journal.close)

        def again() -> Journal:
            opened.close()
            return opened.enter_context(closing(Journal(tmp_path, bytes(32))))

        yield again


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    mounted = tmp_path / "disk"
    mounted.mkdir()
    with small_disk(mounted, "2m") as small:
        yield small


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server for all tests of this process, each of which makes a database of its own there."""
    if not Postgres.is_installed():
        pytest.skip("PostgreSQL isn't installed; scripts/prepare --tests does that")
    with Postgres() as server:
        yield server


@pytest.fixture
def planner(tmp_path: Path) -> Planner:
    return Planner(tmp_path)
