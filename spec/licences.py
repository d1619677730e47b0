"""Finds the licences of all that is packed: their SPDX names, and their texts on one page."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageMetadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from parts import Part

COMMON = Path("/usr/share/common-licenses")
RULE = "=" * 78
TEXT_NAME = re.compile(r"LICEN[CS]E|COPYING|NOTICE", re.IGNORECASE)

# Licences of parts whose metadata don't name one in the way of SPDX. Packages of Debian stand here
# under the name of their source package.
NAMES = {
    "CPython": "Python-2.0",
    "expat": "MIT",
    "gcc": "GPL-3.0-or-later WITH GCC-exception-3.1",
    "glibc": "LGPL-2.1-or-later",
    "libev": "BSD-2-Clause OR GPL-2.0-or-later",
    "libffi": "MIT",
    "libsodium": "ISC",
    "libzstd": "BSD-3-Clause OR GPL-2.0-only",
    "nym-client": "Apache-2.0",
    "openssl": "Apache-2.0",
    "pyinstaller": "GPL-2.0-or-later WITH Bootloader-exception",
    "pg8000": "BSD-3-Clause",
    "protobuf": "BSD-3-Clause",
    "pysodium": "BSD-2-Clause",
    "segno": "BSD-3-Clause",
    "sqlite3": "blessing",
    "uPlot": "MIT",
    "utf8_range": "MIT",
    "zlib": "Zlib",
}


def of(name: str) -> str | None:
    """The licence of a part, or of a source package, by its name; None if NAMES lacks it.

    A source package's name may end with a version, such as gcc-12.
    """
    return NAMES.get(re.sub(r"-\d+$", "", name))


def of_metadata(metadata: PackageMetadata) -> str:
    """The licence in a Python distribution's metadata, in the newer form or an older one."""
    classifiers = metadata.get_all("Classifier", [])
    named = [line.split(" :: ")[-1] for line in classifiers if line.startswith("License :: ")]
    return metadata["License-Expression"] or metadata["License"] or ", ".join(named)


def texts_of(distribution: Distribution) -> list[str]:
    """The licence texts that are installed with a Python distribution."""
    return [
        read(Path(str(distribution.locate_file(file))))
        for file in sorted(distribution.files or ())
        if file.parts[0].endswith(".dist-info")
        and ("licenses" in file.parts or TEXT_NAME.match(file.name))
    ]


def read(path: Path) -> str:
    """Read a text; bytes that aren't UTF-8 become replacement characters."""
    return path.read_text("utf-8", errors="replace").strip("\n")


def page(parts: Iterable[Part]) -> str:
    """All texts, each once, under the names of the parts it is for.

    Behind them are the common texts to which they refer. Stops the build for a part without a
    licence or without a text.
    """
    headings: dict[str, list[str]] = {}
    for part in parts:
        if not part.licence:
            raise SystemExit(
                f"inventory: {part.name} names no licence; add it to NAMES in spec/licences.py"
            )
        if not part.texts:
            raise SystemExit(f"inventory: no licence text was found for {part.name}")
        for text in part.texts:
            headings.setdefault(text, []).append(f"{part.name} {part.version}")
    for path in _referred(headings):
        headings.setdefault(read(path), []).append(str(path))
    return "\n".join(_section(names, text) for text, names in headings.items())


def _referred(texts: Iterable[str]) -> list[Path]:
    """Paths of the common licence texts, which Debian installs once for all packages."""
    found: set[str] = set()
    for text in texts:
        # Texts of distributions name this licence by its URL only.
        if "mozilla.org/MPL/2.0" in text:
            found.add("MPL-2.0")
        # Some write {GPL-2,MPL-1.1} for several.
        for braces, name in re.findall(rf"{COMMON}/(?:{{([^}}]+)}}|([\w.-]*\w))", text):
            found.update(braces.split(",") if braces else [name])
    return [COMMON / name for name in sorted(found)]


def _section(names: Iterable[str], text: str) -> str:
    return "\n".join([RULE, *dict.fromkeys(names), RULE, "", text, ""])
