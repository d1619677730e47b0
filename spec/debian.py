"""Asks Debian's package manager which package each library belongs to."""

import platform
import shutil
import subprocess
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

# Static libraries in the launcher and the program: what bundle.py names, and what cc adds.
STATIC = ["libzstd.a", "libc.a", "libgcc.a", "libgcc_eh.a"]
FIELDS = [
    *("${Package}", "${Version}", "${Architecture}"),
    *("${source:Package}", "${source:Version}", "${binary:Summary}"),
]


@dataclass(frozen=True)
class Package:
    """An installed package."""

    name: str
    version: str
    architecture: str
    source_name: str
    source_version: str
    summary: str

    @classmethod
    def named(cls, name: str) -> "Package":
        """The package with this name, which may be followed by a colon and an architecture."""
        return cls(*_output("dpkg-query", "-W", "-f", "\t".join(FIELDS), name).split("\t"))

    @property
    def copyright(self) -> Path:
        """The path of its file with copyright and licence."""
        return Path("/usr/share/doc") / self.name / "copyright"


def linked_statically() -> dict[str, Path]:
    """{name: path} of each library that is linked into the executables."""
    found = {name: _output("cc", f"-print-file-name={name}").strip() for name in STATIC}
    return {name: Path(path).resolve() for name, path in found.items()}


def owners(paths: Iterable[Path]) -> dict[Path, str]:
    """{path: name of its package}, without the paths that are in no package."""
    if not shutil.which("dpkg"):
        raise SystemExit("inventory: dpkg is needed, to find the packages of libraries")
    # Some packages list a file under /lib, which has become a link to /usr/lib since then.
    known_as = {str(path).removeprefix(old): path for path in paths for old in ("", "/usr")}
    found = {}
    # dpkg ends with 1 if it doesn't know some of the paths.
    for line in _output("dpkg", "-S", *known_as, codes=(0, 1)).splitlines():
        names, _, path = line.rpartition(": ")
        name = names.split(", ")[0]
        # A name with a space is no name, but a sentence about a diverted file.
        if path in known_as and " " not in name:
            found[known_as[path]] = name
    return found


def vendor() -> str:
    """The system's name for package URLs, such as debian."""
    return platform.freedesktop_os_release()["ID"]


def _output(*command: str, codes: Collection[int] = (0,)) -> str:
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode not in codes:
        raise SystemExit(f"inventory: {' '.join(command)}: {ran.stderr.strip()}")
    return ran.stdout
