"""`init`: several at once, while the client runs, and where there are keys or messages already.

Every test runs the program in processes of its own. No keys and no messages may ever be lost.
"""

import signal
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from nym.config.file import load_config
from nym.identity import PRIVATE_FILE, PUBLIC_FILE, load_identity
from nym.store.aside import FILE
from nym.wire.keys import decode_base58
from tests.harness import Program, run_program

NOWHERE = "http://127.0.0.1:1"
KEY = "EkA4Dhmj325XUjpwRvJCu8McmUuGJZncWBbQGVSD7gye"


@pytest.fixture
def alice(tmp_path: Path) -> Path:
    """The folder of a client that `init` has made."""
    assert run_program(tmp_path, "init", "--id", "alice", "--directory", NOWHERE)[0] == 0
    return tmp_path / "nym" / "clients" / "alice"


def start(home: Path) -> Program:
    return Program(home, "tcpsocket", "--id", "alice", "--port", "0")


def address_of(program: Program) -> str:
    return program.line(r"^Public key: (.+)$")[1]


def run_for_a_moment(home: Path) -> tuple[str, str]:
    """Start the client and stop it; return the address that it prints, and its log."""
    with start(home) as client:
        address = address_of(client)
        code, _, log = client.end(signal.SIGTERM)
    assert code == 0, f"the client ended with {code}: {log}"
    return address, log


def kept(folder: Path, name: str) -> Path:
    """The one file of this name that was set aside, with a suffix."""
    (path,) = (p for p in folder.glob(f"{name}.*") if not p.name.endswith(("-wal", "-shm")))
    return path


def test_of_several_at_once_one_makes_the_client(tmp_path: Path) -> None:
    with ExitStack() as stack:
        programs = [
            stack.enter_context(Program(tmp_path, "init", "--id", "alice")) for _ in range(8)
        ]
        ended = [program.end() for program in programs]
    assert sorted(code for code, _, _ in ended) == [0] + [5] * 7
    address = load_identity(tmp_path / "nym" / "clients" / "alice").address
    for code, out, err in ended:
        assert f"Address: {address}" in out if code == 0 else f"with the address {address}" in err


def test_keys_of_a_client_that_runs_are_not_replaced(tmp_path: Path, alice: Path) -> None:
    before = {path.name: path.read_bytes() for path in alice.iterdir()}
    with start(tmp_path) as client:
        address = address_of(client)
        code, _, err = run_program(tmp_path, "init", "--id", "alice", "--force")
        assert (code, err.count("\n")) == (1, 1)
        assert "another nym-client is already using" in err
        assert "stop it first" in err
        assert run_program(tmp_path, "address", "--id", "alice")[1] == f"{address}\n"
        assert client.end(signal.SIGTERM)[0] == 0
    assert {name: (alice / name).read_bytes() for name in before} == before


def test_the_messages_of_replaced_keys_are_kept_and_can_be_brought_back(
    tmp_path: Path, alice: Path
) -> None:
    with start(tmp_path) as client:
        old = address_of(client)
        assert run_program(tmp_path, "send", "--id", "alice", old, str(alice / PUBLIC_FILE))[0] == 0
        client.process.kill()  # then part of the database is in its write-ahead log, another file
    code, out, _ = run_program(tmp_path, "init", "--id", "alice", "--force")
    assert code == 0
    for name in (FILE, PRIVATE_FILE):
        assert kept(alice, name).name in out
    new, log = run_for_a_moment(tmp_path)
    assert new != old
    assert new in out
    assert "damaged" not in log
    assert "messages waiting" not in log

    aside, key = kept(alice, FILE), kept(alice, PRIVATE_FILE)
    old_files = list(alice.glob(f"{aside.name}*"))
    for path in set(alice.glob(f"{FILE}*")) - set(old_files):
        path.unlink()
    for path in old_files:
        path.rename(alice / path.name.replace(aside.name, FILE))
    key.rename(alice / PRIVATE_FILE)
    (alice / PUBLIC_FILE).unlink()
    again, log = run_for_a_moment(tmp_path)
    assert again == old
    assert "messages waiting to be sent: 1" in log


def test_a_client_that_starts_has_the_keys_that_are_on_the_disk(
    tmp_path: Path, alice: Path
) -> None:
    for _ in range(4):
        force = Program(tmp_path, "init", "--id", "alice", "--force")
        with force, start(tmp_path) as client:
            address = address_of(client)
            assert force.end()[0] in (0, 1)
            assert run_program(tmp_path, "address", "--id", "alice")[1] == f"{address}\n"
            log = client.end(signal.SIGTERM)[2]
        assert "damaged" not in log
        assert "other keys" not in log


def test_messages_of_keys_that_are_gone_are_kept(tmp_path: Path, alice: Path) -> None:
    run_for_a_moment(tmp_path)
    (alice / PRIVATE_FILE).unlink()
    (alice / PUBLIC_FILE).unlink()
    code, out, _ = run_program(tmp_path, "init", "--id", "alice")
    assert code == 0
    assert f"{kept(alice, FILE).name}. Messages in it belong to keys that are gone" in out
    assert load_config(alice).client.directory == NOWHERE


def test_a_database_of_other_keys_is_not_called_damaged(tmp_path: Path, alice: Path) -> None:
    with start(tmp_path) as client:
        address = address_of(client)
        sent = run_program(tmp_path, "send", "--id", "alice", address, str(alice / PUBLIC_FILE))
        assert sent[0] == 0
        client.end(signal.SIGTERM)
    other = tmp_path / "nym" / "clients" / "other"
    run_program(tmp_path, "init", "--id", "other")
    for name in (PRIVATE_FILE, PUBLIC_FILE):
        (other / name).replace(alice / name)
    _, log = run_for_a_moment(tmp_path)
    assert f"{FILE} belongs to other keys than those in this folder" in log
    assert kept(alice, FILE).name in log
    assert "damaged" not in log


def test_one_that_is_killed_leaves_a_client_or_none_and_all_that_was_there(
    tmp_path: Path, alice: Path
) -> None:
    run_for_a_moment(tmp_path)
    content = (alice / FILE).read_bytes()
    began = time.monotonic()
    run_program(tmp_path, "init", "--id", "bob")
    takes = time.monotonic() - began
    for part in range(8):
        with Program(tmp_path, "init", "--id", "alice", "--force") as init:
            # The later part of its run, in which it writes. Wherever the kill hits, the rest holds.
            time.sleep(takes * (0.6 + part * 0.05))
            init.process.kill()
        if (alice / PRIVATE_FILE).exists():
            load_identity(alice)
        else:
            assert run_program(tmp_path, "init", "--id", "alice")[0] in (0, 5)
    assert content in [path.read_bytes() for path in alice.glob(f"{FILE}*")]


def test_what_is_wrong_on_the_command_line_leaves_no_folder(tmp_path: Path) -> None:
    for wrong in (
        ("--provider", "x"),
        ("--directory", "x"),
        ("--directory-key", "x", "--directory", NOWHERE),
        ("--directory-key", KEY),
        ("--port", "x"),
        ("--prt", "1"),
    ):
        assert run_program(tmp_path, "init", "--id", "alice", *wrong)[0] == 2
    assert not (tmp_path / "nym").exists()


def test_dots_are_no_name_for_a_client(tmp_path: Path) -> None:
    code, _, err = run_program(tmp_path, "init", "--id", "..")
    assert code == 2
    assert "an id is the name of a folder" in err


def test_several_directories_and_their_key_are_written_down(tmp_path: Path) -> None:
    urls = f"{NOWHERE}, http://127.0.0.1:2"
    options = ("--directory", urls, "--directory-key", KEY)
    assert run_program(tmp_path, "init", "--id", "alice", *options)[0] == 0
    settings = load_config(tmp_path / "nym" / "clients" / "alice").client
    assert settings.directories == [NOWHERE, "http://127.0.0.1:2"]
    assert settings.directory_keys == [decode_base58(KEY)]
