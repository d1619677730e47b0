"""Licences of what is packed: their names, and all their texts on one page."""

import re
from pathlib import Path

COMMON = Path("/usr/share/common-licenses")
RULE = "=" * 78
TEXT_NAME = re.compile(r"LICEN[CS]E|COPYING|NOTICE", re.IGNORECASE)

# What no metadata say in a way that SPDX knows: Debian has them by the source package.
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
    "protobuf": "BSD-3-Clause",
    "pysodium": "BSD-2-Clause",
    "segno": "BSD-3-Clause",
    "sqlite3": "blessing",
    "utf8_range": "MIT",
    "zlib": "Zlib",
}


def of(name):
    """The licence of a part by its name, or of a source package, which may end with a number."""
    return NAMES.get(re.sub(r"-\d+$", "", name))


def of_metadata(metadata):
    """The licence as a distribution's metadata have it, in the newer or an older way."""
    classifiers = metadata.get_all("Classifier", [])
    named = [line.split(" :: ")[-1] for line in classifiers if line.startswith("License :: ")]
    return metadata["License-Expression"] or metadata["License"] or ", ".join(named)


def texts_of(distribution):
    """The texts that a distribution came with."""
    return [
        read(distribution.locate_file(file))
        for file in sorted(distribution.files or ())
        if file.parts[0].endswith(".dist-info")
        and ("licenses" in file.parts or TEXT_NAME.match(file.name))
    ]


def read(path):
    """A text; what isn't UTF-8 in it is marked."""
    return Path(path).read_text("utf-8", errors="replace").strip("\n")


def page(parts):
    """Every text once, under the names of what it is for, then those that these refer to."""
    headings = {}
    for part in parts:
        if not part.licence:
            raise SystemExit(f"inventory: {part.name} names no licence: spec/licences.py has to")
        if not part.texts:
            raise SystemExit(f"inventory: {part.name} has no licence text to be found")
        for text in part.texts:
            headings.setdefault(text, []).append(f"{part.name} {part.version}")
    for path in _referred(headings):
        headings.setdefault(read(path), []).append(str(path))
    return "\n".join(_section(names, text) for text, names in headings.items())


def _referred(texts):
    """Texts that Debian has once for all packages; {GPL-2,MPL-1.1} refers to several."""
    found = set()
    for text in texts:
        if "mozilla.org/MPL/2.0" in text:
            found.add("MPL-2.0")
        for braces, name in re.findall(rf"{COMMON}/(?:{{([^}}]+)}}|([\w.-]*\w))", text):
            found.update(braces.split(",") if braces else [name])
    return [COMMON / name for name in sorted(found)]


def _section(names, text):
    return "\n".join([RULE, *dict.fromkeys(names), RULE, "", text, ""])
