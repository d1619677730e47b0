"""Commands in scripts: pipes, signals and terminals. No message may be lost, whatever a pipe does.

The clients run in the test's process. The commands are programs that bash starts, as in a script.
"""

import fcntl
import json
import os
import pty
import re
import shlex
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import gevent
import pytest

from nym.cli.control import RETRY, control
from nym.contacts import Contact, add_contact
from nym.errors import NotRunningError
from nym.localnet.network import Network
from nym.store import room
from nym.wire.keys import encode_base58
from tests.harness import (
    OTHER,
    PATIENCE,
    PROGRAM,
    Application,
    Program,
    beside,
    read_terminal,
    run_program,
    running,
    wait_until,
)
from tests.test_reliability import FASTER

# The clients are in the test's process, so on a busy machine a command may have to wait for one.
_SILENCES = re.compile(r'the client "\w+" (does not answer; waiting for it|answers again)\n')


class Shell:
    """Two clients, alice and bob, and a shell whose commands talk to them."""

    def __init__(self, home: Path, stack: ExitStack, **settings: Any) -> None:
        self.home = home
        network = stack.enter_context(running(Network()))
        for name in ("alice", "bob"):
            folder = home / "nym" / "clients" / name
            folder.mkdir(parents=True)
            client = Application(network.url, folder=folder, traffic=FASTER, **settings)
            setattr(self, name, stack.enter_context(client))
        add_contact(home / "nym", "bob", Contact(self.bob.address))

    alice: Application
    bob: Application

    def run(self, command: str, data: bytes = b"", **environment: str) -> tuple[int, bytes, bytes]:
        """Run a command in bash; return (exit code, standard output, standard error)."""
        ran: subprocess.CompletedProcess[bytes] = beside(
            subprocess.run,
            ["bash", "-o", "pipefail", "-c", command.replace("nym-client", PROGRAM)],
            input=data,
            capture_output=True,
            env=self.environment() | environment,
            timeout=PATIENCE,
            check=False,
        )
        return ran.returncode, ran.stdout, _SILENCES.sub("", ran.stderr.decode()).encode()

    def interrupt(self, command: str, number: signal.Signals) -> tuple[int, str]:
        """Send a signal to a command as soon as it talks to bob's client.

        Returns (exit code, as shells see it; standard error).
        """
        with Program(self.home, *shlex.split(command)) as program:
            wait_until(lambda: self.bob.client._control._visits)
            code, _, err = beside(program.end, number)
        return 128 - code if code < 0 else code, _SILENCES.sub("", err)

    def environment(self) -> dict[str, str]:
        return {**os.environ, "XDG_CONFIG_HOME": str(self.home), "PYTHONPATH": os.getcwd()}

    def on_terminal(self, command: str, data: bytes, term: str) -> str:
        """Run a command with input from a pipe, and return what it shows on a terminal."""
        here, there = pty.openpty()
        fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", 25, 80, 0, 0))
        reading = gevent.get_hub().threadpool.spawn(read_terminal, here)
        with os.fdopen(there, "wb") as shown:
            beside(
                subprocess.run,
                ["bash", "-c", command.replace("nym-client", PROGRAM)],
                input=data,
                stdout=subprocess.DEVNULL,
                stderr=shown,
                env=self.environment() | {"TERM": term},
                timeout=PATIENCE,
                check=True,
            )
        return bytes(reading.get() or b"").decode()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def shell(tmp_path: Path, stack: ExitStack) -> Shell:
    return Shell(tmp_path, stack)


@pytest.mark.parametrize("options", ["", "--reliable", "--wait"])
def test_any_bytes_go_through_pipes(shell: Shell, options: str) -> None:
    data = os.urandom(1 << 17)  # twice as much as a pipe holds
    code, out, err = shell.run(f"cat | nym-client send --id alice {options} bob", data)
    assert (code, out) == (0, b"")
    said = err.splitlines()
    if options == "--wait":  # on a slow machine, the command says what it waits for
        said = [line for line in said if not line.startswith(b"waiting: ")]
    assert said == []
    code, out, err = shell.run("nym-client receive --id bob --count 1 | cat")
    assert (code, err) == (0, b"")
    assert out == data


def test_a_message_is_answered_without_an_address(tmp_path: Path, stack: ExitStack) -> None:
    shell = Shell(tmp_path, stack, reply_addresses=1)
    # It waits until the address is registered, and says so.
    code, out, _ = shell.run("nym-client send --id alice --reply --wait bob -m 'who?'")
    assert (code, out) == (0, b"")
    code, out, err = shell.run("nym-client receive --id bob --count 1 --json")
    assert (code, err) == (0, b"")
    question = json.loads(out)
    assert (question["text"], question["sender"]) == ("who?", None)
    answer = f"nym-client reply --id bob --wait {question['reply_to']} -m me"
    code, out, _ = shell.run(answer)
    assert (code, out) == (0, b"")
    code, out, err = shell.run("nym-client receive --id alice --count 1 --json")
    assert (code, err) == (0, b"")
    answered, bob = json.loads(out), encode_base58(shell.bob.address)
    assert [answered[name] for name in ("text", "sender", "reply_from", "contact")] == [
        *("me", bob, bob, "bob")
    ]
    code, _, err = shell.run("nym-client reply --id bob 111 -m me")
    assert (code, err[:38]) == (1, b"nym-client: IncompleteDataError: tag i")
    code, _, err = shell.run("nym-client send --id alice --plain --reply bob -m x")
    assert code == 2
    assert b"can't be combined with --plain" in err


def test_without_a_free_address_send_says_until_when_it_waits(
    tmp_path: Path, stack: ExitStack
) -> None:
    shell = Shell(tmp_path, stack, reply_addresses=1)
    wait_until(lambda: shell.alice.status()["reply_addresses"]["free"], "a free reply address")
    with shell.alice.lines() as lines:
        lines.send(OTHER, b"", anonymous_reply=True)
    asked = ("send", "--id", "alice", "--reply", "bob", "-m", "who?")
    with Program(tmp_path, *asked) as program:
        beside(program.logged, r"the next one will be in [\w ]+ at the latest.*\. Waiting$")
        assert beside(program.end, signal.SIGINT) == (130, "", "")
    assert shell.alice.status()["outbox"] <= 1  # the message to OTHER


def test_a_client_without_reply_addresses_refuses_at_once(shell: Shell) -> None:
    code, out, err = shell.run("nym-client send --id alice --reply bob -m 'who?'")
    assert (code, out) == (1, b"")
    assert b"client.reply_addresses is 0" in err


def test_an_answer_that_waits_is_listed_with_its_tag(tmp_path: Path, stack: ExitStack) -> None:
    shell = Shell(tmp_path, stack, reply_addresses=1)
    assert shell.run("nym-client send --id alice --reply bob -m 'who?'")[0] == 0
    out = shell.run("nym-client receive --id bob --count 1 --json")[1]
    tag = json.loads(out)["reply_to"]
    shell.alice.client.stop()  # so nothing is acknowledged
    sent = []
    for options in ("", "--reply"):
        code, out, _ = shell.run(
            f"nym-client reply --id bob --reliable {options} --json {tag} -m later"
        )
        assert code == 0
        sent.append(json.loads(out)["id"])

    code, out, err = shell.run("nym-client outbox list --id bob")
    assert (code, err) == (0, b"")
    lines = out.decode().splitlines()
    assert [re.split("  +", line)[:5] for line in lines] == [
        [message_id[:12], tag, "5 bytes", "reliable", "1 of 1 left"] for message_id in sent
    ]
    assert all("waiting for " in line for line in lines)
    listed = json.loads(shell.run("nym-client outbox list --id bob --json")[1])
    named = ("id", "recipient", "contact", "size", "left")
    assert [[one[name] for name in named] for one in listed] == [
        [message_id, tag, None, 5, 1] for message_id in sent
    ]
    code, _, err = shell.run(f"nym-client outbox cancel --id bob {sent[0][:12]}")
    assert (code, err) == (0, b"1 message was cancelled\n")


def test_many_senders_at_once(shell: Shell) -> None:
    command = 'seq 40 | xargs -P8 -I{} sh -c "echo {} | nym-client send --id alice bob"'
    assert shell.run(command) == (0, b"", b"")
    code, out, _ = shell.run("nym-client receive --id bob --count 40")
    assert code == 0
    assert sorted(map(int, out.split())) == list(range(1, 41))


def test_a_reader_that_stops_loses_nothing(shell: Shell) -> None:
    sent = [os.urandom(100_000).hex().encode() for _ in range(3)]
    for message in sent:
        shell.run("nym-client send --id alice bob", message)
    wait_until(lambda: len(shell.bob.client._commands.inbox) == 3)
    for _ in range(3):
        # A message is longer than a pipe holds, so the command is still writing it when the pipe is
        # closed. It must not acknowledge that message.
        code, out, err = shell.run("nym-client receive --id bob --follow | head -c 100")
        assert (code, len(out), err) == (141, 100, b"")
    code, out, err = shell.run("nym-client receive --id bob --count 3 --lines")
    assert (code, err) == (0, b"")
    assert sorted(out.splitlines()) == sorted(sent)


def test_a_reader_that_is_slow_holds_up_nothing_but_itself(shell: Shell) -> None:
    for i in range(5):
        shell.run("nym-client send --id alice bob", bytes([i]) * 50_000)
    wait_until(lambda: len(shell.bob.client._commands.inbox) == 5)
    reading = gevent.spawn(shell.run, "nym-client receive --id bob --count 5 | (sleep 1; cat)")
    assert shell.run("nym-client status --id bob --json")[0] == 0
    _, out, _ = reading.get()
    assert len(out) == 5 * 50_000


def test_lines_wait_for_room(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MOST_MESSAGES", 10)  # one recipient may have half of them
    code, _, err = shell.run("seq 12 | nym-client send --id alice --lines bob")
    assert code == 0
    assert b". Waiting" in err
    code, out, _ = shell.run("nym-client receive --id bob --count 12 --lines")
    assert sorted(map(int, out.split())) == list(range(1, 13))


def test_a_line_that_is_too_long_is_refused_and_those_before_it_are_not(shell: Shell) -> None:
    code, _, err = shell.run(
        "(echo one; echo two; head -c 17000000 /dev/zero) | nym-client send --id alice --lines bob"
    )
    assert code == 1
    assert b"line 3 is longer than a message can be" in err
    assert b"neither this line nor those after it were sent" in err
    assert sorted(shell.bob.receive(2)) == [b"one", b"two"]


def test_a_message_that_is_too_long_is_refused_whole(shell: Shell) -> None:
    code, _, err = shell.run("head -c 17000000 /dev/zero | nym-client send --id alice bob")
    assert (code, b"nothing was sent" in err) == (1, True)
    assert len(shell.alice.client._outbox) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", ["receive --id bob --follow", "status --id bob --watch"])
def test_signals_end_commands_as_they_end_others(
    shell: Shell, command: str, number: signal.Signals
) -> None:
    assert shell.interrupt(command, number) == (128 + number, "")


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        ("nym-client send --id alice bob <&-", 1, "standard input is closed"),
        ("nym-client send --id alice bob < /", 1, "is a directory"),
        ("nym-client send --id alice bob /", 1, "/ can't be read: Is a directory"),
        ("nym-client send --id alice bob /proc/self/mem", 1, "can't be read"),
        ("nym-client status --id alice >&-", 1, "standard output is closed"),
        ("nym-client address --id nobody 2>&-", 5, ""),
        ("nym-client address --id $(printf 'x%.0s' $(seq 300))", 2, "1 to 100 characters"),
        ("nym-client receive --id alice --count ''", 2, "--count : it must be a whole number"),
        ("nym-client receive --id alice --count 1000000001", 2, "a whole number from 1"),
        ("nym-client localnet -p 0 --folder /proc/x", 5, "/proc/x can't be used: No such file"),
        ("echo x | nym-client send --id alice -- -h", 1, '"-h" is neither an address'),
        ("nym-client status --id alice --id bob", 2, "--id is given more than once"),
        ("nym-client status --id", 2, "--id needs a value"),
    ],
)
def test_ordinary_mistakes_are_a_line_or_two(
    shell: Shell, command: str, code: int, says: str
) -> None:
    if "2>&-" in command and "/bare " in PROGRAM:
        pytest.skip("what starts the program there opens something in the closed stream's place")
    ended, out, err = shell.run(command)
    assert (ended, out) == (code, b"")
    assert says in err.decode()
    # If standard input is a directory, Python itself prints more before the program runs.
    assert len(err.splitlines()) <= 2 or "is a directory" in says
    assert not list(shell.home.glob("nym/crash-*"))


def test_a_client_is_made_though_nobody_reads_that(shell: Shell) -> None:
    code, _, err = shell.run("nym-client init --id carol | (exec <&-; sleep 2)")
    assert (code, err) == (141, b"")
    assert {path.name for path in (shell.home / "nym" / "clients" / "carol").iterdir()} == {
        "private.pem",
        "public.pem",
        "config.toml",
    }


def test_help_is_a_command_too(tmp_path: Path) -> None:
    assert run_program(tmp_path, "help") == run_program(tmp_path, "--help")
    assert run_program(tmp_path, "help", "send") == run_program(tmp_path, "send", "--help")


def test_settings_stay_where_a_link_leads(tmp_path: Path) -> None:
    run_program(tmp_path, "init", "--id", "alice")
    config = tmp_path / "nym" / "clients" / "alice" / "config.toml"
    config.rename(tmp_path / "dotfile")
    config.symlink_to(tmp_path / "dotfile")
    assert run_program(tmp_path, "config", "set", "--id", "alice", "socket.port", "1")[0] == 0
    assert config.is_symlink()
    assert "port = 1 " in (tmp_path / "dotfile").read_text()
    code, out, _ = run_program(tmp_path, "check", "--id", "alice")
    assert "ok    folder" in out, f"check ended with {code}: {out}"


@pytest.mark.parametrize("text", ["[socket", "[socket]\nport = 1\nport = 2\n", "client = 3\n"])
def test_a_damaged_file_of_settings_is_not_touched(tmp_path: Path, text: str) -> None:
    run_program(tmp_path, "init", "--id", "alice")
    config = tmp_path / "nym" / "clients" / "alice" / "config.toml"
    config.write_text(text)
    code, _, err = run_program(tmp_path, "config", "set", "--id", "alice", "socket.port", "1")
    assert code == 5
    assert str(config) in err
    assert config.read_text() == text


def test_a_pipe_that_does_not_block_gets_everything(shell: Shell) -> None:
    message = os.urandom(300_000)
    shell.run("nym-client send --id alice bob", message)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    reading = gevent.get_hub().threadpool.spawn(read_terminal, reader)
    with os.fdopen(writer, "wb") as pipe:
        beside(
            subprocess.run,
            [*shlex.split(PROGRAM), "receive", "--id", "bob", "--count", "1"],
            stdout=pipe,
            env=shell.environment(),
            timeout=PATIENCE,
            check=True,
        )
    assert bytes(reading.get() or b"") == message


def test_an_object_a_line_has_all_about_a_message(shell: Shell) -> None:
    add_contact(shell.home / "nym", "alice", Contact(shell.alice.address))
    shell.run("nym-client send --id alice --reliable bob", "naïve\n\0".encode())
    shell.run("nym-client send --id alice bob", b"\xff")
    _, out, _ = shell.run("nym-client receive --id bob --count 2 --json")
    first, second = sorted(map(json.loads, out.splitlines()), key=lambda one: str(one["text"]))
    assert first["text"] is None
    assert first["data"] == "/w=="
    assert (first["sender"], first["contact"]) == (None, None)
    assert second["text"] == "naïve\n\0"
    assert (second["sender"], second["contact"]) == (encode_base58(shell.alice.address), "alice")
    assert second["received"] == pytest.approx(time.time(), abs=60)


@pytest.mark.parametrize(("term", "is_shown"), [("xterm", True), ("dumb", False)])
def test_long_work_is_shown_on_terminals_that_can(shell: Shell, term: str, is_shown: bool) -> None:
    command = "nym-client send --id alice --wait bob"
    shown = shell.on_terminal(command, os.urandom(30_000), term)
    assert ("100%" in shown) is is_shown
    assert ("they leave at the rate of the cover traffic" in shown) is is_shown
    assert "\x1b[3" not in shown  # an escape for a colour


def test_what_is_given_up_is_said_with_its_id(shell: Shell) -> None:
    shell.alice.client._deliveries.lifetime = 0.3
    nobody = encode_base58(OTHER)
    code, out, err = shell.run(f"echo hello | nym-client send --id alice --wait --json {nobody}")
    assert code == 1
    assert json.loads(out)["id"].encode() in err
    assert b"1 of 1 messages did not arrive" in err


def test_a_client_that_stops_is_said_to_have(shell: Shell) -> None:
    waiting = gevent.spawn(shell.run, "nym-client receive --id bob --follow")
    wait_until(lambda: shell.bob.client._commands.inbox._subscribers)
    shell.bob.client.stop()
    code, _, err = waiting.get()
    assert code == 3
    assert b'the client "bob" has stopped' in err


def test_the_socket_is_its_owners_also_under_a_long_name(tmp_path: Path) -> None:
    home = tmp_path / ("deep" * 20)
    name = "n" * 90
    run_program(home, "init", "--id", name, umask=0)
    arguments = ("tcpsocket", "--id", name, "-p", "0", "--directory", "http://127.0.0.1:9")
    with Program(home, *arguments, umask=0) as program:
        program.line("^Public key")
        for path in (home / "nym" / "clients" / name).iterdir():
            assert not path.lstat().st_mode & 0o077, f"others may use {path}"
        code, out, _ = run_program(home, "status", "--id", name, "--json")
        assert (code, json.loads(out)["state"]) == (0, "waiting_for_directory")
        code, _, err = run_program(home, "clients", "--id", name)
        assert (code, err) == (
            4,
            "nym-client: no network is known yet; nym-client check says what is missing\n",
        )


def test_check_says_what_to_do(tmp_path: Path) -> None:
    run_program(tmp_path, "init", "--id", "alice", "--directory", "http://127.0.0.1:9")
    folder = tmp_path / "nym" / "clients" / "alice"
    (folder / "config.toml").chmod(0o644)
    code, out, err = run_program(tmp_path, "check", "--id", "alice", "--json")
    assert (code, err) == (4, "")
    found: list[dict[str, Any]] = json.loads(out)
    by_check = {one["check"]: one for one in found}
    assert "others could use" in by_check["folder"]["found"]
    assert not (folder / "config.toml").stat().st_mode & 0o077
    assert by_check["settings"]["ok"]
    assert not by_check["directory"]["ok"]
    assert "config set --id alice client.directory URL" in by_check["directory"]["advice"]
    (folder / "config.toml").write_text("[client]\nid = 3\n")
    code, out, _ = run_program(tmp_path, "check", "--id", "alice")
    assert code == 5
    assert "FAIL  settings" in out


# What people try by instinct.


def test_a_text_can_be_sent_without_a_pipe(shell: Shell) -> None:
    text = "Grüße, $HOME and 'all'\n"
    quoted = shlex.quote(text)
    assert shell.run(f"nym-client send --id alice bob -m {quoted}") == (0, b"", b"")
    assert shell.run("nym-client receive --id bob --count 1") == (0, text.encode(), b"")
    code, _, err = shell.run("nym-client send --id alice bob --message hello notes.txt")
    assert (code, err) == (2, b"nym-client: --message and FILE can't be used together\n")


def test_a_text_in_the_place_of_a_file_is_explained(shell: Shell) -> None:
    code, _, err = shell.run("nym-client send --id alice bob hello")
    assert code == 1
    assert err == b"nym-client: there is no file hello; to send a text, use --message TEXT\n"


def test_nothing_of_a_message_is_repeated_in_an_error(shell: Shell) -> None:
    for arguments in ("bob -m secret -m secret", "bob --reliable --plain -m secret"):
        code, out, err = shell.run(f"nym-client send --id alice {arguments}")
        assert code == 2
        assert b"secret" not in out + err


def test_waiting_for_messages_can_have_an_end(shell: Shell) -> None:
    assert shell.run("nym-client receive --id bob --timeout 1") == (0, b"", b"")
    with shell.alice.lines() as alice:
        alice.send(shell.bob.address, b"hello")
    code, out, err = shell.run(f"nym-client receive --id bob --count 1 --timeout {PATIENCE:.0f}")
    assert (code, out, err) == (0, b"hello", b"")
    code, out, err = shell.run("nym-client receive --id bob --count 2 --timeout 0")
    assert (code, out) == (1, b"")
    assert err == b"nym-client: only 0 of 2 messages arrived within 0 s\n"
    assert shell.run("nym-client receive --id bob -f --timeout 0") == (0, b"", b"")


def test_a_client_that_is_starting_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    folder = tmp_path / "nym" / "clients" / "alice"
    folder.mkdir(parents=True)
    with pytest.raises(NotRunningError, match="doesn't run"), control("alice"):
        pass
    with ExitStack() as stack:
        network = stack.enter_context(running(Network()))
        start = partial(stack.enter_context, Application(network.url, folder=folder))
        starting = gevent.spawn_later(3 * RETRY, start)
        with control("alice", patience=PATIENCE) as client:
            assert client.ask(type="ownDetails")["type"] == "ownDetails"
        starting.get()  # it answers before it has started; what isn't on the stack never stops
