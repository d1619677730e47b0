"""The Debian package: installed, used, upgraded, removed and purged in a bare Debian.

Only for a build: these tests are skipped unless NYM_CLIENT names its program, beside which
`build_binary.sh --deb` puts the package.
"""

import gzip
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nym import __version__
from tests.bare_debian import BareDebian
from tests.harness import FILE, Program, for_one_file

ROOT = Path(__file__).parent.parent
FOLDER = "var/lib/nym-client"
UNIT = "usr/lib/systemd/system/nym-client@.service"
COMPLETIONS = {
    "bash": "usr/share/bash-completion/completions/nym-client",
    "zsh": "usr/share/zsh/vendor-completions/_nym-client",
    "fish": "usr/share/fish/vendor_completions.d/nym-client.fish",
}
INSTALL = ("dpkg", "--install", "/nym-client.deb")
NOWHERE = "http://127.0.0.1:1"  # no directory is there
# What the package manager writes for itself, and the copies that useradd and userdel keep.
KEPT_BY_DEBIAN = re.compile(r"var/lib/dpkg/|var/log/dpkg\.log$|etc/(passwd|group|g?shadow)-$")
AS_USER = ("runuser", "-u", "nym-client", "--", "env", f"XDG_CONFIG_HOME=/{FOLDER}", "nym-client")

pytestmark = [
    for_one_file,
    pytest.mark.skipif(os.geteuid() != 0, reason="installs packages"),
]


class Installed(BareDebian):
    """A bare Debian that has the package as a file, and what tests do with it."""

    def install(self) -> str:
        return self.run(*INSTALL)

    def nym(self, *arguments: str) -> str:
        """Run the program as the administrator does: for the machine's clients, as their user."""
        return self.run(*AS_USER, *arguments)

    def client(self, identifier: str) -> Program:
        """Run this client; signals reach the program itself."""

        class Inside(Program):
            command = self.command(
                *("setpriv", "--reuid=nym-client", "--regid=nym-client", "--clear-groups"),
                *("env", f"XDG_CONFIG_HOME=/{FOLDER}", "nym-client", "tcpsocket"),
            )

        return Inside(self.root, "--id", identifier, "--port", "0")

    def owners(self) -> set[str]:
        """The names of those to whom the clients' folders and all files in them belong."""
        return {*self.run("find", f"/{FOLDER}", "-printf", "%u:%g\\n").split()}

    def has_user(self) -> bool:
        return "\nnym-client:" in (self.root / "etc/passwd").read_text()


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    packages = [*FILE.parent.glob("nym-client_*.deb")]
    assert len(packages) == 1, "there is no package to test; make it with ./build_binary.sh --deb"
    root = tmp_path_factory.mktemp("bare") / "root"
    root.mkdir()
    BareDebian.make(root, "passwd")
    shutil.copy(packages[0], root / "nym-client.deb")
    yield root
    shutil.rmtree(root)  # pytest would keep it; it is large


@pytest.fixture
def debian(bare: Path, tmp_path: Path) -> Iterator[Installed]:
    """A bare Debian for one test, which may change it."""
    with copied(bare, tmp_path / "root") as debian:
        yield debian


@pytest.fixture(scope="module")
def installed(bare: Path) -> Iterator[Installed]:
    """One in which the package is installed, for the tests that only look at it."""
    with copied(bare, bare.with_name("installed")) as debian:
        debian.install()
        yield debian


@contextmanager
def copied(bare: Path, root: Path) -> Iterator[Installed]:
    subprocess.run(["cp", "--archive", str(bare), str(root)], check=True)  # noqa: S607
    yield Installed(root)
    shutil.rmtree(root)


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    """Paths of what was added, changed or removed, without what Debian writes for itself."""
    paths = {path for path in before | after if before.get(path) != after.get(path)}
    return {path for path in paths if not KEPT_BY_DEBIAN.match(path)}


def test_a_purge_leaves_nothing_but_the_clients_folders(debian: Installed) -> None:
    before = debian.files()
    debian.install()
    debian.nym("init", "--id", "alice", "--directory", NOWHERE)
    address = debian.nym("address", "--id", "alice")
    client = before.keys() ^ debian.files().keys()
    assert {FOLDER, UNIT, "usr/bin/nym-client"} < client

    with debian.client("alice") as program:
        program.line("^Public key")
        debian.install()  # an upgrade over itself, while a client runs
        assert debian.nym("status", "--id", "alice")
        assert program.end(signal.SIGTERM)[0] == 0
    assert debian.nym("address", "--id", "alice") == address

    debian.run("dpkg", "--remove", "nym-client")
    assert not (debian.root / "usr/bin/nym-client").exists()
    assert debian.has_user()
    assert debian.owners() == {"nym-client:nym-client"}

    (debian.root / FOLDER / "nym/crash-2020-01-31.txt").write_text("a report")
    said = debian.run("dpkg", "--purge", "nym-client")
    assert f"nym-client: /{FOLDER} stays, for root" in said
    left = changed(before, debian.files())
    folders = {FOLDER, f"{FOLDER}/nym", f"{FOLDER}/nym/clients", f"{FOLDER}/nym/clients/alice"}
    assert folders < left
    assert all(path in folders or path.startswith(f"{FOLDER}/nym/clients/alice/") for path in left)
    assert debian.owners() == {"root:root"}

    debian.install()
    assert debian.owners() == {"nym-client:nym-client"}
    assert debian.nym("address", "--id", "alice") == address


def test_a_purge_without_clients_leaves_nothing(debian: Installed) -> None:
    before = debian.files()
    debian.install()
    assert (debian.root / FOLDER).stat().st_mode & 0o777 == 0o700
    debian.nym("init", "--id", "alice", "--directory", NOWHERE)
    debian.nym("delete", "--id", "alice", "--yes")
    debian.run("dpkg", "--purge", "nym-client")
    assert changed(before, debian.files()) == set()


def test_contacts_survive_a_purge(debian: Installed) -> None:
    debian.install()
    debian.nym("init", "--id", "alice", "--directory", NOWHERE)
    debian.nym("contacts", "add", "alice", debian.nym("address", "--id", "alice").strip())
    debian.nym("delete", "--id", "alice", "--yes")
    debian.run("dpkg", "--purge", "nym-client")
    assert {path.name for path in (debian.root / FOLDER / "nym").iterdir()} == {"contacts.toml"}


def test_a_purge_while_a_client_runs_leaves_it_its_user(debian: Installed) -> None:
    debian.install()
    debian.nym("init", "--id", "alice", "--directory", NOWHERE)
    with debian.client("alice") as program:
        program.line("^Public key")
        said = debian.run("dpkg", "--purge", "nym-client")
        assert "nym-client: the user nym-client stays" in said
        assert debian.has_user()
        assert debian.owners() == {"nym-client:nym-client"}
        assert program.end(signal.SIGTERM)[0] == 0


def test_what_is_installed_works(installed: Installed) -> None:
    assert installed.nym("--version").startswith(f"nym-client {__version__} ")
    assert "Alice" in installed.nym("demo")
    page = installed.root / "usr/share/man/man1/nym-client.1.gz"
    assert gzip.decompress(page.read_bytes()) == (ROOT / "docs/nym-client.1").read_bytes()
    for shell, path in COMPLETIONS.items():
        assert (installed.root / path).read_text() == installed.nym("completion", shell)
    loaded = f"source /{COMPLETIONS['bash']}; complete -p nym-client"
    assert installed.run("bash", "-c", loaded).startswith("complete ")
    doc = installed.root / "usr/share/doc/nym-client"
    licences = gzip.decompress((doc / "LICENSES.txt.gz").read_bytes())
    assert licences == FILE.with_name("LICENSES.txt").read_bytes()


def test_files_belong_to_root_and_are_as_recorded(installed: Installed) -> None:
    assert installed.run("dpkg", "--verify", "nym-client") == ""
    paths = installed.run("dpkg", "--listfiles", "nym-client").split()
    assert "/usr/bin/nym-client" in paths
    for path in paths:
        inside = installed.root / path.lstrip("/")
        about = inside.lstat()
        runs = path == "/usr/bin/nym-client" or inside.is_dir()
        assert (about.st_uid, about.st_gid) == (0, 0)
        assert about.st_mode & 0o7777 == (0o755 if runs else 0o644), path


@pytest.mark.parametrize(
    ("unit", "ours"),
    [
        ("system/nym-client@.service", "nym-client@.service"),
        ("user/nym-client@.service", "nym-client-user@.service"),
        ("system/nym-directory@.service", "nym-node@.service"),
        ("system/nym-mixnode@.service", "nym-node@.service"),
        ("system/nym-provider@.service", "nym-node@.service"),
    ],
)
def test_units_run_the_installed_program(installed: Installed, unit: str, ours: str) -> None:
    """Apart from its path and the head, a unit is the one that contrib/ has."""
    text = (installed.root / "usr/lib/systemd" / unit).read_text()
    own = (ROOT / "contrib" / ours).read_text()
    own = re.sub(r"^ExecStart=\S+", "ExecStart=/usr/bin/nym-client", own, flags=re.MULTILINE)
    assert text.partition("[Unit]")[2] == own.partition("[Unit]")[2]
    assert not re.search(r"/usr/local|\.local", text)
    started = re.findall(r"^Exec\w+=(/\S+)", text, re.MULTILINE)
    assert len(started) == 2
    assert all((installed.root / program.lstrip("/")).exists() for program in started)


@pytest.mark.skipif(shutil.which("systemctl") is None, reason="systemctl isn't installed")
def test_a_purge_disables_clients(debian: Installed) -> None:
    before = debian.files()
    debian.install()
    enable = ["systemctl", f"--root={debian.root}", "enable", "nym-client@alice"]
    subprocess.run(enable, check=True, capture_output=True)
    wants = "etc/systemd/system/multi-user.target.wants"
    assert (debian.root / wants / "nym-client@alice.service").is_symlink()
    own = debian.root / wants / "nym-client@bob.service"  # of a unit that isn't the package's
    own.symlink_to("/etc/systemd/system/nym-client@.service")
    debian.run("dpkg", "--purge", "nym-client")
    left = changed(before, debian.files())
    assert {path for path in left if "nym-client" in path} == {f"{wants}/{own.name}"}


def test_clients_of_the_machine_are_restarted_and_stopped(debian: Installed) -> None:
    """There is no systemd: a script in its place writes down what it is asked for."""
    (debian.root / "run/systemd/system").mkdir(parents=True)
    systemctl = debian.root / "usr/bin/systemctl"
    systemctl.write_text('#!/bin/sh\necho "$*" >> /tmp/asked\n')
    systemctl.chmod(0o755)
    asked = debian.root / "tmp/asked"

    def asked_by(*command: str) -> list[str]:
        asked.unlink(missing_ok=True)
        debian.run(*command)
        return asked.read_text().splitlines()

    roles = ("client", "directory", "mixnode", "provider")
    units = [f"nym-{role}@*.service" for role in roles]
    assert asked_by(*INSTALL) == ["daemon-reload"]
    assert asked_by(*INSTALL) == ["daemon-reload", *(f"try-restart {unit}" for unit in units)]
    assert asked_by("dpkg", "--remove", "nym-client") == [
        *(f"stop {unit}" for unit in units),
        "daemon-reload",
    ]
    assert asked_by("dpkg", "--purge", "nym-client") == ["daemon-reload"]
