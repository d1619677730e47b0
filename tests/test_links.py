"""Links from one document to another lead to a file, and to a heading in it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "changes").glob("+*.md")]


def anchors(document: Path) -> set[str]:
    """The names of a document's headings, as forges make them."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE)
    texts = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", text).replace(" ", "-") for text in texts}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    # What stands in changes/ is moved to CHANGELOG.md.
    folder = ROOT if document.parent.name == "changes" else document.parent
    for link in re.findall(r"\]\(\s*([^)\s]+)\)", document.read_text()):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = folder / path if path else document
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), link
