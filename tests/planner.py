"""Somebody who plans a network, for tests of what is made of plans."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from nym.net.directory import fetch_topology
from nym.network.example import EXAMPLE
from nym.network.plan import Host, HostSettings, NetworkSettings, Plan, format_plan
from nym.wire.addresses import split_host
from tests.harness import run_program


def plan_of(url: str) -> Plan:
    """The plan of the network that a directory on this machine lists, with a host for each node."""
    records = fetch_topology(url).records
    here = HostSettings("Ada", "127.0.0.1")
    hosts = [replace(here, directory=True, directory_port=urlsplit(url).port or 0)]
    hosts += [
        replace(here, layer=node.layer, mixnode_port=split_host(node.host)[1])
        for node in records.mixnodes
    ]
    hosts += [
        replace(
            here,
            provider=True,
            provider_port=split_host(node.mixnet_listener)[1],
            clients_port=split_host(node.client_listener)[1],
        )
        for node in records.providers
    ]
    named = (Host(f"host{number}", settings) for number, settings in enumerate(hosts))
    return Plan(NetworkSettings(), tuple(named))


class Planner:
    """Somebody with a plan, and a folder that is generated from it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.plan = home / "plan.toml"
        self.folder = home / "network"
        self.said = ""
        self.plan.write_text(format_plan(EXAMPLE))

    def generate(self, engine: str = "systemd") -> list[str]:
        """The lines that say what is new or has changed. What is weak is in `said`."""
        arguments = ("--for", engine, str(self.plan), str(self.folder))
        code, out, self.said = run_program(self.home, "network", "generate", *arguments)
        assert code == 0, self.said
        *lines, last = out.splitlines()
        assert last == f"{self.folder / 'README.md'} says what to do next"
        return lines

    def change(self, old: str, new: str) -> None:
        text = self.plan.read_text()
        assert text.count(old) == 1
        self.plan.write_text(text.replace(old, new))

    def files(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in self.folder.rglob("*")
            if path.is_file()
        }
