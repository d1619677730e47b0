"""Completion in real shells: every name of a client or contact is completed, and never evaluated.

Each test types into a shell on a pseudo-terminal, and compares the arguments that a stand-in for
the program is called with.
"""

import fcntl
import os
import pty
import select
import shutil
import subprocess
import termios
import time
from pathlib import Path

import pytest

from nym.cli.usage import COMMANDS
from nym.contacts import Contact, add_contact
from tests.harness import PATIENCE, PROGRAM, run_program

# Names that a client's folder can have, by their first letters. If a shell evaluated one of the
# commands in them, it would make the file PWNED.
NAMES = {
    "pl": "plain",
    "sp": "sp ace",
    "qu": "qu'ote",
    "dq": 'dq"uote',
    "gl": "gl*b?[a]",
    "do": "do$(touch PWNED)",
    "ba": "ba`touch PWNED`",
    "se": "se;touch PWNED",
    "am": "am&>PWNED",
    "co": "co:lon=x",
    "bs": "bs\\back",
    "um": "umläut",
    "ti": "ti~de#{a,b}!",
}
START = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "source {}\n"),
    "zsh": (["zsh", "-f", "-i"], "autoload -U compinit && compinit -u -D; source {}\n"),
    "fish": (["fish", "-i"], "source {}\n"),
}


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """A shell on a pseudo-terminal. Its `nym-client` is a script that writes down its arguments.

    The script calls the real program only to list contacts, which the completion needs.
    """

    def __init__(self, home: Path, shell: str) -> None:
        self.home = home
        self._arguments = home / "arguments"
        program = home / "bin" / "nym-client"
        program.parent.mkdir()
        program.write_text(
            "#!/bin/sh\n"
            f'[ "$1" != contacts ] || [ "$2" != list ] || exec {PROGRAM} "$@"\n'
            f"printf '%s\\0' \"$@\" > {self._arguments}.new\n"
            f"mv {self._arguments}.new {self._arguments}\n"
        )
        program.chmod(0o755)
        completion = home / "completion"
        completion.write_text(run_program(home, "completion", shell)[1])
        command, setting_up = START[shell]
        self._terminal, there = pty.openpty()
        self._process = subprocess.Popen(
            command,
            stdin=there,
            stdout=there,
            stderr=there,
            cwd=home,
            start_new_session=True,
            preexec_fn=_take_terminal,
            env={
                "PATH": f"{program.parent}:{os.environ['PATH']}",
                "PYTHONPATH": os.getcwd(),
                "HOME": str(home),
                "XDG_CONFIG_HOME": str(home),
                "TERM": "xterm",
                "LANG": "C.UTF-8",
            },
        )
        os.close(there)
        self.typed(setting_up.format(completion) + "nym-client ready\n", ["ready"])

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._terminal)

    def typed(self, text: str, expected: list[str]) -> None:
        """Type this, wait until the program is called, and compare its arguments."""
        self._arguments.unlink(missing_ok=True)
        os.write(self._terminal, text.encode())
        shown = b""
        give_up = time.monotonic() + PATIENCE
        while not self._arguments.exists():
            assert time.monotonic() < give_up, (
                f"the program was not called; the terminal shows {shown.decode(errors='replace')}"
            )
            if select.select([self._terminal], [], [], 0.05)[0]:
                shown += os.read(self._terminal, 4096)
        assert self._arguments.read_bytes().decode().split("\0")[:-1] == expected, (
            f"the program got other arguments; the terminal shows {shown!r}"
        )


@pytest.fixture(params=START)
def terminal(tmp_path: Path, request: pytest.FixtureRequest) -> Terminal:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} isn't installed")
    for name in NAMES.values():
        (tmp_path / "nym" / "clients" / name).mkdir(parents=True)
    add_contact(tmp_path / "nym", "dora", Contact(b"d" * 32))
    add_contact(tmp_path / "nym", "émil+1", Contact(b"e" * 32, is_plain=True))
    return Terminal(tmp_path, request.param)


def test_names_are_completed_as_they_are(terminal: Terminal) -> None:
    with terminal:
        for begin, name in NAMES.items():
            terminal.typed(f"nym-client address --id {begin}\t\n", ["address", "--id", name])
        terminal.typed("nym-client send --id plain dor\t\n", ["send", "--id", "plain", "dora"])
        terminal.typed("nym-client send --id plain ém\t\n", ["send", "--id", "plain", "émil+1"])
        assert not list(terminal.home.rglob("PWNED"))


def test_commands_words_and_options_are_completed(terminal: Terminal) -> None:
    with terminal:
        terminal.typed("nym-client addr\t\n", ["address"])
        terminal.typed("nym-client config sh\t\n", ["config", "show"])
        terminal.typed("nym-client receive --fol\t\n", ["receive", "--follow"])
        terminal.typed(
            "nym-client send --id pl\t --rel\t\n", ["send", "--id", "plain", "--reliable"]
        )


@pytest.mark.parametrize("quote", ["'", '"'])
def test_bash_completes_inside_quotes(tmp_path: Path, quote: str) -> None:
    (tmp_path / "nym" / "clients" / "sp ace $").mkdir(parents=True)
    (tmp_path / "nym" / "clients" / "tw o").mkdir()
    with Terminal(tmp_path, "bash") as terminal:
        terminal.typed(f"nym-client address --id {quote}tw\t\n", ["address", "--id", "tw o"])
        if quote == "'":
            terminal.typed("nym-client address --id 'sp\t\n", ["address", "--id", "sp ace $"])
        terminal.typed("nym-client address --id=tw\t\n", ["address", "--id=tw o"])
        terminal.typed("nym-client address --id tw\\ \t\n", ["address", "--id", "tw o"])


@pytest.mark.parametrize("shell", START)
def test_scripts_are_understood_by_their_shells(tmp_path: Path, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} isn't installed")
    _, script, _ = run_program(tmp_path, "completion", shell)
    ran = subprocess.run([shell, "-n"], input=script.encode(), capture_output=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, b"")
    for command in COMMANDS:
        assert command in script
