"""The files in contrib/ are valid: the tools of service managers check them, where installed."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from nym.cli.usage import COMMANDS
from nym.network.systemd import UNIT
from tests.harness import PATIENCE

CONTRIB = Path(__file__).parent.parent / "contrib"
# Each unit, under the name with which it is installed, and the manager that it is for.
UNITS = {
    "nym-client@.service": ("nym-client@.service", "--system"),
    "nym-client-user@.service": ("nym-client@.service", "--user"),
    "nym-node@.service": ("nym-mixnode@.service", "--system"),
}


def needs(tool: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(tool) is None, reason=f"{tool} isn't installed")


def complaints(*command: str) -> str:
    ran = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    return ran.stdout + ran.stderr + (f"exit code {ran.returncode}" if ran.returncode else "")


@needs("systemd-analyze")
@pytest.mark.parametrize("unit", UNITS)
def test_systemd_has_no_complaints(
    tmp_path: Path, unit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (CONTRIB / unit).read_text()
    # systemd-analyze complains about programs that aren't installed, such as nym-client here.
    text, count = re.subn(r"^(Exec\w+)=\S+", "\\1=/bin/true", text, flags=re.MULTILINE)
    assert count == 2
    name, manager = UNITS[unit]
    (tmp_path / name).write_text(text)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    verify = ("systemd-analyze", manager, "--man=no", "verify", str(tmp_path / name))
    assert complaints(*verify) == ""


def test_the_unit_of_nodes_is_the_one_that_is_generated() -> None:
    assert (CONTRIB / "nym-node@.service").read_text().endswith(f"\n\n{UNIT}")


@needs("systemd-analyze")
@pytest.mark.parametrize("unit", ["nym-client@.service", "nym-node@.service"])
def test_the_units_are_hardened(tmp_path: Path, unit: str) -> None:
    copied = shutil.copy(CONTRIB / unit, tmp_path)
    check = ("systemd-analyze", "security", "--offline=true", "--threshold=20", str(copied))
    assert "exit code" not in complaints(*check)


@needs("sh")
def test_a_shell_understands_the_openrc_script() -> None:
    assert complaints("sh", "-n", str(CONTRIB / "nym-client.initd")) == ""


@needs("shellcheck")
def test_shellcheck_has_no_complaints() -> None:
    assert complaints("shellcheck", "-s", "sh", str(CONTRIB / "nym-client.initd")) == ""


MONITORING = {"grafana-nym.json", "nym-alerts.yml"}  # no command is in these


@pytest.mark.parametrize(
    "file",
    sorted(file for file in CONTRIB.iterdir() if file.name not in MONITORING),
    ids=lambda file: file.name,
)
def test_commands_are_those_of_the_program(file: Path) -> None:
    text = re.sub(r"%j|\$role", "mixnode", file.read_text())
    named = re.findall(r"nym-client ([a-z]+) --id|\"([a-z]+) --id", text)
    assert named
    assert {one or other for one, other in named} <= set(COMMANDS)
