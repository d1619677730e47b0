"""The demo waits for slow machines, says what it waits for, and gives up in the end."""

from pathlib import Path

import gevent
import pytest

from nym.cli import demo
from nym.errors import UnreachableError
from tests.harness import free_port, wait_until


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


def test_a_client_has_nothing_to_complain_of_in_its_folder(tmp_path: Path) -> None:
    peer = demo.Peer("alice", f"http://127.0.0.1:{free_port()}", tmp_path)
    try:
        peer.connect()
        assert "Starting nym client" in peer.log()
        assert "other users" not in peer.log()
    finally:
        code = peer.stop()
    assert code == 0
