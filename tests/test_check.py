"""`check` ends with a list of what it found, whatever is raised on the way."""

import json
from pathlib import Path
from typing import Any

import pytest

from nym.cli import check as check_module
from nym.cli.check import check
from nym.cli.init import init
from nym.cli.monitor import FULL, MOST_LOSS, PATIENCE, judge
from nym.config.file import change_setting
from nym.errors import NotRunningError, RemoteError, UnreachableError
from nym.localnet.network import Network
from tests.harness import Program, beside, free_port, running

KEY = "EkA4Dhmj325XUjpwRvJCu8McmUuGJZncWBbQGVSD7gye"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path


def made(directory: str, capfd: pytest.CaptureFixture[str]) -> None:
    init(
        {
            "--id": "alice",
            "--directory": directory,
            "--directory-key": None,
            "--proxy": None,
            "--provider": None,
            "--port": None,
            "--force": False,
        }
    )
    capfd.readouterr()


def findings(
    capfd: pytest.CaptureFixture[str], *, running: bool = False
) -> tuple[int, dict[str, dict[str, Any]]]:
    """(the exit code, what was found)."""
    code = check({"--id": "alice", "--json": True, "--running": running})
    return code, {finding["check"]: finding for finding in json.loads(capfd.readouterr().out)}


def test_a_client_that_was_never_made_is_a_finding(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code, found = findings(capfd)
    assert code == 5
    assert list(found) == ["folder"]
    assert 'there is no client or node "alice"' in found["folder"]["found"]


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
        shared = where in ("folder", "clock")  # with the check of nodes
        monkeypatch.setattr(check_module, f"{'' if shared else '_'}check_{where}", fail)
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


def test_a_directory_that_is_away_is_no_failure_while_another_one_works(
    home: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise NotRunningError("enough")

    monkeypatch.setattr(check_module, "_running", stop)
    nowhere = f"http://127.0.0.1:{free_port()}"
    with running(Network()) as network:
        made(f"{nowhere}, {network.url}", capfd)
        check({"--id": "alice", "--json": True, "--running": False})
        tried = [f for f in json.loads(capfd.readouterr().out) if f["check"] == "directory"]
        assert [finding["ok"] for finding in tried] == [True, True]
        assert f"{nowhere}/api/presence/topology" in tried[0]["found"]
        assert "can't be reached" in tried[0]["found"]
        assert tried[1]["found"].startswith(f"{network.url}, not verified: layers of")
        change_setting(home / "nym/clients/alice", "client.directory_key", KEY)
        assert check({"--id": "alice", "--json": True, "--running": False}) == 4
        tried = [f for f in json.loads(capfd.readouterr().out) if f["check"] == "directory"]
        assert [finding["ok"] for finding in tried] == [False, False]
        assert "doesn't sign its list of nodes" in tried[1]["found"]


# `check --running`, which judges the client that runs.

HEALTHY: dict[str, Any] = {
    "state": "running",
    "state_seconds": 1000.0,
    "reason": None,
    "network": {"layers": [2, 2], "providers": 1, "left_out": [], "digest": "x"},
    "loss": 0.01,
    "outbox": 3,
    "inbox": 0,
    "backlog": None,
}
BACKLOG = {"lasted": 60.0, "pulled": 2.0, "messages": 900, "change": 3.0, "seconds": 60.0}


def test_a_client_that_does_not_run_is_not_healthy(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    made("http://127.0.0.1:1", capfd)
    code, found = findings(capfd, running=True)
    assert (code, list(found)) == (3, ["client"])
    assert "doesn't run" in found["client"]["found"]


def test_a_client_that_runs_is_judged_by_what_it_reports(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with running(Network()) as network:
        made(network.url, capfd)
        with Program(home, "tcpsocket", "--port", "0") as program:
            beside(program.line, "^Public key")
            code, found = findings(capfd, running=True)
    assert code == 0
    assert next(iter(found)) == "client"
    assert all(finding["ok"] for finding in found.values())


@pytest.mark.parametrize(
    ("change", "code", "about"),
    [
        ({}, 0, ""),
        ({"state": "waiting_for_directory", "state_seconds": PATIENCE, "network": None}, 0, ""),
        ({"state": "waiting_for_directory", "state_seconds": PATIENCE + 1}, 4, "client"),
        ({"state": "waiting_for_provider", "state_seconds": 300.0}, 4, "client"),
        ({"state": "waiting_for_network", "state_seconds": 300.0}, 4, "client"),
        ({"state": "waiting_for_disk", "state_seconds": 300.0, "reason": "full"}, 1, "client"),
        ({"reason": "the directory is away"}, 0, ""),
        ({"loss": None}, 0, ""),
        ({"loss": MOST_LOSS}, 0, ""),
        ({"loss": MOST_LOSS + 0.01}, 4, "network"),
        ({"outbox": FULL - 1, "inbox": FULL - 1}, 0, ""),
        ({"outbox": FULL}, 1, "outbox"),
        ({"inbox": FULL}, 1, "inbox"),
        ({"backlog": BACKLOG}, 0, ""),  # busy is not broken
    ],
)
def test_the_thresholds_of_health(change: dict[str, Any], code: int, about: str) -> None:
    found = list(judge(HEALTHY | change))
    assert next((finding.code for finding in found if finding.code), 0) == code
    assert [finding.check for finding in found if finding.code] == ([about] if about else [])
    assert all(finding.advice for finding in found if finding.code)
