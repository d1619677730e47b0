"""What the build writes beside the program: the list of its parts, their licences, and sums.

Only for a built program: these tests are skipped unless NYM_CLIENT names one.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from nym import __version__
from tests.harness import FILE, IS_STANDARD, for_launcher, for_one_file

LIST = FILE.with_name(f"{FILE.name}.cdx.json")

pytestmark = for_one_file


@pytest.fixture(scope="module")
def inventory() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(LIST.read_text())
    return read


@pytest.fixture(scope="module")
def components(inventory: dict[str, Any]) -> list[dict[str, Any]]:
    """All components in the list; the program itself comes first."""
    return [inventory["metadata"]["component"], *inventory["components"]]


def source(component: dict[str, Any]) -> str:
    """The name of the source package, for a package of the system; else the component's name."""
    for entry in component.get("properties", []):
        if entry["name"].endswith(":source"):
            return re.sub(r"-\d+$", "", entry["value"])
    return str(component["name"])


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_sums_are_those_of_all_files() -> None:
    folder = FILE.parent
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = [str(path.relative_to(folder)) for path in files if path.name != "SHA256SUMS"]
    assert {FILE.name, LIST.name, "LICENSES.txt"} <= {*names}
    assert sorted(lines) == sorted(f"{digest(folder / name)}  {name}" for name in names)
    assert lines == sorted(lines, key=lambda line: line.split("  ")[1])


def test_the_list_is_of_this_program(inventory: dict[str, Any]) -> None:
    program = inventory["metadata"]["component"]
    assert (inventory["bomFormat"], inventory["specVersion"]) == ("CycloneDX", "1.6")
    assert (program["name"], program["version"]) == ("nym-client", __version__)
    assert program["hashes"] == [{"alg": "SHA-256", "content": digest(FILE)}]


@pytest.mark.parametrize(
    "name",
    [
        *("CPython", "gevent", "greenlet", "zope.interface", "requests", "certifi", "protobuf"),
        *("libsodium", "openssl", "sqlite3", "zlib", "libffi", "gcc", "libev"),
        *(pytest.param(name, marks=for_launcher) for name in ("glibc", "libzstd")),
    ],
)
def test_it_names_the_parts(components: list[dict[str, Any]], name: str) -> None:
    versions = [part["version"] for part in components if name in (part["name"], source(part))]
    assert versions
    assert all(re.match(r"(\d+:)?\d+\.\d+", version) for version in versions)


def test_tools_of_the_build_are_not_in_it(components: list[dict[str, Any]]) -> None:
    tools = {"pyinstaller", "cython", "setuptools", "pip", "zstandard", "cyclonedx-python-lib"}
    found = tools.intersection(part["name"].lower() for part in components)
    assert found == ({"pyinstaller"} if IS_STANDARD else set())  # for its bootloader


@pytest.mark.parametrize(
    "library",
    [
        *("libsodium", "libcrypto", "libsqlite3"),
        *(pytest.param(name, marks=for_launcher) for name in ("libc", "libzstd")),
    ],
)
def test_each_library_is_in_one_part(components: list[dict[str, Any]], library: str) -> None:
    files = [file for part in components for file in part.get("components", [])]
    found = [file for file in files if re.match(rf"{library}\.(so\.|a$)", file["name"])]
    assert len({file["name"] for file in found}) == len(found) > 0
    assert all(re.fullmatch("[0-9a-f]{64}", file["hashes"][0]["content"]) for file in found)


def test_every_part_has_a_licence_and_an_address(components: list[dict[str, Any]]) -> None:
    for part in components:
        (licence,) = part["licenses"]
        known = licence.get("expression") or licence["license"].get("id")
        assert known, f"this part's licence isn't an identifier of SPDX: {part}"
        assert part["purl"].startswith(("pkg:pypi/", "pkg:deb/", "pkg:generic/"))


def test_no_part_is_there_twice(components: list[dict[str, Any]]) -> None:
    files = [file for part in components for file in part.get("components", [])]
    for field, entries in (("name", components), ("purl", components), ("name", files)):
        values = [entry[field] for entry in entries]
        assert sorted({*values}) == sorted(values)
    references = [entry["bom-ref"] for entry in [*components, *files]]
    assert len({*references}) == len(references)


def test_every_part_has_its_texts(components: list[dict[str, Any]]) -> None:
    page = (FILE.parent / "LICENSES.txt").read_text()
    rule = "=" * 78
    assert page.startswith(f"{rule}\nnym-client {__version__}\n")
    _, *sections = re.split(rf"^{rule}\n((?:\S.*\n)+){rule}\n", page, flags=re.MULTILINE)
    headings, texts = sections[::2], sections[1::2]
    named = {name for heading in headings for name in heading.splitlines()}
    assert {f"{part['name']} {part['version']}" for part in components} <= named
    assert all(text.strip() for text in texts)
    assert len({*texts}) == len(texts)


def test_texts_that_are_referred_to_are_there() -> None:
    page = (FILE.parent / "LICENSES.txt").read_text()
    for path in re.findall(r"/usr/share/common-licenses/[\w.-]*\w", page):
        assert re.search(rf"^{re.escape(path)}$", page, re.MULTILINE), (
            f"LICENSES.txt refers to {path}, but doesn't contain it"
        )
