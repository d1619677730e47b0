"""What is generated for containers: their managers accept it, and its scripts do what they say."""

import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
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


OLDEST, NEWEST = "1.28", kubernetes_validate.latest_version()


def manifests(folder: Path) -> list[dict[str, Any]]:
    """All documents of a generated folder that are for Kubernetes, and not for kustomize."""
    files = [path for path in folder.rglob("*.yaml") if path.name != "kustomization.yaml"]
    return [one for path in files for one in yaml.safe_load_all(path.read_text())]


def of_kind(documents: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    """The specifications of one kind, by name."""
    return {one["metadata"]["name"]: one["spec"] for one in documents if one["kind"] == kind}


def pods(documents: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The templates of pods, by the name of their StatefulSet."""
    sets = of_kind(documents, "StatefulSet")
    for name, spec in sets.items():
        assert spec["replicas"] == 1
        labels = spec["template"]["metadata"]["labels"]
        assert spec["selector"]["matchLabels"].items() <= labels.items()
        assert labels["app.kubernetes.io/instance"] == name
    return {name: spec["template"] for name, spec in sets.items()}


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_manifests_keep_to_the_schemas(planner: Planner, plan: Plan, version: str) -> None:
    planner.generate("kubernetes")
    documents = manifests(planner.folder)
    assert len(documents) > 3 * len(plan.hosts)
    for document in documents:
        kubernetes_validate.validate(document, version, strict=True)


def test_a_manifest_with_a_mistake_is_refused(planner: Planner) -> None:
    planner.generate("kubernetes")
    [namespace] = yaml.safe_load_all((planner.folder / "namespace.yaml").read_text())
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**namespace, "speck": {}}, NEWEST, strict=True)


@needs("kubectl")
def test_kubectl_puts_everything_together(planner: Planner, plan: Plan) -> None:
    planner.generate("kubernetes")
    made = kustomized(planner.folder)
    for document in made:
        kubernetes_validate.validate(document, NEWEST, strict=True)
    [namespace] = [one["metadata"]["name"] for one in made if one["kind"] == "Namespace"]
    assert namespace == f"nym-{plan.network.name}"
    assert {one["metadata"].get("namespace") for one in made} == {namespace, None}
    nodes = [node for host in plan.hosts for node in host.nodes()]
    assert pods(made).keys() == {node.id for node in nodes}
    names = {(one["kind"], one["metadata"]["name"]) for one in made}
    for pod in pods(made).values():
        settings, identity = pod["spec"]["volumes"]
        assert ("ConfigMap", settings["configMap"]["name"]) in names
        assert ("Secret", identity["secret"]["secretName"]) in names
    for host in plan.hosts:
        alone = kustomized(planner.folder / host.name)
        assert all(one in made for one in alone)
        assert pods(alone).keys() == {node.id for node in host.nodes()}


def kustomized(folder: Path) -> list[dict[str, Any]]:
    """What kubectl would apply."""
    ran = subprocess.run(
        ["kubectl", "kustomize", str(folder)],  # noqa: S607
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return list(yaml.safe_load_all(ran.stdout))


def test_names_are_as_long_as_kubernetes_takes_them(planner: Planner) -> None:
    planner.plan.write_text(format_plan(ODD))
    planner.generate("kubernetes")
    for document in manifests(planner.folder):
        name = document["metadata"]["name"]
        # The revisions of a StatefulSet have a label with its name and eleven characters more.
        most = 52 if document["kind"] == "StatefulSet" else 63
        assert re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", name)
        assert len(name) <= most
    for pod in pods(manifests(planner.folder)).values():
        for value in pod["metadata"]["labels"].values():
            assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", value)
        for container in pod["spec"]["containers"]:
            assert all(len(port["name"]) <= 15 for port in container["ports"])


def test_the_service_of_a_host_hands_each_port_to_one_pod(planner: Planner, plan: Plan) -> None:
    planner.generate("kubernetes")
    documents = manifests(planner.folder)
    services = of_kind(documents, "Service")
    for host in plan.hosts:
        service = services[host.name]
        assert service["externalTrafficPolicy"] == "Local"
        if host.name != LONGEST:  # whose address is a name
            assert service["loadBalancerIP"] == host.ip
        here = [
            pod["spec"]
            for pod in pods(documents).values()
            if service["selector"].items() <= pod["metadata"]["labels"].items()
        ]
        assert all(pod["nodeSelector"] == {"nym-host": host.name} for pod in here)
        listening = [
            (port["name"], port["containerPort"])
            for pod in here
            for container in pod["containers"]
            for port in container["ports"]
        ]
        assert listening == [(port["targetPort"], port["port"]) for port in service["ports"]]
        assert [port for _, port in listening] == list(host.ports().values())


def test_nodes_that_stand_in_for_each_other_have_a_budget(planner: Planner) -> None:
    planner.plan.write_text(format_plan(ODD))
    planner.generate("kubernetes")
    documents = manifests(planner.folder)
    groups = [
        {
            name
            for name, pod in pods(documents).items()
            if budget["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
        }
        for budget in of_kind(documents, "PodDisruptionBudget").values()
    ]
    assert groups == [
        {"on-directory"},
        {"on-mixnode", f"{LONGEST}-mixnode"},
        {"y-mixnode"},
        {"on-provider", f"{LONGEST}-provider"},
    ]


def test_pods_may_do_no_more_than_they_need(planner: Planner) -> None:
    planner.generate("kubernetes")
    for pod in pods(manifests(planner.folder)).values():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"]
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not spec["automountServiceAccountToken"]
        for container in spec["initContainers"] + spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
        # The node has no access to the file that its identity was copied from.
        assert [one["name"] for one in spec["containers"][0]["volumeMounts"]] == ["data"]


def prepare(pod: dict[str, Any], root: Path) -> None:
    """Run a pod's init container, with `root` as its file system."""
    [init] = pod["spec"]["initContainers"]
    subprocess.run(init["command"], cwd=root, check=True, timeout=PATIENCE)


def test_an_identity_is_copied_once_and_settings_each_time(planner: Planner) -> None:
    planner.generate("kubernetes")
    pod = pods(manifests(planner.folder))["ada-directory"]
    root, folder = planner.home / "pod", planner.home / "pod/data/nym/directories/ada-directory"
    for name, file in (
        ("settings", "config.toml"),
        ("settings", "allowed.txt"),
        ("identity", "identity.pem"),
    ):
        (root / name).mkdir(parents=True, exist_ok=True)
        (root / name / file).write_text("first")
        (root / name / file).chmod(0o644)
    (root / "data").mkdir()
    for text in ("first", "second"):
        for file in ("settings/config.toml", "settings/allowed.txt", "identity/identity.pem"):
            (root / file).write_text(text)
        prepare(pod, root)
        there = {path.name: path.read_text() for path in folder.iterdir()}
        assert there == {"config.toml": text, "allowed.txt": text, "identity.pem": "first"}
    modes = {stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.iterdir()]}
    assert modes == {0o700, 0o600}


def test_a_node_that_has_its_identity_elsewhere_gets_none(planner: Planner) -> None:
    key = "EkA4Dhmj325XUjpwRvJCu8McmUuGJZncWBbQGVSD7gye"
    planner.change("layer = 2", f'layer = 2\nmixnode_identity = "{key}"')
    planner.generate("kubernetes")
    barbara = yaml.safe_load((planner.folder / "barbara" / "kustomization.yaml").read_text())
    assert "secretGenerator" not in barbara
    pod = pods(manifests(planner.folder))["barbara-mixnode"]
    assert [volume["name"] for volume in pod["spec"]["volumes"]] == ["settings"]
    root = planner.home / "pod"
    (root / "data").mkdir(parents=True)
    (root / "settings").mkdir()
    (root / "settings" / "config.toml").touch()
    prepare(pod, root)
    [folder] = (root / "data" / "nym" / "mixnodes").iterdir()
    assert [path.name for path in folder.iterdir()] == ["config.toml"]


def test_only_what_the_plan_changes_changes(planner: Planner) -> None:
    planner.generate("kubernetes")
    planner.change('address = "203.0.113.7"', 'address = "203.0.113.8"')
    assert planner.generate("kubernetes") == [
        "changed    grace/nym/mixnodes/grace-mixnode/config.toml",
        "changed    README.md",
        "changed    grace/nodes.yaml",
    ]
    planner.change("layer = 3", "layer = 2")
    planner.change("[host.katherine]", "[host.katherine]\nlayer = 3")
    assert planner.generate("kubernetes") == [
        "new        katherine/nym/mixnodes/katherine-mixnode/identity.pem",
        "changed    ada/nym/directories/ada-directory/allowed.txt",
        "changed    grace/nym/mixnodes/grace-mixnode/config.toml",
        "new        katherine/nym/mixnodes/katherine-mixnode/config.toml",
        "changed    README.md",
        "changed    grace/nodes.yaml",
        "changed    katherine/kustomization.yaml",
        "changed    katherine/nodes.yaml",
    ]


@pytest.mark.parametrize("engine", ["compose", "kubernetes"])
def test_again_nothing_changes(planner: Planner, engine: str) -> None:
    planner.generate(engine)
    before = planner.files()
    assert planner.generate(engine) == []
    assert planner.files() == before


@pytest.mark.parametrize(("engine", "folder"), [("compose", "ada"), ("kubernetes", ".")])
def test_the_image_has_nothing_but_the_program(planner: Planner, engine: str, folder: str) -> None:
    planner.generate(engine)
    text = (planner.folder / folder / "Dockerfile").read_text()
    steps = re.findall(r"^(FROM|COPY|ADD|RUN) (.*)$", text, re.MULTILINE)
    assert steps == [("FROM", "scratch"), ("COPY", "nym-client /")]
    # What Docker is given to build it from leaves out the identities.
    assert (planner.folder / folder / ".dockerignore").read_text() == "*\n!nym-client\n"
