"""What the README says works as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from nym.cli.usage import COMMANDS
from tests.harness import PATIENCE, Program, run_program

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def test_the_first_session(tmp_path: Path) -> None:
    (script,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    with Program(tmp_path, "localnet", "-p", "0") as network:
        url = network.line(r"^directory +(http.*)$")[1]
        run_program(tmp_path, "init", "--id", "alice", "--directory", url)
        with Program(tmp_path, "tcpsocket", "--id", "alice", "-p", "0") as client:
            port = client.line(r"^Starting TCP socket on port: (\d+)$")[1]
            ran = subprocess.run(
                [sys.executable, "-c", script, port],
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=True,
            )
    own, message = ran.stdout.splitlines()
    assert own.startswith("I am ")
    assert f"`{message}`" in README


def test_every_command_is_in_it() -> None:
    for command in COMMANDS:
        assert f"`{command}" in README


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
        assert (document.parent / target).exists(), target


def test_sections_that_the_code_cites_exist() -> None:
    cited = set()
    for path in [*(ROOT / "nym").rglob("*.py"), *(ROOT / "nym").glob("*.pyx")]:
        for document, section in re.findall(
            r'(docs/[a-z/]+\.md)(?:,\s+"([^"]+)")?', path.read_text()
        ):
            cited.add(document)
            headings = re.findall(r"^#+ (.*)$", (ROOT / document).read_text(), re.MULTILINE)
            assert not section or section in headings, (path, section)
    assert len(cited) >= 6
