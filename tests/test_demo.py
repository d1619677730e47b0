"""The demo waits for slow machines, says what it waits for, and gives up in the end."""

import subprocess
import sys
from pathlib import Path

import gevent
import pytest

from nym.cli import demo
from nym.errors import UnreachableError
from tests.harness import PATIENCE, free_port, wait_until


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(demo, "say", lines.append)
    monkeypatch.setattr(demo, "LATE", 0.0)
    return lines


def test_a_step_that_takes_long_is_named(said: list[str]) -> None:
    with demo._patiently("the kettle"):
        wait_until(lambda: said)
    assert said == ["Waiting for the kettle; this machine is slow, or busy ..."]


def test_a_quick_step_says_nothing(said: list[str]) -> None:
    with demo._patiently("the kettle"):
        pass
    gevent.sleep(0.01)  # time for a line to appear, which would be the error
    assert said == []


def test_a_step_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "PATIENCE", 0.01)
    monkeypatch.setattr(demo, "STARTS", 0)
    with pytest.raises(UnreachableError, match="for the kettle"), demo._patiently("the kettle"):
        demo._wait(lambda: False)


def test_a_machine_on_which_the_demo_has_started_slowly_gets_more_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(demo, "PATIENCE", 0.0)
    steps = []
    with demo._patiently("the kettle"):  # this process has started long ago
        gevent.sleep(0.01)
        steps.append("it boils")
    assert steps


def test_a_directory_that_does_not_answer_in_time_is_asked_again() -> None:
    assert demo._registered(f"http://127.0.0.1:{free_port()}") == set()


# In a process of its own: after gevent's Popen, libev collects all children of a process, and those
# of Python's own Popen would seem to have ended with 0.
PEER = """
from gevent import monkey
monkey.patch_all(os=False, signal=False, subprocess=False)
import sys
from pathlib import Path
from nym.cli.demo import Peer
peer = Peer("alice", sys.argv[1], Path(sys.argv[2]))
peer.connect()
print(peer.log())
sys.exit(peer.stop())
"""


def test_a_client_has_nothing_to_complain_of_in_its_folder(tmp_path: Path) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    peer = subprocess.run(
        [sys.executable, "-c", PEER, nowhere, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert "Starting nym client" in peer.stdout
    assert "other users" not in peer.stdout
    assert (peer.returncode, peer.stderr) == (0, "")
