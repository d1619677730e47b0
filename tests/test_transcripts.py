"""Runs the transcripts in tests/cli/*.txt: what a person types, and what the program prints.

A line that begins with "$ " is typed into a shell. What it prints, on both streams, stands below,
and then the exit code in brackets, unless that is 0. <word> stands for any text without white
space, <...> for the rest of a line, and ... for any lines. Text after an empty line is prose. Lines
in which `--wait` says what it waits for, as on a slow machine, only count if they are expected. A
command that ends with & keeps running, and the next one is typed once its client can be reached.
"""

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.harness import PATIENCE, PROGRAM, Program

FOLDER = Path(__file__).parent / "cli"
TRANSCRIPTS = sorted(FOLDER.glob("*.txt"))
_MARK = "@@@ "
_AGE = "<age>"  # such as 40 s, or 2 h 5 min


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Program(tmp_path_factory.mktemp("network"), "localnet", "--port", "0") as network:
        yield network.line(r"^directory +(http.*)$")[1]


def commands(text: str) -> list[tuple[str, str]]:
    """(what is typed, what is expected) of each."""
    pairs: list[tuple[str, str]] = []
    is_output = False
    for line in text.splitlines():
        if line.startswith("$ "):
            pairs.append((line.removeprefix("$ "), ""))
            is_output = True
        elif not line:
            is_output = False
        elif is_output:
            command, expected = pairs[-1]
            pairs[-1] = (command, f"{expected}{line}\n")
    return pairs


def script(typed: list[str]) -> str:
    """For bash: each command, then a mark, and its exit code."""
    lines = []
    for command in typed:
        lines.append(f"{{ {command}\n}}" + (" > /dev/null" if command.endswith("&") else ""))
        lines.append(f'echo "{_MARK}$?"')
        if command.endswith("&") and (client := re.search(r"--id (\S+)", command)):
            lines.append(f"until nym-client status --id {client[1]} &> /dev/null; do :; done")
    return "exec 2>&1\n" + "\n".join(lines) + "\nkill $(jobs -p) 2> /dev/null; wait\n"


def pattern(expected: str) -> re.Pattern[str]:
    """What the output has to match."""
    lines = "".join(
        "(?:.*\n)*?" if line == "..." else _line(line) + "\n" for line in expected.splitlines()
    )
    if _AGE in expected:
        # How wide the columns of this table are depends on how old the network is by now.
        lines = re.sub(r"(?:\\ ){2,}", "  +", lines)
    return re.compile(lines)


def _line(expected: str) -> str:
    rest = re.escape(expected).replace(re.escape("<...>"), ".*")
    rest = rest.replace(_AGE, r"\d+ \w+(?: \d+ \w+)?")
    return re.sub("<[a-z]+>", r"\\S+?", rest)


def run(transcript: Path, folder: Path, shell: Sequence[str], **variables: str) -> None:
    """Type a transcript into bash, in `folder`. `shell` is the command that runs a script."""
    program = folder / "bin" / "nym-client"
    program.parent.mkdir()
    checkout = FOLDER.parent.parent
    program.write_text(f'#!/bin/sh\nPYTHONPATH={checkout} exec {PROGRAM} "$@"\n')
    program.chmod(0o755)
    environment = {
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "LANG": "C.UTF-8",
        **variables,
    }
    pairs = commands(transcript.read_text())
    typed = folder / "bin" / "typed"
    typed.write_text(script([command for command, _ in pairs]))
    ran = subprocess.run(
        [*shell, typed],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    outputs = re.split(rf"^{_MARK}(\d+)\n", ran.stdout, flags=re.MULTILINE)
    for (command, expected), output, code in zip(pairs, outputs[::2], outputs[1::2], strict=False):
        if "--wait" in command and "waiting: " not in expected:
            output = re.sub("^waiting: .*\n", "", output, flags=re.MULTILINE)
        shown = output + (f"[{code}]\n" if code != "0" else "")
        assert pattern(expected).fullmatch(shown), f"$ {command}\n{shown}\nexpected:\n{expected}"
    assert len(outputs) == 2 * len(pairs) + 1, ran.stdout


@pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda path: path.stem)
def test_transcript(transcript: Path, directory: str, tmp_path: Path) -> None:
    run(transcript, tmp_path, ["bash"], DIRECTORY=directory)


def test_there_are_transcripts() -> None:
    assert len(TRANSCRIPTS) >= 5
    assert all(len(commands(path.read_text())) >= 5 for path in TRANSCRIPTS)


def test_a_transcript_that_is_wrong_is_found() -> None:
    assert not pattern("one\n").fullmatch("two\n")
    assert not pattern("key <key>\n").fullmatch("key\n")
    assert pattern("1 returned<...>").fullmatch("1 returned, in time\n")
    assert pattern("a\n...\nz <n>\n").fullmatch("a\nb\nc\nz 9\n")
