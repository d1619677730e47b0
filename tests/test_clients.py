"""`list`, `delete`, and a client that need not be named because it is the only one."""

import json
import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest

from nym.cli.homes import REMOVED
from tests.harness import PATIENCE, PROGRAM, Program, run_program


def clients(home: Path) -> Path:
    return home / "nym" / "clients"


def init(home: Path, client: str) -> None:
    nowhere = "http://127.0.0.1:1"
    code, _, err = run_program(home, "init", "--id", client, "--directory", nowhere)
    assert (code, err) == (0, "")


def listed(home: Path) -> dict[str, bool]:
    code, out, err = run_program(home, "list", "--json")
    assert (code, err) == (0, "")
    return {client["id"]: client["running"] for client in json.loads(out)}


def test_the_only_client_need_not_be_named(tmp_path: Path) -> None:
    code, _, err = run_program(tmp_path, "address")
    assert code == 5
    assert f"there is no client in {clients(tmp_path)}" in err
    init(tmp_path, "alice")
    code, out, _ = run_program(tmp_path, "address")
    assert (code, out) == run_program(tmp_path, "address", "--id", "alice")[:2]
    init(tmp_path, "bob")
    code, _, err = run_program(tmp_path, "address")
    assert (code, err) == (2, "nym-client: --id ID is missing; there are alice, bob\n")


def test_clients_are_listed_with_their_state_and_their_troubles(tmp_path: Path) -> None:
    code, out, err = run_program(tmp_path, "list")
    assert (code, out) == (0, "")
    assert "nym-client init" in err
    for client in ("alice", "bob", "carol"):
        init(tmp_path, client)
    (clients(tmp_path) / "carol" / "private.pem").write_text("half a key")
    with Program(tmp_path, "tcpsocket", "--id", "bob", "--port", "0") as program:
        program.line("^Public key")
        assert listed(tmp_path) == {"alice": False, "bob": True, "carol": False}
        rows = [line.split() for line in run_program(tmp_path, "list")[1].splitlines()]
        program.end(signal.SIGKILL)
    assert [row[:2] for row in rows] == [
        ["alice", "stopped"],
        ["bob", "running"],
        ["carol", "stopped"],
    ]
    assert rows[0][2] == run_program(tmp_path, "address", "--id", "alice")[1].strip()
    assert "private.pem" in " ".join(rows[2])
    assert listed(tmp_path)["bob"] is False, "its socket is there still"


def test_deleting_asks_first(tmp_path: Path) -> None:
    init(tmp_path, "alice")
    code, _, err = run_program(tmp_path, "delete", "--id", "alice")
    assert code == 2
    assert "nothing was deleted" in err
    assert "--yes" not in err.partition("usage")[0]
    assert listed(tmp_path) == {"alice": False}
    code, _, err = run_program(tmp_path, "delete", "--id", "alice", "--yes")
    assert (code, err) == (0, 'the client "alice" was deleted\n')
    assert list(clients(tmp_path).iterdir()) == []


@pytest.mark.parametrize(("answer", "is_deleted"), [("alice", True), ("yes", False), ("", False)])
def test_on_a_terminal_the_name_has_to_be_typed(
    tmp_path: Path, answer: str, is_deleted: bool
) -> None:
    init(tmp_path, "alice")
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*PROGRAM.split(), "delete", "--id", "alice"],
        env=os.environ | {"XDG_CONFIG_HOME": str(tmp_path)},
        stdin=theirs,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        os.close(theirs)
        assert program.stderr is not None
        assert "can bring its address back" in program.stderr.readline()
        assert "Type its name, alice" in program.stderr.readline()
        os.write(ours, f"{answer}\n".encode())
        said = program.stderr.read()
        code = program.wait(PATIENCE)
    os.close(ours)
    assert (code == 0) == is_deleted == ("was deleted" in said and "nothing" not in said)
    assert (clients(tmp_path) / "alice").exists() != is_deleted


def test_a_client_that_runs_is_not_deleted(tmp_path: Path) -> None:
    init(tmp_path, "alice")
    with Program(tmp_path, "tcpsocket", "--id", "alice", "--port", "0") as program:
        program.line("^Public key")
        code, _, err = run_program(tmp_path, "delete", "--id", "alice", "--yes")
        assert code == 1
        assert "stop it first" in err
        assert listed(tmp_path) == {"alice": True}
        program.end(signal.SIGTERM)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    init(tmp_path, "alice")
    elsewhere = tmp_path / "elsewhere"
    (clients(tmp_path) / "alice").rename(elsewhere)
    (clients(tmp_path) / "alice").symlink_to(elsewhere)
    code, _, err = run_program(tmp_path, "delete", "--id", "alice", "--yes")
    assert code == 5
    assert "is a link" in err
    assert (elsewhere / "private.pem").exists()


def test_what_an_interrupted_deletion_leaves_is_no_client(tmp_path: Path) -> None:
    init(tmp_path, "alice")
    (clients(tmp_path) / "alice").rename(clients(tmp_path) / f"{REMOVED}alice-0123")
    assert listed(tmp_path) == {}
    init(tmp_path, "alice")
    assert listed(tmp_path) == {"alice": False}
