"""A bare Debian in a folder, for tests that install packages: no network is needed to make it.

It consists of the machine's own essential packages and of those that they depend on, with their
entries in the package manager's database, and of nothing else. Needs root.
"""

import re
import subprocess
from pathlib import Path

from tests.harness import PATIENCE

_DATABASE = Path("/var/lib/dpkg")
# Texts for people, which take longer to copy than everything else.
_LEFT_OUT = ("/usr/share/doc/", "/usr/share/man/", "/usr/share/locale/", "/usr/share/info/")
_PRIVATE_MOUNTS = str(Path(__file__).with_name("private-mounts"))


class BareDebian:
    """The folder `root`, in which programs can be run."""

    def __init__(self, root: Path) -> None:
        """A folder that `make` has made, or a copy of it."""
        self.root = root

    @classmethod
    def make(cls, root: Path, *packages: str) -> "BareDebian":
        """Make it, with these packages beside the essential ones."""
        entries = {_field(text, "Package"): text for text in _entries()}
        chosen = _with_dependencies(entries, packages)
        lists = [path for name in chosen for path in _DATABASE.glob(f"info/{name}[.:]*")]
        files = [
            line
            for path in lists
            if path.suffix == ".list"
            for line in path.read_text().splitlines()
            if line != "/." and not line.startswith(_LEFT_OUT)
        ]
        # On today's Debian, /bin is a link to /usr/bin, and lists name files by either.
        places = {str(Path(file).parent.resolve() / Path(file).name) for file in files}
        existing = sorted(place for place in places if Path(place).exists())
        names = "\0".join([*existing, *map(str, lists), str(_DATABASE / "info/format")])
        _ended("sh", "-c", _COPY, "copy", str(root), text=names)
        for folder in ("dev", "proc", "tmp"):
            (root / folder).mkdir(exist_ok=True)
        (root / "var/lib/dpkg/status").write_text("\n".join(entries[name] for name in chosen))
        for name in ("passwd", "group"):
            master = root / f"usr/share/base-passwd/{name}.master"
            (root / "etc" / name).write_text(master.read_text())
        root.chmod(0o755)
        made = cls(root)
        # These files are in no package: the packages make them when they are configured.
        made.run("shadowconfig", "on")
        made.run("env", "DEBIAN_FRONTEND=noninteractive", "pam-auth-update", "--package", "--force")
        return made

    def command(self, *command: str) -> list[str]:
        """The command line that runs this command inside."""
        return [_PRIVATE_MOUNTS, "sh", "-c", _ENTER, "enter", str(self.root), *command]

    def run(self, *command: str) -> str:
        """Run this inside; give what it prints, standard error included. Fails if it fails."""
        return _ended(*self.command(*command))

    def files(self) -> dict[str, str]:
        """{path: all about it, except for its time} of everything that is inside."""
        found = "find . -xdev -printf '%P\\0%M %U:%G %l\\0'"
        sums = "find . -xdev -type f -print0 | xargs -0 sha256sum -z"
        fields = _ended("sh", "-c", found, cwd=self.root).split("\0")
        about = dict(zip(fields[::2], fields[1::2], strict=False))
        for line in _ended("sh", "-c", sums, cwd=self.root).split("\0")[:-1]:
            digest, path = line.split("  ./", 1)
            about[path] += digest
        return about


_COPY = 'tar -C / -c --null --no-recursion -T - | tar -C "$1" -x --numeric-owner'
_ENTER = """
set -e
root=$1
shift
mount --rbind /proc "$root/proc"
mount --rbind /dev "$root/dev"
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 HOME=/root chroot "$root" "$@"
"""


def _ended(*command: str, cwd: Path | None = None, text: str | None = None) -> str:
    ran = subprocess.run(
        command,
        cwd=cwd,
        input=text,
        stdin=None if text is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ran.returncode == 0, f"{command} ended with {ran.returncode}: {ran.stdout}"
    return ran.stdout


def _entries() -> list[str]:
    """The database's entries of all packages that are installed."""
    entries = (_DATABASE / "status").read_text().split("\n\n")
    return [
        f"{entry.rstrip()}\n" for entry in entries if _field(entry, "Status").endswith(" installed")
    ]


def _field(entry: str, name: str) -> str:
    found = re.search(rf"^{name}: (.*)$", entry, re.MULTILINE)
    return found[1] if found else ""


def _names(field: str) -> list[list[str]]:
    """The names in a list of dependencies; each is a list of alternatives."""
    return [re.findall(r"(?:^|\|)\s*([\w.+-]+)", entry) for entry in field.split(",") if entry]


def _with_dependencies(entries: dict[str, str], packages: tuple[str, ...]) -> list[str]:
    """The names of the essential packages, of these, and of all that they need."""
    providers = {name: name for name in entries}
    for name, entry in entries.items():
        for (provided,) in _names(_field(entry, "Provides")):
            providers.setdefault(provided, name)
    wanted = [name for name in entries if _field(entries[name], "Essential") == "yes"]
    wanted += packages
    found: set[str] = set()
    while wanted:
        name = wanted.pop()
        if name in found:
            continue
        found.add(name)
        for field in ("Pre-Depends", "Depends"):
            for alternatives in _names(_field(entries[name], field)):
                wanted.append(
                    next(providers[other] for other in alternatives if other in providers)
                )
    return sorted(found)
