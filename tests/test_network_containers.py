"""What is generated for containers: their managers accept it, and its scripts do what they say."""

import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from nym.network.containers import USER
from nym.network.example import EXAMPLE
from nym.network.plan import Host, HostSettings, NetworkSettings, Plan, format_plan
from tests.harness import PATIENCE
from tests.planner import Planner
from tests.test_contrib import complaints, needs

LONGEST = "a" * 40
# Names that YAML takes for something else, or that are as long as can be; all kinds of addresses.
ODD = Plan(
    NetworkSettings(name="null"),
    (
        Host("on", HostSettings("Y", "2001:db8::7", layer=1, directory=True, provider=True)),
        Host(LONGEST, HostSettings('"#: \\', "mix.example", layer=1, provider=True)),
        Host("y", HostSettings("No", "192.0.2.7", layer=2, mixnode_port=65535)),
    ),
)


@pytest.fixture(params=["example", "odd"])
def plan(planner: Planner, request: pytest.FixtureRequest) -> Plan:
    plan = {"example": EXAMPLE, "odd": ODD}[request.param]
    planner.plan.write_text(format_plan(plan))
    return plan


def compose(folder: Path) -> dict[str, Any]:
    """The services of a host."""
    services: dict[str, Any] = yaml.safe_load((folder / "compose.yaml").read_text())["services"]
    return services


def test_compose_starts_each_node_of_a_host(planner: Planner, plan: Plan) -> None:
    planner.generate("compose")
    for host in plan.hosts:
        services = compose(planner.folder / host.name)
        assert list(services) == [node.id for node in host.nodes()]
        ports = [port for service in services.values() for port in service["ports"]]
        assert ports == [f"{port}:{port}" for port in host.ports().values()]
        for node in host.nodes():
            assert services[node.id]["command"] == [node.role, "--id", node.id]


@needs("docker-compose")
def test_compose_has_no_complaints(planner: Planner, plan: Plan) -> None:
    planner.generate("compose")
    for host in plan.hosts:
        file = str(planner.folder / host.name / "compose.yaml")
        assert complaints("docker-compose", "--file", file, "config", "--quiet") == ""


def test_compose_starts_a_node_anew_if_its_settings_change(planner: Planner) -> None:
    planner.generate("compose")
    before = compose(planner.folder / "ada")
    planner.change("mixnode_port = 1789", "mixnode_port = 1799")
    assert planner.generate("compose") == [
        "changed    ada/nym/mixnodes/ada-mixnode/config.toml",
        "changed    README.md",
        "changed    ada/compose.yaml",
    ]
    after = compose(planner.folder / "ada")
    assert after["ada-directory"] == before["ada-directory"]
    label = "nym.settings"
    assert after["ada-mixnode"]["labels"][label] != before["ada-mixnode"]["labels"][label]


# Notes what it is told, and has Compose as a plugin or not, like systems do.
DOCKER = """\
#!/bin/sh
[ "$1 $2" != "compose version" ] || exit {version}
echo "${{0##*/}} $*"
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize(("version", "name"), [(0, "docker compose"), (1, "docker-compose")])
def test_start_makes_everything_ready_for_compose(
    planner: Planner, version: int, name: str
) -> None:
    planner.generate("compose")
    folder, tools = planner.folder / "ada", planner.home / "bin"
    (folder / "nym-client").touch()
    (folder / "nym" / "mixnodes" / "ada-mixnode" / "packets.db").touch(mode=0o600)  # of a run
    tools.mkdir()
    for tool in ("docker", "docker-compose"):
        (tools / tool).write_text(DOCKER.format(version=version))
        (tools / tool).chmod(0o755)
    path = {"PATH": f"{tools}:{os.environ['PATH']}"}
    ran = subprocess.run(
        [folder / "start"], env=path, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines() == [
        "docker build --quiet --tag nym-client .",
        f"{name} up --detach --remove-orphans",
        f"{name} kill -s HUP ada-directory",
    ]
    assert stat.S_IMODE((folder / "nym-client").stat().st_mode) == 0o755
    assert {path.stat().st_uid for path in [folder / "nym", *folder.rglob("nym/**/*")]} == {USER}


def test_start_says_what_is_missing(planner: Planner) -> None:
    planner.generate("compose")
    ran = subprocess.run(
        [planner.folder / "ada" / "start"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ran.returncode == 1
    missing = "nym-client is missing; copy it here"
    who = missing if os.geteuid() == 0 else "only root can give files to the nodes"
    assert ran.stderr == f"start: {who}\n"


@pytest.mark.parametrize("engine", ["compose"])
def test_again_nothing_changes(planner: Planner, engine: str) -> None:
    planner.generate(engine)
    before = planner.files()
    assert planner.generate(engine) == []
    assert planner.files() == before


def test_the_image_has_nothing_but_the_program(planner: Planner) -> None:
    planner.generate("compose")
    text = (planner.folder / "ada" / "Dockerfile").read_text()
    steps = re.findall(r"^(FROM|COPY|ADD|RUN) (.*)$", text, re.MULTILINE)
    assert steps == [("FROM", "scratch"), ("COPY", "nym-client /")]
    # What Docker is given to build it from leaves out the identities.
    assert (planner.folder / "ada" / ".dockerignore").read_text() == "*\n!nym-client\n"
