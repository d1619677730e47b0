"""The demo waits for slow machines, says what it waits for, and gives up in the end."""

import gevent
import pytest

from nym.cli import demo
from nym.errors import UnreachableError
from tests.harness import wait_until


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
    with pytest.raises(UnreachableError, match="for the kettle"), demo._patiently("the kettle"):
        demo._wait(lambda: False)
