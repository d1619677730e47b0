"""`chat`, with pipes and on a terminal."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import gevent
import pytest

from nym.contacts import Contact, add_contact
from tests.harness import PATIENCE, PROGRAM, Application, beside, wait_until
from tests.test_shell import Shell

CLEAR = "\r\x1b[K"


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    with ExitStack() as stack:
        shell = Shell(tmp_path, stack)
        add_contact(tmp_path / "nym", "alice", Contact(shell.alice.address))
        yield shell


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def answerable(home: Path, stack: ExitStack) -> Shell:
    """Alice and Bob, who have a free reply address each."""
    shell = Shell(home, stack, reply_addresses=1)
    for client in (shell.alice, shell.bob):
        wait_until(partial(has_free_address, client), "a free reply address")
    return shell


def has_free_address(client: Application) -> bool:
    return bool(client.status()["reply_addresses"]["free"])


class Terminal:
    """`nym-client chat` on a terminal, as somebody sits before it."""

    def __init__(self, shell: Shell, *arguments: str) -> None:
        self._here, self.there = pty.openpty()
        fcntl.ioctl(self.there, termios.TIOCSWINSZ, struct.pack("HHHH", 25, 80, 0, 0))
        self.before = termios.tcgetattr(self.there)
        self._shown = ""
        self.program = subprocess.Popen(
            [*PROGRAM.split(), "chat", *arguments],
            env=shell.environment() | {"TERM": "xterm"},
            stdin=self.there,
            stdout=self.there,
            stderr=self.there,
        )

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        self.program.kill()
        self.program.wait()
        os.close(self._here)
        os.close(self.there)

    def type(self, text: str) -> None:
        os.write(self._here, text.encode())

    def see(self, wanted: str) -> str:
        """All that is shown up to this, which is not shown again."""
        give_up = time.monotonic() + PATIENCE
        while not (found := re.search(wanted, self._shown)):
            assert time.monotonic() < give_up, self._shown
            if select.select([self._here], [], [], 0.05)[0]:
                self._shown += os.read(self._here, 4096).decode()
            gevent.sleep(0.01)
        shown, self._shown = self._shown[: found.end()], self._shown[found.end() :]
        return shown

    def end(self) -> int:
        code: int = beside(self.program.wait, PATIENCE)
        assert termios.tcgetattr(self.there) == self.before, "the terminal has its own ways again"
        return code


def test_lines_from_a_pipe_are_messages_that_tell_who_wrote(shell: Shell) -> None:
    code, out, err = shell.run("nym-client chat --id alice bob", b"one\n\nand two")
    assert (code, out) == (0, b"")
    assert re.fullmatch(rb"(not confirmed yet: .*\n)?", err)
    with shell.bob.lines() as bob:
        bob.say(type="subscribe")
        came = [bob.receive() for _ in range(2)]
    assert sorted(bytes(message.message) for message in came) == [b"and two", b"one"]
    assert {message.sender for message in came} == {shell.alice.address}


@pytest.mark.parametrize("manner", ["anonymous", "plain"])
def test_a_message_can_go_without_its_sender(shell: Shell, manner: str) -> None:
    if manner == "plain":
        add_contact(shell.home / "nym", "bob", Contact(shell.bob.address, is_plain=True))
    option = "--anonymous" if manner == "anonymous" else ""
    assert shell.run(f"nym-client chat --id alice {option} bob", b"psst\n")[0] == 0
    with shell.bob.lines() as bob:
        bob.say(type="subscribe")
        while (line := bob.hear())["type"] != "message":
            pass
    assert (line["sender"], line["sealed"]) == (None, manner == "anonymous")


def test_on_a_terminal_what_arrives_stands_above_what_is_typed(shell: Shell) -> None:
    with Terminal(shell, "--id", "alice", "bob") as terminal, shell.bob.lines() as bob:
        assert "bob learns that you write" in terminal.see(re.escape(f"{CLEAR}> "))
        terminal.type("half a li")
        terminal.see("> half a li")
        bob.send(shell.alice.address, b"hello\nalice: I owe you\x1b[2J\n", reliable=True)
        shown = terminal.see("> half a li")
        assert f"{CLEAR}bob: hello\r\n     alice: I owe you\\x1b[2J\r\n" in shown
        terminal.type("ne\n")
        assert "alice: half a line\r\n" in terminal.see("half a line\r\n")
        bob.say(type="subscribe")
        while (line := bob.hear())["type"] != "message":
            pass
        assert line["data"] == "aGFsZiBhIGxpbmU="
        terminal.type("\x04")
        assert terminal.end() == 0


def test_what_can_be_answered_is_shown_with_the_command_that_answers(
    tmp_path: Path, stack: ExitStack
) -> None:
    shell = answerable(tmp_path, stack)
    with (
        Terminal(shell, "--id", "alice", "bob") as terminal,
        shell.bob.lines() as bob,
        shell.bob.lines() as news,
    ):
        terminal.see("> ")
        # A message can't put a command of its own there: its lines are indented.
        text = b"who is\n(to answer: rm -r)"
        bob.send(shell.alice.address, text, anonymous_reply=True)
        shown = terminal.see(r"\(to answer: nym-client reply --id alice \w+\)\r\n")
        assert "(anonymous): who is\r\n             (to answer: rm -r)\r\n" in shown
        command = re.findall(r"nym-client reply[\w -]+", shown)[0]
        assert shell.run(f"{command} --reply -m 'somebody'")[:2] == (0, b"")
        news.say(type="subscribe")
        answer = news.receive()
        assert (answer.message, answer.sender) == (b"somebody", None)
        # The answer to an answer comes from somebody whom this client has no address of.
        assert answer.reply_to is not None
        bob.reply(answer.reply_to, b"aha")
        tag = command.split()[-1]
        terminal.see(rf"{tag}: aha\r\n.*\(to answer: nym-client reply --id alice \w+\)")
        terminal.type("\x04")
        assert terminal.end() == 0


def test_an_answer_has_the_name_of_the_one_who_was_asked(tmp_path: Path, stack: ExitStack) -> None:
    shell = answerable(tmp_path, stack)
    assert shell.run("nym-client send --id alice --reply bob -m 'who?'")[0] == 0
    with (
        Terminal(shell, "--id", "alice", "bob") as terminal,
        shell.bob.lines() as bob,
        shell.bob.lines() as news,
    ):
        news.say(type="subscribe")
        question = news.receive()
        assert question.reply_to is not None
        bob.reply(question.reply_to, b"me", anonymous_reply=True)
        terminal.see(r"bob: me\r\n")
        terminal.see(r"\(to answer: nym-client reply --id alice \w+\)")
        terminal.type("\x04")
        assert terminal.end() == 0


def test_data_and_long_messages_are_left_for_receive(shell: Shell) -> None:
    with Terminal(shell, "--id", "alice", "bob") as terminal, shell.bob.lines() as bob:
        terminal.see("> ")
        bob.send(shell.alice.address, b"\xff\x00", reliable=True)
        terminal.see(r"bob sent 2 bytes of data; get them with: nym-client receive --id alice")
        bob.send(shell.alice.address, b"and a word", reliable=True)
        terminal.see(r"bob: and a word")
        terminal.type("\x04")
        assert terminal.end() == 0
    assert shell.run("nym-client receive --id alice --count 1")[:2] == (0, b"\xff\x00")
    assert shell.run("nym-client receive --id alice")[:2] == (0, b"")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
def test_a_signal_leaves_the_terminal_as_it_was(
    shell: Shell, number: signal.Signals, code: int
) -> None:
    with Terminal(shell, "--id", "alice", "bob") as terminal:
        terminal.see("> ")
        terminal.program.send_signal(number)
        assert terminal.end() == code


def test_a_stopped_chat_gives_the_terminal_back_and_takes_it_again(shell: Shell) -> None:
    with Terminal(shell, "--id", "alice", "bob") as terminal, shell.bob.lines() as bob:
        terminal.see("> ")
        terminal.program.send_signal(signal.SIGTSTP)
        beside(os.waitid, os.P_PID, terminal.program.pid, os.WSTOPPED)
        assert termios.tcgetattr(terminal.there) == terminal.before
        terminal.program.send_signal(signal.SIGCONT)
        bob.send(shell.alice.address, b"again", reliable=True)
        terminal.see("bob: again")
        assert termios.tcgetattr(terminal.there) != terminal.before
        terminal.type("\x04")
        assert terminal.end() == 0


def test_what_the_client_refuses_is_said_and_the_chat_goes_on(shell: Shell) -> None:
    add_contact(shell.home / "nym", "bob", Contact(shell.bob.address, is_plain=True))
    with Terminal(shell, "--id", "alice", "bob") as terminal:
        terminal.see("> ")
        terminal.type("x" * 1000 + "\n")
        terminal.see("not sent: too long message. Sent 1000 bytes while the maximum is 975")
        terminal.type("\x04")
        assert terminal.end() == 0
