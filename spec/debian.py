"""Asks the system's package manager which packages libraries are of."""

import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

# What the launcher and the program are linked with: see bundle.py, and the C compiler's own.
STATIC = ["libzstd.a", "libc.a", "libgcc.a", "libgcc_eh.a"]
FIELDS = [
    *("${Package}", "${Version}", "${Architecture}"),
    *("${source:Package}", "${source:Version}", "${binary:Summary}"),
]


@dataclass(frozen=True)
class Package:
    """A package, as it is installed."""

    name: str
    version: str
    architecture: str
    source_name: str
    source_version: str
    summary: str

    @classmethod
    def named(cls, name):
        """The package of a name, which may have its architecture behind a colon."""
        return cls(*_output("dpkg-query", "-W", "-f", "\t".join(FIELDS), name).split("\t"))

    @property
    def copyright(self):
        """The file that says who may do what with it."""
        return Path("/usr/share/doc") / self.name / "copyright"


def linked_statically():
    """Name -> path of each library that is part of the executables themselves."""
    found = {name: _output("cc", f"-print-file-name={name}").strip() for name in STATIC}
    return {name: Path(path).resolve() for name, path in found.items()}


def owners(paths):
    """Path -> name of the package that has it, of those that are in one."""
    if not shutil.which("dpkg"):
        raise SystemExit("inventory: packages of libraries are known from dpkg, which isn't here")
    # Packages may know a file by its path of before /lib became a link to /usr/lib.
    known_as = {str(path).removeprefix(old): path for path in paths for old in ("", "/usr")}
    found = {}
    # Exit code 1: some of the names are unknown.
    for line in _output("dpkg", "-S", *known_as, codes=(0, 1)).splitlines():
        names, _, path = line.rpartition(": ")
        name = names.split(", ")[0]
        if path in known_as and " " not in name:  # which would be a sentence about a diversion
            found[known_as[path]] = name
    return found


def vendor():
    """The system's name, as package URLs have it."""
    return platform.freedesktop_os_release()["ID"]


def _output(*command, codes=(0,)):
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode not in codes:
        raise SystemExit(f"inventory: {' '.join(command)}: {ran.stderr.strip()}")
    return ran.stdout
