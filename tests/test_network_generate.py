"""What is generated for the hosts of a planned network: once, again, and after changes."""

import os
import re
import stat
import subprocess
from pathlib import Path

import pytest

from nym.config.file import load_settings
from nym.config.nodes import DirectoryConfig, MixnodeConfig, ProviderConfig
from nym.errors import ConfigError
from nym.network.example import EXAMPLE
from nym.network.plan import parse_plan
from nym.nodes.allowed import parse_allowed
from nym.signing import load_signer
from tests.harness import PATIENCE, run_program
from tests.planner import Planner

PRIVATE_MOUNTS = Path(__file__).parent / "private-mounts"


def test_each_node_finds_the_settings_of_a_first_start(planner: Planner) -> None:
    planner.generate()
    ada, hedy = planner.folder / "ada" / "nym", planner.folder / "hedy" / "nym"
    directory_home, mixnode_home = ada / "directories/ada-directory", ada / "mixnodes/ada-mixnode"
    directory = load_settings(directory_home, DirectoryConfig).directory
    assert (directory.listen, directory.allow) == ("0.0.0.0:8080", "allowed.txt")
    mixnode = load_settings(mixnode_home, MixnodeConfig).mixnode
    assert mixnode.layer == 1
    assert (mixnode.listen, mixnode.announce) == ("0.0.0.0:1789", "192.0.2.7:1789")
    assert mixnode.directories == ["http://192.0.2.7:8080"]
    provider = load_settings(hedy / "providers/hedy-provider", ProviderConfig).provider
    assert (provider.clients, provider.announce_clients) == ("0.0.0.0:9000", "198.51.100.99:9000")
    allowed = parse_allowed((directory_home / "allowed.txt").read_text())
    assert len(allowed) == 5
    assert load_signer(mixnode_home / "identity.pem").public_key in allowed
    key = load_signer(directory_home / "identity.pem").address
    assert (
        f"--directory http://192.0.2.7:8080 --directory-key {key}\n"
        in (planner.folder / "README.md").read_text()
    )


def test_nobody_else_can_read_what_is_generated(planner: Planner) -> None:
    planner.generate()
    there = list(planner.folder.rglob("*"))
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [planner.folder, *there]}
    assert len(modes) > 20
    assert {mode & 0o077 for mode in modes.values()} == {0}
    assert modes[planner.folder / "ada" / "install"] == 0o700


def test_again_nothing_changes(planner: Planner) -> None:
    assert "new        ada/install" in planner.generate()
    assert planner.said.count("weak: ") == 4
    before = planner.files()
    assert planner.generate() == []
    assert planner.files() == before


def test_only_what_the_plan_changes_changes(planner: Planner) -> None:
    planner.generate()
    before = planner.files()
    planner.change('address = "203.0.113.7"', 'address = "203.0.113.8"')
    assert planner.generate() == [
        "changed    grace/nym/mixnodes/grace-mixnode/config.toml",
        "changed    copy",
    ]
    planner.change("[host.grace]", "[host.joan]")
    lines = planner.generate()
    assert "new        joan/nym/mixnodes/joan-mixnode/identity.pem" in lines
    assert "changed    ada/nym/directories/ada-directory/allowed.txt" in lines
    assert "unused     grace/nym/mixnodes/grace-mixnode/identity.pem" in lines
    after = planner.files()
    for path, content in before.items():
        if path.endswith("identity.pem"):
            assert after[path] == content, "an identity was replaced or deleted"


def test_an_identity_that_the_plan_names_is_not_made(planner: Planner) -> None:
    key = "EkA4Dhmj325XUjpwRvJCu8McmUuGJZncWBbQGVSD7gye"
    planner.change("layer = 2", f'layer = 2\nmixnode_identity = "{key}"')
    planner.generate()
    home = planner.folder / "barbara" / "nym" / "mixnodes" / "barbara-mixnode"
    assert sorted(path.name for path in home.iterdir()) == ["config.toml"]
    allowed = planner.folder / "ada" / "nym" / "directories" / "ada-directory" / "allowed.txt"
    assert key in allowed.read_text()
    assert "private identities of 5 of 6 nodes" in (planner.folder / "README.md").read_text()


@pytest.mark.parametrize(
    ("prepare", "error"),
    [
        (lambda planner: planner.plan.unlink(), "plan.toml can't be read"),
        (lambda planner: planner.plan.write_text("[network"), "plan.toml is no TOML"),
        (lambda planner: planner.folder.write_text(""), "Not a directory|exists"),
        (
            lambda planner: (planner.folder.mkdir(), (planner.folder / "README.md").touch()),
            "network has files that this command didn't write; name another folder",
        ),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_written(
    planner: Planner, prepare: object, error: str
) -> None:
    assert callable(prepare)
    prepare(planner)
    arguments = ("--for", "systemd", str(planner.plan), str(planner.folder))
    code, out, err = run_program(planner.home, "network", "generate", *arguments)
    assert (code, out) == (5, "")
    assert re.search(error, err)
    left = {path.name for path in planner.home.rglob("*")} - {".cache"}
    assert left <= {"plan.toml", "network", "README.md"}


def test_an_unknown_engine_is_refused(planner: Planner) -> None:
    arguments = ("--for", "hamsters", str(planner.plan), str(planner.folder))
    code, _, err = run_program(planner.home, "network", "generate", *arguments)
    assert (code, "hamsters: it must be one of systemd" in err) == (2, True)
    assert not planner.folder.exists()


@pytest.mark.parametrize("engine", ["systemd", "compose", "kubernetes"])
def test_no_host_can_have_the_name_of_what_stands_beside_the_hosts(
    planner: Planner, engine: str
) -> None:
    planner.generate(engine)
    hosts = {host.name for host in EXAMPLE.hosts}
    # The program has to be put there, too, for images.
    others = {path.name for path in planner.folder.iterdir()} - hosts | {"nym-client"}
    assert "README.md" in others
    for name in others:
        text = planner.plan.read_text().replace("[host.barbara]", f'[host."{name}"]')
        with pytest.raises(ConfigError, match=f"line 23: {name}: "):
            parse_plan(text, "plan.toml")


def test_shells_understand_the_scripts(planner: Planner) -> None:
    planner.change("[host.barbara]", "[host.esac]")
    planner.generate()
    for script in (planner.folder / "copy", planner.folder / "ada" / "install"):
        subprocess.run(["/bin/sh", "-n", script], check=True, timeout=PATIENCE)


# What `install` changes is in file systems of its own, and systemd's part is noted: no machine that
# runs tests has its services managed by them. test_contrib.py lets systemd read the unit.
INSTALL = """\
set -eu
mount -t tmpfs none /var/lib
mount -t tmpfs none /usr/local/bin
mount -t tmpfs none /etc/systemd/system 2> /dev/null || mkdir -p /etc/systemd/system
# useradd would replace files in /etc, so the user is there already, in copies of them.
mkdir /var/lib/etc
cp /etc/passwd /etc/group /var/lib/etc/
echo "nym-client:x:990:990::/:/bin/false" >> /var/lib/etc/passwd
echo "nym-client:x:990:" >> /var/lib/etc/group
mount --bind /var/lib/etc/passwd /etc/passwd
mount --bind /var/lib/etc/group /etc/group
PATH=$1:$PATH
"$2/install"
echo --
{change}
"$2/install"
echo --
stat -c '%U %a %n' $(find /var/lib/nym-client -type f) | sort
"""
SYSTEMCTL = """\
#!/bin/sh
case $1 in
  is-active) [ -e "/var/lib/$3" ] ;;
  restart | reload-or-restart) touch "/var/lib/$2"; echo "$*" ;;
  enable) echo "$1 $3" ;;
esac
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
@pytest.mark.parametrize(
    ("change", "done"),
    [
        ("", []),
        ('echo "# again" >> "$2/nym/directories/ada-directory/allowed.txt"', ["reload-or-restart"]),
        ('echo "# again" >> "$2/nym/mixnodes/ada-mixnode/config.toml"', ["restart"]),
        ('echo new > "$2/nym-client"', ["restart", "restart"]),
        ("rm /var/lib/nym-mixnode@ada-mixnode", ["restart"]),
        ('echo new > "$2/nym/mixnodes/ada-mixnode/identity.pem"', []),
    ],
)
def test_install_puts_everything_in_place_and_restarts_what_has_changed(
    planner: Planner, change: str, done: list[str]
) -> None:
    planner.generate()
    tools = planner.home / "bin"
    tools.mkdir()
    (tools / "systemctl").write_text(SYSTEMCTL)
    (tools / "systemctl").chmod(0o755)
    host = planner.folder / "ada"
    (host / "nym-client").write_text("#!/bin/sh\n")
    script = INSTALL.format(change=change)
    ran = subprocess.run(
        [PRIVATE_MOUNTS, "sh", "-c", script, "sh", tools, host],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    first, again, files = ran.stdout.split("--\n")
    for node in ("directory", "mixnode"):
        assert f"enable nym-{node}@ada-{node}\n" in first
        assert f"restart nym-{node}@ada-{node}\n" in first
    assert re.findall(r"^(re\S+) nym", again, re.MULTILINE) == done
    assert sorted(files.splitlines()) == [
        f"nym-client 600 /var/lib/nym-client/nym/{file}"
        for file in (
            "directories/ada-directory/allowed.txt",
            "directories/ada-directory/config.toml",
            "directories/ada-directory/identity.pem",
            "mixnodes/ada-mixnode/config.toml",
            "mixnodes/ada-mixnode/identity.pem",
        )
    ]
