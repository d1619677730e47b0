"""What the nodes of a planned network have in their folders, whatever starts them there.

Each host gets a folder `nym`, with a folder for each of its nodes: settings, and the identity. So a
node finds the same as after a first start, and its command needs no more than its id.
"""

from collections.abc import Iterator
from typing import NamedTuple

from nym.config.file import CONFIG_FILE
from nym.config.folders import FOLDERS
from nym.config.nodes import (
    DirectoryConfig,
    DirectorySettings,
    MixnodeConfig,
    MixnodeSettings,
    PacketSettings,
    ProviderConfig,
    ProviderSettings,
)
from nym.config.setting import Sections
from nym.config.text import format_config
from nym.network.generated import File, Generated
from nym.network.plan import Host, Node, Plan
from nym.signing import IDENTITY_FILE
from nym.wire.addresses import is_ipv6

ALLOWED = "allowed.txt"


class Home(NamedTuple):
    """A node, and the folder that it has on its host, relative to that of all programs there."""

    node: Node
    identity: str  # public, in base58
    is_ours: bool  # whether its private part was made here

    @property
    def folder(self) -> str:
        """Such as nym/mixnodes/ada-mixnode."""
        return f"nym/{FOLDERS[self.node.role]}/{self.node.id}"


class Network(NamedTuple):
    """A planned network in which every node has an identity."""

    plan: Plan
    homes: tuple[Home, ...]

    def of(self, host: Host) -> list[Home]:
        """Those on one host."""
        return [home for home in self.homes if home.node.host == host.name]

    def has_list(self, node: Node) -> bool:
        """Whether it is a directory that only takes what is on its list."""
        return node.role == "directory" and self.plan.network.allow_list

    @property
    def urls(self) -> str:
        """The URLs of its directories, as settings and options have them."""
        return ",".join(host.url for host in self.plan.directories())

    @property
    def directory_keys(self) -> str:
        """The identities of its directories, as settings and options have them."""
        keys = [home.identity for home in self.homes if home.node.role == "directory"]
        return ",".join(keys)

    @property
    def init(self) -> str:
        """How people make a client for this network."""
        return f"nym-client init --id NAME --directory {self.urls} {self._keys}"

    @property
    def check(self) -> str:
        """How to find out whether this network is well."""
        return f"nym-client network check {self._keys} PLAN"

    @property
    def _keys(self) -> str:
        return f"--directory-key {self.directory_keys}"


def with_identities(plan: Plan, generated: Generated) -> Network:
    """Make the identities that neither the plan nor the folder has. Raises IdentityError."""
    homes = []
    for host in plan.hosts:
        for node in host.nodes():
            home = Home(node, node.identity, is_ours=not node.identity)
            if home.is_ours:
                path = f"{host.name}/{home.folder}/{IDENTITY_FILE}"
                home = home._replace(identity=generated.identity(path).address)
            homes.append(home)
    return Network(plan, tuple(homes))


def files(network: Network) -> Iterator[File]:
    """What is in the folders of all nodes, below a folder for each host."""
    for host in network.plan.hosts:
        for home in network.of(host):
            folder = f"{host.name}/{home.folder}"
            yield File(f"{folder}/{CONFIG_FILE}", config_of(network, host, home.node))
            if network.has_list(home.node):
                yield File(f"{folder}/{ALLOWED}", _allowed(network))


def config_of(network: Network, host: Host, node: Node) -> str:
    """The text of a node's config.toml."""
    return format_config(_settings(network, host, node))


def _settings(network: Network, host: Host, node: Node) -> Sections:
    of, everywhere = network.plan.network, "[::]" if is_ipv6(host.ip) else "0.0.0.0"  # noqa: S104
    listen, announce = f"{everywhere}:{node.place.port}", str(node.place)
    if node.role == "directory":
        allow = ALLOWED if network.has_list(node) else ""
        return DirectoryConfig(
            DirectorySettings(node.id, listen, allow=allow, client_lists=of.client_lists)
        )
    common = PacketSettings(node.id, network.urls, listen, announce)
    if node.role == "mixnode":
        return MixnodeConfig(MixnodeSettings(**vars(common), layer=host.settings.layer))
    return ProviderConfig(
        ProviderSettings(
            **vars(common),
            clients=f"{everywhere}:{host.for_clients.port}",
            announce_clients=str(host.for_clients),
        )
    )


def _allowed(network: Network) -> str:
    lines = [f"# The nodes of {network.plan.network.name}."]
    for host in network.plan.hosts:
        lines += [
            f"{home.identity}  # {home.node.role} on {host.name}, of {host.settings.operator}"
            for home in network.of(host)
            if home.node.role != "directory"
        ]
    return "\n".join(lines) + "\n"
