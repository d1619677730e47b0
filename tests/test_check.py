"""`check` ends with a list of what it found, whatever is raised on the way."""

import json
from pathlib import Path
from typing import Any

import pytest

from nym.cli import check as check_module
from nym.cli.check import check
from nym.cli.init import init
from nym.errors import NotRunningError, RemoteError, UnreachableError
from nym.localnet.network import Network
from tests.harness import free_port, running


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path


def made(directory: str, capfd: pytest.CaptureFixture[str]) -> None:
    init({"--id": "alice", "--directory": directory, "--provider": None, "--force": False})
    capfd.readouterr()


def findings(capfd: pytest.CaptureFixture[str]) -> tuple[int, dict[str, dict[str, Any]]]:
    """(the exit code, what was found)."""
    code = check({"--id": "alice", "--json": True})
    return code, {finding["check"]: finding for finding in json.loads(capfd.readouterr().out)}


def test_a_client_that_was_never_made_is_a_finding(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code, found = findings(capfd)
    assert code == 5
    assert list(found) == ["folder"]
    assert 'there is no client "alice"' in found["folder"]["found"]


def test_settings_with_a_mistake_are_a_finding(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    made("http://127.0.0.1:1", capfd)
    (home / "nym/clients/alice/config.toml").write_text("[client]\nidd = 1\n")
    code, found = findings(capfd)
    assert code == 5
    assert list(found) == ["folder", "settings"]
    assert "idd" in found["settings"]["found"]


def test_a_directory_that_is_away_is_a_finding(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    made(f"http://127.0.0.1:{free_port()}", capfd)
    code, found = findings(capfd)
    assert code == 4
    assert list(found) == ["folder", "settings", "directory"]
    assert "can't be reached" in found["directory"]["found"]


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (UnreachableError("the line is cut"), 4, "the line is cut"),
        (RemoteError("nonsense"), 4, "nonsense"),
        (ValueError("a private text"), 1, "should not happen (ValueError)"),
        (ZeroDivisionError(), 1, "should not happen (ZeroDivisionError)"),
        (OSError(5, "Input/output error"), 1, "should not happen (OSError)"),
    ],
)
@pytest.mark.parametrize("where", ["folder", "directory", "clock", "provider", "loops"])
def test_whatever_is_raised_in_a_check_is_what_it_found(
    home: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    error: Exception,
    code: int,
    says: str,
) -> None:
    def fail(*_: object) -> None:
        raise error

    with running(Network()) as network:
        made(network.url, capfd)
        monkeypatch.setattr(check_module, f"_check_{where}", fail)
        ended, found = findings(capfd)
    name = {"loops": "loop"}.get(where, where)
    assert ended == code
    assert list(found)[-1] == name, "what follows makes no sense"
    assert says in found[name]["found"]
    assert "a private text" not in str(found)
    assert [finding["ok"] for finding in found.values()] == [True] * (len(found) - 1) + [False]


def test_a_client_that_stops_meanwhile_is_a_finding(
    home: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise NotRunningError('the client "alice" has stopped')

    with running(Network()) as network:
        made(network.url, capfd)
        monkeypatch.setattr(check_module, "_wait", stopped)
        code, found = findings(capfd)
    assert code == 3
    assert "has stopped" in found["provider"]["found"]
