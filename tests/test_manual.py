"""The manual page is made from the descriptions of the commands, and leaves nothing out."""

import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from nym.cli.command import HELP
from nym.cli.manual import page
from nym.cli.usage import COMMANDS
from tests.harness import PATIENCE, Program, run_program, wait_until

PAGE = Path(__file__).parent.parent / "docs" / "nym-client.1"


def plain() -> str:
    """The page's source, with roff's escapes replaced by the characters that they stand for."""
    return (
        page().replace("\\-", "-").replace("\\(ti", "~").replace("\\(aq", "'").replace("\\e", "\\")
    )


def test_the_page_is_what_the_texts_make() -> None:
    assert PAGE.read_text() == page(), (
        "the manual page is out of date; make it: python -m nym.cli.manual > docs/nym-client.1"
    )


def test_every_command_option_and_example_is_in_it() -> None:
    for command in COMMANDS.values():
        section = re.split(rf"^\.SS {command.name}$", plain(), flags=re.MULTILINE)[1]
        section = re.split(r"^\.S[SH] ", section, flags=re.MULTILINE)[0]
        assert f".PP\n{command.summary}.\n" in section
        assert f"{command.usage}\n" in section
        names = [option.name for option in command.options if option != HELP]
        for name in [*names, *(argument.name for argument in command.arguments)]:
            assert re.search(rf"^\.B .*{name}\b.*\n\w", section, re.MULTILINE), (
                f"the section of {command.name} doesn't explain {name}"
            )
        for example in command.examples:
            assert f"  {example}\n" in section


def test_every_exit_code_is_in_it() -> None:
    codes = plain().split(".SH EXIT STATUS\n")[1].split(".SH")[0]
    assert re.findall(r"^\.B (\d)\n\w", codes, re.MULTILINE) == ["0", "1", "2", "3", "4", "5"]


def test_every_file_of_a_running_client_is_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "nym" / "clients" / "alice"
    run_program(tmp_path, "init", "--id", "alice", "--directory", "http://127.0.0.1:1")
    with Program(tmp_path, "tcpsocket", "--id", "alice", "-p", "0") as program:
        program.line("^Public key")
        wait_until((folder / "client.sock").exists)
        files = {path.name for path in folder.iterdir()}
        program.end(signal.SIGTERM)
    assert len(files) >= 6
    for name in files:
        assert name in plain()


@pytest.mark.parametrize(
    "command", [("man", "--warnings", "-l"), ("groff", "-man", "-ww", "-Tutf8")], ids=lambda c: c[0]
)
def test_the_formatter_has_no_complaints(command: tuple[str, ...]) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} isn't installed")
    ran = subprocess.run([*command, str(PAGE)], capture_output=True, timeout=PATIENCE, check=True)
    assert ran.stderr == b""
