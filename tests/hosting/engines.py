"""What the files that are generated for an engine say: which nodes a host runs, and how."""

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

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


ENGINES: dict[str, Callable[[Path], Iterator[Start]]] = {"systemd": systemd, "compose": compose}
