"""What users notice is written down in changes/, and towncrier moves it to CHANGELOG.md."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nym import __version__
from tests.harness import PATIENCE

ROOT = Path(__file__).parent.parent
HEADING = f"## {__version__}, 2026-01-31"


def towncrier(folder: Path, *arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "towncrier", "build", "--date", "2026-01-31", *arguments]
    ran = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    return ran.returncode, ran.stdout + ran.stderr


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """What towncrier needs of this project, with one change of each kind that a name can have."""
    for name in ("pyproject.toml", "CHANGELOG.md", "nym/__init__.py", "changes/README.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "changes/+one.fixed.md").write_text("This works\nagain.\n")
    (tmp_path / "changes/12.added.md").write_text("That is new.\n")
    return tmp_path


def test_all_changes_have_a_name_and_a_text() -> None:
    code, draft = towncrier(ROOT, "--draft")
    assert code == 0, draft
    assert f"\n{HEADING}\n" in f"\n{draft}"
    said = " ".join(draft.split())
    for path in (ROOT / "changes").iterdir():
        if path.name != "README.md":
            text = " ".join(path.read_text().split())
            assert text
            assert text in said


def test_a_version_comes_above_the_older_ones(project: Path) -> None:
    before = (project / "CHANGELOG.md").read_text()
    code, said = towncrier(project, "--yes")
    assert code == 0, said
    after = (project / "CHANGELOG.md").read_text()
    new = f"{HEADING}\n\n### New\n\n- That is new. (#12)\n\n### Fixed\n\n- This works\n  again.\n"
    assert re.findall(r"^## .*", after, re.MULTILINE)[0] == HEADING
    assert new in after
    assert " ".join(after.replace(new, "").split()) == " ".join(before.split())
    assert [path.name for path in (project / "changes").iterdir()] == ["README.md"]


@pytest.mark.parametrize("name", ["one.md", "+one.new.md", "one.fixed.md"])
def test_other_names_are_refused(project: Path, name: str) -> None:
    (project / "changes" / name).write_text("This is new.\n")
    code, said = towncrier(project, "--draft")
    assert code != 0
    assert name.removesuffix(".fixed.md") in said
