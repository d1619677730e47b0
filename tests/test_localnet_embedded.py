"""The embedded network: when a client starts it, and when it must not."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nym.localnet.embedded import EmbeddedNetwork
from tests.harness import Program, free_port, run_program, serving_http


def test_it_leaves_a_taken_port_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with serving_http(lambda: b"another program") as url:
        embedded = EmbeddedNetwork(int(url.rpartition(":")[2]), tmp_path / "net")
        assert not embedded.revive()
        embedded.stop()
    assert not caplog.text
    assert not (tmp_path / "net").exists()


def test_it_is_started_once_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    embedded = EmbeddedNetwork(free_port(), tmp_path / "net")
    assert embedded.revive()
    assert not embedded.revive()
    embedded.stop()
    (warning,) = caplog.records
    assert "hides nothing" in warning.message
    assert "--directory" in warning.message


def test_a_folder_that_cannot_be_used_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "net").write_text("in the way")
    embedded = EmbeddedNetwork(free_port(), tmp_path / "net")
    for _ in range(3):
        assert not embedded.revive()
    (record,) = caplog.records
    assert "could not be started" in record.message
    embedded.stop()


class Alone(Program):
    """The program in a network namespace, where nothing else listens on the default port."""

    command = (
        *("unshare", "--map-root-user", "--net", sys.executable, "-c"),
        "import os, sys; from tests.private_network import raise_loopback; raise_loopback();"
        "os.execvp(sys.argv[1], sys.argv[1:])",
        *Program.command,
    )


def can_be_alone() -> bool:
    unshare = shutil.which("unshare")
    if unshare is None:
        return False
    return not subprocess.run([unshare, "-rn", "true"], capture_output=True, check=False).returncode


DEFAULT = "http://127.0.0.1:8080"


@pytest.mark.skipif(not can_be_alone(), reason="this user can't make network namespaces")
@pytest.mark.parametrize(
    ("named_by", "is_started"),
    [("nobody", True), ("init", False), ("config set", False), ("an option", False)],
)
def test_it_comes_only_where_no_directory_was_named(
    tmp_path: Path, named_by: str, is_started: bool
) -> None:
    option = ["--directory", DEFAULT]
    run_program(tmp_path, "init", "--id", "alice", *(option if named_by == "init" else []))
    if named_by == "config set":
        run_program(tmp_path, "config", "set", "--id", "alice", "client.directory", DEFAULT)
    by_option = option if named_by == "an option" else []
    with Alone(tmp_path, "tcpsocket", "--id", "alice", "--port", "0", *by_option) as client:
        line = client.logged(r"directory: .*|a local network runs inside")[0]
    assert line.startswith("a local network") is is_started, f"the client logged: {line}"
    shown = run_program(tmp_path, "config", "show", "--id", "alice")[1].splitlines()
    (directory,) = (line for line in shown if line.startswith("client.directory "))
    is_in_file = named_by in ("init", "config set")
    assert directory.split() == [
        *("client.directory", "=", f'"{DEFAULT}"', "#"),
        "file" if is_in_file else "default",
    ]
