"""The composition roots of the nodes that run by themselves: each is made from its settings.

A local network puts nodes together in another way (nym.localnet.network).
"""

import logging
import time
from abc import ABC, abstractmethod
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from gevent.event import Event

from nym import __version__
from nym.config.checks import LEVELS
from nym.config.file import CONFIG_FILE
from nym.config.nodes import (
    DirectoryConfig,
    KeySettings,
    MixnodeConfig,
    PacketSettings,
    ProviderConfig,
)
from nym.errors import ConfigError, IdentityError
from nym.files import exists, os_errors_as
from nym.net.localhost import numeric
from nym.nodes.allowed import AllowList
from nym.nodes.counts import Counts
from nym.nodes.directory import Directory
from nym.nodes.inboxes.places import open_at
from nym.nodes.inboxes.shared import SharedInboxes
from nym.nodes.keyring import Keys
from nym.nodes.keys import Keyring, load_token_key
from nym.nodes.members import Members
from nym.nodes.mixnode import Mixnode
from nym.nodes.node import Node
from nym.nodes.provider import Provider
from nym.nodes.shared_keys import SharedKeyring
from nym.nodes.shared_mixnode import SharedMixnode
from nym.nodes.workers import Start, Workers
from nym.signing import IDENTITY_FILE, Signer, load_signer, make_identity
from nym.wire.addresses import NodeAddress
from nym.wire.metrics import Family, total

log = logging.getLogger(__name__)


class Program(ABC):
    """A node that is made from its settings and its folder, which no other process may use."""

    role: ClassVar[str]

    def __init__(self, folder: Path) -> None:
        """Make its identity, if there is none. Raises IdentityError."""
        self.name = folder.name
        self._signer = _signer(folder)
        self._started = time.monotonic()

    @abstractmethod
    def listen(self) -> None:
        """Listen for others. Raises ListenError."""

    def report(self) -> dict[str, Any]:
        """The state of the node, for `status` (docs/nodes.md, "Status")."""
        return {
            "role": self.role,
            "id": self.name,
            "version": __version__,
            "identity": self._signer.address,
            "uptime": round(time.monotonic() - self._started, 3),
            "figures": self.counts.report(),
        }

    def about(self) -> list[tuple[str, str]]:
        """What people want to know of a node that listens: names and values."""
        return [("identity", self._signer.address)]

    @property
    @abstractmethod
    def counts(self) -> Counts:
        """What the node has counted."""

    def families(self) -> list[Family]:
        """The same for Prometheus, with the figures of other processes that are this node."""
        return self.counts.families()

    @abstractmethod
    def start(self) -> None:
        """Start everything that runs by itself."""

    @abstractmethod
    def leave(self, hurry: Event) -> None:
        """Stop in order, for the network; `hurry` ends that at once."""

    @abstractmethod
    def reload(self, config: Any) -> None:
        """Take over the settings that need no restart."""

    @abstractmethod
    def stop(self) -> None:
        """Stop at once."""


class _NodeProgram(Program):
    """A mixnode or a provider."""

    node: Node

    def __init__(self, folder: Path, settings: PacketSettings) -> None:
        super().__init__(folder)
        self._settings = settings
        self._is_leaving = False

    def about(self) -> list[tuple[str, str]]:
        """See Program."""
        return [*super().about(), *_rows("packets", self.node.address, self.node.place)]

    def report(self) -> dict[str, Any]:
        """See Program."""
        return {
            **super().report(),
            "state": "leaving" if self._is_leaving else "running",
            "reason": self.node.trouble,
            "directories": self.node.troubles(),
            "packets": str(self.node.address),
            "announced": str(self.node.place),
            "key": self.node.keys.current.address,
            "key_age": round(self.node.keys.age, 1),
        }

    @property
    def counts(self) -> Counts:
        """See Program."""
        return self.node.counts

    def start(self) -> None:
        """See Program."""
        self.node.start(*self._settings.directories)

    def leave(self, hurry: Event) -> None:
        """See Program."""
        self._is_leaving = True
        self.node.leave(self._settings.farewell, hurry)

    def stop(self) -> None:
        """See Program."""
        self.node.stop()

    def _take_over(self, settings: PacketSettings, keys: KeySettings) -> None:
        self._settings = settings
        self.node.keys.set_times(keys.lifetime, keys.overlap)

    def listen(self) -> None:
        """See Program."""
        self.node.listen()


class MixnodeProgram(_NodeProgram):
    """A mixnode that runs by itself."""

    role = Mixnode.role

    def __init__(
        self, config: MixnodeConfig, folder: Path, count: int = 1, start: Start | None = None
    ) -> None:
        """`count` workers take its packets, which `start` starts; or itself, if there is none.

        Raises ConfigError, IdentityError.
        """
        settings = config.mixnode
        super().__init__(folder, settings)
        keys = _keys(folder, config.keys, is_alone=start is None)
        self._workers = start and Workers(start, count, keys)
        make = partial(SharedMixnode, workers=self._workers) if self._workers else Mixnode
        self.node: Mixnode = make(
            keys,
            _numeric(settings.packets),
            settings.layer,
            announced=settings.announced,
            signer=self._signer,
            limits=config.limits,
        )

    def families(self) -> list[Family]:
        """See Program."""
        processes = self._workers.processes() if self._workers else ()
        return total([super().families(), *processes])

    def about(self) -> list[tuple[str, str]]:
        """See Program."""
        return [("layer", str(self.node.layer)), *super().about()]

    def report(self) -> dict[str, Any]:
        """See Program."""
        workers = self._workers.about() if self._workers else []
        return {**super().report(), "layer": self.node.layer, "workers": workers}

    def reload(self, config: MixnodeConfig) -> None:
        """Take over the settings that need no restart."""
        self._take_over(config.mixnode, config.keys)
        if self._workers:
            self._workers.set_level(LEVELS[config.logging.level])


class ProviderProgram(_NodeProgram):
    """A provider that runs by itself."""

    role = Provider.role

    def __init__(self, config: ProviderConfig, folder: Path) -> None:
        """Raises ConfigError, IdentityError."""
        settings = config.provider
        super().__init__(folder, settings)
        self._inboxes = inboxes = open_at(settings.store, folder, config.inboxes)
        tokens = load_token_key(folder)  # before the keys, which take over the one it may be
        keys: Keys[Any]
        members = None
        if isinstance(inboxes, SharedInboxes):
            with os_errors_as(ConfigError, f"{folder} can't be used"):
                keys = SharedKeyring(
                    folder, inboxes, tokens, config.keys.lifetime, config.keys.overlap
                )
            members = Members(inboxes)
        else:
            keys = _keys(folder, config.keys)
        self.node: Provider = Provider(
            keys,
            tokens,
            _numeric(settings.packets),
            _numeric(settings.for_clients),
            self._inboxes,
            announced=settings.announced,
            announced_clients=settings.announced_clients,
            signer=self._signer,
            limits=config.limits,
            members=members,
        )

    def about(self) -> list[tuple[str, str]]:
        """See Program."""
        clients = _rows("clients", self.node.client_address, self.node.client_place)
        return [*super().about(), *clients]

    def report(self) -> dict[str, Any]:
        """See Program."""
        return {
            **super().report(),
            "clients": str(self.node.client_address),
            "announced_clients": str(self.node.client_place),
        }

    def reload(self, config: ProviderConfig) -> None:
        """Take over the settings that need no restart."""
        self._take_over(config.provider, config.keys)
        self._inboxes.settings = config.inboxes

    def stop(self) -> None:
        """See Program."""
        super().stop()
        self._inboxes.close()


class DirectoryProgram(Program):
    """A directory that runs by itself."""

    role = "directory"

    def __init__(self, config: DirectoryConfig, folder: Path) -> None:
        """Raises ConfigError, IdentityError."""
        super().__init__(folder)
        place = _numeric(config.directory.place)
        allow = config.directory.allow
        # An absolute path stays what it is.
        self._allowed = AllowList(folder / allow) if allow else None
        self._directory = Directory(
            place.ip,
            place.port,
            signer=self._signer,
            allowed=self._allowed,
            client_lists=config.directory.client_lists,
            connections_per_source=config.directory.source_connections,
        )
        self._url = ""

    def about(self) -> list[tuple[str, str]]:
        """See Program."""
        rows = [*super().about(), ("directory", self._url)]
        if self._allowed is None:
            rows.append(("allowed", "every node may post"))
        else:
            rows.append(("allowed", f"{len(self._allowed.identities)} identities"))
        return rows

    def report(self) -> dict[str, Any]:
        """See Program."""
        records = self._directory.records()
        return {
            **super().report(),
            "state": "running",
            "reason": None,
            "url": self._url,
            "mixnodes": len(records.mixnodes),
            "providers": len(records.providers),
        }

    @property
    def counts(self) -> Counts:
        """See Program."""
        return self._directory.counts

    def start(self) -> None:
        """See Program; a directory works as soon as it listens."""

    def leave(self, hurry: Event) -> None:
        """See Program; whoever asks next asks another directory, or asks again later."""

    def reload(self, config: DirectoryConfig) -> None:
        """Read the list of nodes again, which may have changed though no setting has."""
        self._directory.reload()

    def listen(self) -> None:
        """See Program."""
        self._url = self._directory.start()

    def stop(self) -> None:
        """See Program."""
        self._directory.stop()


def _rows(name: str, here: NodeAddress, place: NodeAddress) -> list[tuple[str, str]]:
    """Where the node listens, and where others find it, if that is another place."""
    announced = [("announced", str(place))] if place != here else []
    return [(name, str(here)), *announced]


def _signer(folder: Path) -> Signer:
    """The node's identity, which its first start makes."""
    path = folder / IDENTITY_FILE
    with os_errors_as(IdentityError, f"{path} can't be used"):
        # config.toml is written at the end of the first start, unless somebody has written it.
        if make_identity(path) and exists(folder / CONFIG_FILE):
            log.warning(
                "%s was missing, so this node has a new identity; if it had another one before, "
                "put that back from a backup, or tell the new one to all who list this node",
                path,
            )
    return load_signer(path)


def _keys(folder: Path, settings: KeySettings, *, is_alone: bool = True) -> Keyring:
    with os_errors_as(ConfigError, f"{folder} can't be used"):
        return Keyring(folder, settings.lifetime, settings.overlap, is_alone=is_alone)


def _numeric(place: NodeAddress) -> NodeAddress:
    """The place with an address in place of the name localhost, which no server is asked about."""
    return place._replace(ip=numeric(place.ip))
