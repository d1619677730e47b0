"""The plan of a network: which hosts there are, who runs them, and what runs on each.

People write it, in TOML: a section [network], and a section [host.NAME] for each host. A plan with
a mistake in it, which no network could follow, is refused, and the error names the line. What is
weak in a plan is another matter (nym.network.weak).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from nym.config import checks
from nym.config.nodes import CLIENTS_PORT, DIRECTORY_PORT, PACKETS_PORT
from nym.config.setting import Setting, setting, settings_in
from nym.config.text import MistakeError, format_setting, parse_tables, values_in
from nym.errors import ConfigError
from nym.files import read_errors_as, read_text
from nym.reach import obstacle_to_address, reach_of
from nym.wire.addresses import NodeAddress, bare_host, is_unspecified

MOST_HOSTS = 1000
_LONGEST_FILE = 1 << 20  # bytes
_NETWORK, _HOST = "network", "host"
# What stands beside the folders of the hosts: a script, and the program for an image. All other
# names there have a dot or a capital.
_TAKEN = ("copy", "nym-client")

Role = Literal["directory", "mixnode", "provider"]
# The settings of a host with the ports of each.
_PORTS: dict[Role, tuple[str, ...]] = {
    "directory": ("directory_port",),
    "mixnode": ("mixnode_port",),
    "provider": ("provider_port", "clients_port"),
}


def _check_name(value: str) -> None:
    # It becomes a part of the names of folders, services, containers and hosts.
    if not re.fullmatch(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?", value):
        raise ValueError("a name has 1 to 40 of a-z, 0-9 and -, and begins with a letter")


def _check_host_name(value: str) -> None:
    _check_name(value)
    if value in _TAKEN:
        raise ValueError("what is generated has a file of this name; call the host otherwise")


def _check_operator(value: str) -> None:
    if not 0 < len(value) <= 100 or not value.isprintable():
        raise ValueError("name the person or group who runs this host")


def _check_address(value: str) -> None:
    host, port = checks.place_of(value, 0)
    if port or is_unspecified(host):
        raise ValueError("it must be an IP address or a name at which all reach the host")


def _check_port(value: int) -> None:
    if not 1 <= value <= 65535:
        raise ValueError("a port is a number from 1 to 65535")


def _check_url(value: str) -> None:
    if value:
        checks.check_directory(value)


@dataclass(frozen=True)
class NetworkSettings:
    """The section [network]."""

    name: str = setting("private", "of the network", _check_name)
    clients: int = setting(100, "how many are to use it", checks.number_of("clients", 1, 10**9))
    allow_list: bool = setting(True, "false: directories take every node that posts")
    client_lists: bool = setting(True, "false: people give each other ADDRESS@PROVIDER")
    transit: float = setting(0.02, "seconds from one host to the next", checks.seconds(60))


@dataclass(frozen=True)
class HostSettings:
    """A section [host.NAME]."""

    operator: str = setting("", "who runs it", _check_operator)
    address: str = setting("", "an IP address or a name, for all others", _check_address)
    directory: bool = setting(False, "whether a directory runs here")
    layer: int = setting(0, "of the mixnode here; 0: there is none", checks.check_layers)
    provider: bool = setting(False, "whether a provider runs here")
    directory_port: int = setting(DIRECTORY_PORT, "for nodes and clients", _check_port)
    mixnode_port: int = setting(PACKETS_PORT, "for packets", _check_port)
    provider_port: int = setting(PACKETS_PORT + 1, "for packets", _check_port)
    clients_port: int = setting(CLIENTS_PORT, "of the provider, for its clients", _check_port)
    directory_url: str = setting("", "of a web server in front of the directory", _check_url)
    directory_identity: str = setting(
        "", "if it has one already; empty: one is made", checks.check_provider
    )
    mixnode_identity: str = setting("", "the same for the mixnode", checks.check_provider)
    provider_identity: str = setting("", "the same for the provider", checks.check_provider)


class Node(NamedTuple):
    """What runs on a host: a directory, a mixnode or a provider.

    `place` is where all others find it, and the host there may be a name. `identity` is in base58,
    and empty if it is still to be made.
    """

    role: Role
    host: str
    place: NodeAddress
    identity: str

    @property
    def id(self) -> str:
        """Its name on its host, which no other program there has."""
        return f"{self.host}-{self.role}"


class Host(NamedTuple):
    """A host, and its settings."""

    name: str
    settings: HostSettings

    def nodes(self) -> list[Node]:
        """What runs on it."""
        of, here = self.settings, []
        if of.directory:
            here.append(self._node("directory", of.directory_port, of.directory_identity))
        if of.layer:
            here.append(self._node("mixnode", of.mixnode_port, of.mixnode_identity))
        if of.provider:
            here.append(self._node("provider", of.provider_port, of.provider_identity))
        return here

    def ports(self) -> dict[str, int]:
        """The ports that are used on it, by the names of their settings."""
        return {
            name: port for node in self.nodes() for name, port in self.ports_of(node.role).items()
        }

    def ports_of(self, role: Role) -> dict[str, int]:
        """The ports that one of its nodes uses, by the names of their settings."""
        return {name: getattr(self.settings, name) for name in _PORTS[role]}

    @property
    def ip(self) -> str:
        """Its address without brackets; it may be a name."""
        return bare_host(self.settings.address)

    @property
    def for_clients(self) -> NodeAddress:
        """Where clients find the provider."""
        return checks.place_of(self.settings.address, self.settings.clients_port)

    @property
    def url(self) -> str:
        """Where clients and nodes find the directory."""
        place = checks.place_of(self.settings.address, self.settings.directory_port)
        return self.settings.directory_url or f"http://{place}"

    def _node(self, role: Role, port: int, identity: str) -> Node:
        return Node(role, self.name, checks.place_of(self.settings.address, port), identity)


class Plan(NamedTuple):
    """A plan without mistakes: each layer has a mixnode, and there is a directory and a provider.

    The hosts are in the order of the file.
    """

    network: NetworkSettings
    hosts: tuple[Host, ...]

    def directories(self) -> list[Host]:
        """The hosts with a directory."""
        return [host for host in self.hosts if host.settings.directory]

    def directory_keys(self) -> list[str]:
        """The identities of the directories, in base58; none if one is still to be made.

        Whoever trusts only some of them could not use the others.
        """
        keys = [host.settings.directory_identity for host in self.directories()]
        return keys if all(keys) else []

    def layers(self) -> list[list[Host]]:
        """For each layer, the hosts with its mixnodes."""
        last = max(host.settings.layer for host in self.hosts)
        return [
            [host for host in self.hosts if host.settings.layer == layer]
            for layer in range(1, last + 1)
        ]

    def providers(self) -> list[Host]:
        """The hosts with a provider."""
        return [host for host in self.hosts if host.settings.provider]


def load_plan(path: Path) -> Plan:
    """Read a plan. Raises ConfigError, which names the file and the line."""
    with read_errors_as(ConfigError, path):
        text = read_text(path, _LONGEST_FILE)
    return parse_plan(text, str(path))


def parse_plan(text: str, name: str) -> Plan:
    """The plan in the text of a file called `name`. Raises ConfigError, which names the line."""
    return parse_tables(text, name, _read)


def format_plan(plan: Plan) -> str:
    """The text of a plan. The first host has all settings with their comments."""
    lines = [f"[{_NETWORK}]"]
    lines += [
        format_setting(known, getattr(plan.network, known.name))
        for known in _known(_NETWORK, NetworkSettings()).values()
    ]
    for number, host in enumerate(plan.hosts):
        lines += ["", f"[{_HOST}.{host.name}]"]
        for known in _known(_HOST, HostSettings()).values():
            value = getattr(host.settings, known.name)
            if not number:
                lines.append(format_setting(known, value))
            elif value != known.default:
                lines.append(format_setting(known._replace(comment=""), value))
    return "\n".join(lines) + "\n"


def _known(section: str, defaults: NetworkSettings | HostSettings) -> dict[str, Setting]:
    return {known.name: known for known in settings_in(section, defaults)}


def _read(tables: dict[str, Any]) -> Plan:
    """Raises MistakeError."""
    for name in tables:
        if name not in (_NETWORK, _HOST):
            raise MistakeError(f"unknown section [{name}]; known are [network], [host.NAME]", name)
    known = _known(_NETWORK, NetworkSettings())
    values: dict[str, Any] = dict(values_in(tables.get(_NETWORK, {}), known, _NETWORK))
    plan = Plan(NetworkSettings(**values), tuple(_hosts(tables.get(_HOST, {}))))
    _check_whole(plan)
    _check_places(plan)
    return plan


def _hosts(tables: object) -> Iterator[Host]:
    if not isinstance(tables, dict):
        raise MistakeError("hosts are sections: write [host.NAME]", _HOST)
    if not 0 < len(tables) <= MOST_HOSTS:
        raise MistakeError(f"a plan has 1 to {MOST_HOSTS} hosts, as sections [host.NAME]", _HOST)
    known = _known(_HOST, HostSettings())
    for name, table in tables.items():
        path = _HOST, name
        try:
            _check_host_name(name)
        except ValueError as error:
            raise MistakeError(f"{name}: {error}", *path) from error
        values: dict[str, Any] = dict(values_in(table, known, *path))
        for needed in ("operator", "address"):
            if needed not in values:
                raise MistakeError(f"{name} has no {needed}: {known[needed].comment}", *path)
        host = Host(name, HostSettings(**values))
        if not host.nodes():
            raise MistakeError(f"nothing runs on {name}; set directory, layer or provider", *path)
        yield host


def _check_whole(plan: Plan) -> None:
    """Raises MistakeError if something is missing that every network needs."""
    last = max(host.settings.layer for host in plan.hosts)
    there = {host.settings.layer for host in plan.hosts}
    missing = [f"a mixnode in layer {layer}" for layer in range(1, last + 1) if layer not in there]
    if not last:
        missing.append("mixnodes; set `layer` for at least one host in each layer")
    if not plan.directories():
        missing.append("a directory")
    if not plan.providers():
        missing.append("a provider")
    if missing:
        raise MistakeError(f"the plan lacks {', and '.join(missing)}")


def _check_places(plan: Plan) -> None:
    """Raises MistakeError if two nodes are at one place, or clients would not use one."""
    used: dict[tuple[str, int], str] = {}
    for host in plan.hosts:
        for name, port in host.ports().items():
            this = f"{name} of {host.name}"
            other = used.setdefault((host.ip, port), this)
            if other != this:
                raise MistakeError(f"{this} is {port}, as is {other}", _HOST, host.name)
    for directory in plan.directories():
        for host in plan.hosts:
            if obstacle := _obstacle(host, directory):
                raise MistakeError(
                    f"{host.name} is {obstacle}, and {directory.name} is not",
                    *(_HOST, host.name, "address"),
                )


def _obstacle(host: Host, directory: Host) -> str:
    """Why clients refuse this host if that directory lists it; empty if they don't.

    What a name stands for isn't known here.
    """
    if directory.settings.directory_url:
        return ""
    try:
        return obstacle_to_address(host.ip, reach_of(directory.ip))
    except ValueError:  # a name
        return ""
