"""What the files that are generated for an engine say: which nodes a host runs, and how."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml


class Start(NamedTuple):
    """The arguments of a node, those with which its engine tries it, and its XDG_CONFIG_HOME."""

    node: list[str]
    tries: list[list[str]]
    home: Path


def systemd(host: Path) -> Iterator[Start]:
    """The nodes that `install` starts, with the command line of their unit."""
    text = (host / "nym-node@.service").read_text()
    line = re.findall(r"^ExecStart=\S+/nym-client (.*)$", text, re.M)[0]
    for role, node in re.findall(r"^node (\S+) \S+ (\S+)$", (host / "install").read_text(), re.M):
        yield Start(shlex.split(line.replace("%j", role).replace("%i", node)), [], host)


def compose(host: Path) -> Iterator[Start]:
    """The services of the Compose file, which have the folder `nym` of the host."""
    for service in yaml.safe_load((host / "compose.yaml").read_text())["services"].values():
        assert service["volumes"] == ["./nym:/data/nym:z"]
        kind, program, *arguments = service["healthcheck"]["test"]
        assert (kind, program) == ("CMD", "/nym-client")
        yield Start(service["command"], [arguments], host)


def kubernetes(host: Path) -> Iterator[Start]:
    """The pods of the StatefulSets, each with volumes of its own, after their init containers."""
    kustomization = yaml.safe_load((host / "kustomization.yaml").read_text())
    generated = {
        one["name"]: [host / file for file in one["files"]]
        for kind in ("configMapGenerator", "secretGenerator")
        for one in kustomization.get(kind, [])
    }
    for document in yaml.safe_load_all((host / "nodes.yaml").read_text()):
        if document["kind"] == "StatefulSet":
            root = host / "pods" / document["metadata"]["name"]
            yield _pod(document["spec"]["template"]["spec"], generated, root)


def _pod(spec: dict[str, Any], generated: dict[str, list[Path]], root: Path) -> Start:
    """Make a pod ready; `root` is its file system."""
    [init], [container] = spec["initContainers"], spec["containers"]
    for mount in init["volumeMounts"]:
        (root / mount["mountPath"][1:]).mkdir(parents=True)
    for volume in spec["volumes"]:
        name = volume.get("configMap", {}).get("name") or volume["secret"]["secretName"]
        for file in generated[name]:
            shutil.copy(file, root / volume["name"])
    subprocess.run(init["command"], cwd=root, check=True)
    tries = []
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        program, *arguments = container[probe]["exec"]["command"]
        assert program == "/nym-client"
        tries.append(arguments)
    return Start(container["args"], tries, root / "data")


ENGINES: dict[str, Callable[[Path], Iterator[Start]]] = {
    "systemd": systemd,
    "compose": compose,
    "kubernetes": kubernetes,
}
