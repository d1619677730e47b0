"""What documents show of other files: examples, and transcripts that the tests run.

After a mark such as <!-- examples/hello.py --> stands that file, and after one such as
<!-- tests/cli/recipes.txt#chat --> the section of it that begins with "## chat". To copy them again
after a change: python -m tests.documents
"""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_INCLUDED = re.compile(
    r"(<!-- ((?:examples|tests/cli|tests/hosting)/[^\s#]+)(?:#(\S+))? -->\n```\w+\n)"
    r"(.*?)(```\n)",
    re.DOTALL,
)


def names(document: Path) -> set[str]:
    """The files of which it shows something."""
    return {match[2] for match in _INCLUDED.finditer(document.read_text())}


def filled(document: Path) -> str:
    """Its text, with what it shows as it is now."""
    return _INCLUDED.sub(
        lambda match: f"{match[1]}{_part(match[2], match[3])}{match[5]}", document.read_text()
    )


def _part(name: str, section: str | None) -> str:
    text = (ROOT / name).read_text()
    if section is None:
        return text
    found = re.search(rf"^## {section}\n(.*?)(?=\n## |\Z)", text, re.DOTALL | re.MULTILINE)
    assert found, f"{name} has no section {section}"
    return found[1]


if __name__ == "__main__":
    for path in DOCUMENTS:
        path.write_text(filled(path))
