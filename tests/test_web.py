"""The files of pages: what is handed out, how, and that others' files are as they came."""

import hashlib
import re
from pathlib import Path

import pytest

from nym.net.web import Answer
from nym.nodes.directory import DASHBOARD
from nym.sockets.page import _PAGE as CLIENT
from nym.web import files
from nym.web.page import COMMON, Page

ROOT = Path(__file__).parent.parent
WEB = ROOT / "nym/web"
MOST = 200_000  # bytes of all pages together (docs/protocol/pages.md)
# What README.md beside each of them says that it is.
UNCHANGED = {
    "nym/web/vendor/uplot.min.js": (
        "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f"
    ),
    "nym/web/vendor/uplot.min.css": (
        "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04"
    ),
    "tests/browser/vendor/axe.min.js": (
        "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
    ),
}


def is_page_file(path: Path) -> bool:
    return path.suffix in (".html", ".css", ".js", ".svg")


def get(page: Page, path: str, known: str = "", encodings: str = "") -> Answer:
    assert path in page, path
    return page[path].answer(known, encodings)


@pytest.mark.parametrize("name", UNCHANGED)
def test_what_others_wrote_is_unchanged(name: str) -> None:
    assert hashlib.sha256((ROOT / name).read_bytes()).hexdigest() == UNCHANGED[name]


@pytest.mark.parametrize("folder", ["nym/web/vendor", "tests/browser/vendor"])
def test_nothing_of_others_has_no_checksum(folder: str) -> None:
    kept = {str(path.relative_to(ROOT)) for path in (ROOT / folder).iterdir()}
    assert kept - {f"{folder}/README.md"} == {name for name in UNCHANGED if folder in name}


def test_all_pages_together_are_small() -> None:
    sizes = [path.stat().st_size for path in WEB.rglob("*") if is_page_file(path)]
    assert 0 < sum(sizes) < MOST


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("common/look.css", "text/css; charset=utf-8"),
        ("vendor/uplot.min.js", "text/javascript; charset=utf-8"),
    ],
)
def test_a_file_has_its_bytes_and_its_type(file: str, kind: str) -> None:
    status, headers, body = get(Page("none", ()), f"/web/{file}")
    assert status == "200 OK"
    assert body == (WEB / file).read_bytes() == files.read(file)
    assert dict(headers)["Content-Type"] == kind
    assert dict(headers)["Cache-Control"] == "no-cache"


def test_a_browser_that_has_a_file_gets_no_body() -> None:
    page = Page("none", ())
    tag = dict(get(page, "/web/common/look.css").headers)["ETag"]
    status, headers, body = get(page, "/web/common/look.css", known=tag)
    assert (status, body) == ("304 Not Modified", b"")
    assert dict(headers)["ETag"] == tag


def test_a_file_is_sent_packed() -> None:
    answer = get(Page("none", ()), "/web/vendor/uplot.min.js", encodings="gzip, br")
    assert dict(answer.headers)["Content-Encoding"] == "gzip"
    assert len(answer.body) < (WEB / "vendor/uplot.min.js").stat().st_size / 2


def test_no_page_can_be_framed_or_run_what_it_was_not_sent() -> None:
    headers = dict(get(Page("none", ()), "/web/common/look.css").headers)
    policy = headers["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} <= set(policy)
    assert {"require-trusted-types-for 'script'", "trusted-types 'none'"} <= set(policy)
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize(
    "path",
    ["/web/", "/web/page.py", "/web/common", "/web/../page.py", "/common/look.css", "/index.html"],
)
def test_nothing_else_is_handed_out(path: str) -> None:
    assert path not in Page("none", ())


def test_each_file_is_one_of_a_page_and_each_page_has_its_files() -> None:
    listed = {file for page in (CLIENT, DASHBOARD) for file in page._files.values()}
    assert set(COMMON) < listed
    assert listed == {str(path.relative_to(WEB)) for path in WEB.rglob("*") if is_page_file(path)}


@pytest.mark.parametrize("page", [CLIENT, DASHBOARD], ids=["client", "dashboard"])
def test_each_file_of_a_page_has_a_type(page: Page) -> None:
    for path in page._files:
        assert get(page, path).status == "200 OK"
    assert dict(get(page, "/").headers)["Content-Type"] == "text/html; charset=utf-8"


def test_modules_load_only_what_is_handed_out() -> None:
    for page in (CLIENT, DASHBOARD):
        for file in page._files.values():
            for path in re.findall(r'(?:from|import) "([^"]+)"', (WEB / file).read_text()):
                assert path in page, f"{file} loads {path}"
