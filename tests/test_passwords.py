"""User and password of a directory's URL: no command and no log shows them, whatever is wrong."""

import signal
from pathlib import Path

import pytest

from tests.harness import Program, run_program, wait_until

SECRET = "user:word@"
URL = f"http://{SECRET}127.0.0.1:1"
BROKEN = f"{URL}/?query"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    assert run_program(tmp_path, "init", "--id", "alice", "--directory", URL)[0] == 0
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        ("config", "show"),
        ("config", "show", "--json"),
        ("config", "set", "client.directory", BROKEN),
        ("init", "--id", "bob", "--directory", BROKEN),
        ("tcpsocket", "--port", "0", "--directory", f"{BROKEN},{URL}"),
        ("check",),
    ],
    ids=" ".join,
)
def test_no_command_shows_them(home: Path, command: tuple[str, ...]) -> None:
    _, out, err = run_program(home, *command)
    assert "127.0.0.1:1" in out + err
    assert "word" not in out + err


def test_no_check_shows_them(home: Path) -> None:
    file = home / "nym" / "clients" / "alice" / "config.toml"
    file.write_text(file.read_text().replace(URL, BROKEN))
    code, out, err = run_program(home, "check")
    assert code == 5
    assert "127.0.0.1:1" in out
    assert "word" not in out + err


def test_a_setting_can_be_read_as_it_is(home: Path) -> None:
    assert run_program(home, "config", "get", "client.directory")[1] == f"{URL}\n"


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_log_does_not_show_them(home: Path, form: str) -> None:
    run_program(home, "config", "set", "logging.format", form)
    file = home / "nym" / "clients" / "alice" / "config.toml"
    with Program(home, "tcpsocket", "--port", "0", "--verbose") as program:
        program.line("^Listening")
        wait_until(lambda: run_program(home, "status")[0] == 0, "a client that reloads")
        file.write_text(file.read_text().replace(URL, BROKEN))
        program.process.send_signal(signal.SIGHUP)
        line = program.logged(".*the settings stay as they were.*query.*")[0]
        _, out, err = program.end(signal.SIGTERM)
    assert "word" not in line + out + err
