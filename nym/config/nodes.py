"""The settings of nodes: mixnode, provider and directory (docs/configuration.md).

A place is where a node listens, or where others find it: a host, or a host and a port. Without a
port, it is the usual one: 1789 for packets, 9000 for clients, 8080 for a directory.
"""

from dataclasses import dataclass, field

from nym.config import LoggingSettings, checks
from nym.config.checks import listed, place_of
from nym.config.setting import Sections, setting
from nym.wire.addresses import NodeAddress

PACKETS_PORT, CLIENTS_PORT, DIRECTORY_PORT = 1789, 9000, 8080
DAY = 86_400.0  # seconds
EVERYWHERE = "0.0.0.0"  # noqa: S104 - a node is for other machines


@dataclass(frozen=True)
class PacketSettings:
    """What mixnodes and providers have in common."""

    id: str = setting("default", "the name of this node and its folder", checks.check_id)
    directory: str = setting("", "the network's URL, or several", checks.check_directories_or_none)
    listen: str = setting(EVERYWHERE, "where packets are taken", checks.check_place)
    announce: str = setting(
        "", "where others find it; empty: where it listens", checks.check_place_or_none
    )
    farewell: float = setting(
        20.0,
        "seconds for which a node that stops still takes packets, as clients don't know yet",
        checks.seconds(3600),
        is_reloadable=True,
    )

    @property
    def directories(self) -> list[str]:
        """The URLs of the network's directories."""
        return listed(self.directory)

    @property
    def packets(self) -> NodeAddress:
        """Where the node takes packets; the host may be a name."""
        return place_of(self.listen, PACKETS_PORT)

    @property
    def announced(self) -> NodeAddress | None:
        """Where others find it; None: where it listens."""
        return place_of(self.announce, PACKETS_PORT) if self.announce else None


@dataclass(frozen=True)
class MixnodeSettings(PacketSettings):
    """The section [mixnode]."""

    layer: int = setting(0, "from 1 to the network's number of layers", checks.check_layers)
    workers: int = setting(
        0, "processes that take packets; 0: one for each processor", checks.check_workers
    )


@dataclass(frozen=True)
class ProviderSettings(PacketSettings):
    """The section [provider]."""

    clients: str = setting(EVERYWHERE, "where clients register and pull", checks.check_place)
    announce_clients: str = setting(
        "", "where clients find it; empty: where it listens for them", checks.check_place_or_none
    )
    store: str = setting(
        "",
        "the URL of a PostgreSQL database for the inboxes; empty: inboxes.db",
        checks.check_store_or_none,
    )

    @property
    def for_clients(self) -> NodeAddress:
        """Where clients register and pull; the host may be a name."""
        return place_of(self.clients, CLIENTS_PORT)

    @property
    def announced_clients(self) -> NodeAddress | None:
        """Where clients find it; None: where it listens for them."""
        return place_of(self.announce_clients, CLIENTS_PORT) if self.announce_clients else None


@dataclass(frozen=True)
class DirectorySettings:
    """The section [directory]."""

    id: str = setting("default", "the name of this directory and its folder", checks.check_id)
    listen: str = setting(EVERYWHERE, "where nodes post and clients ask", checks.check_place)
    allow: str = setting(
        "", "a file with the identities of the nodes that may post; empty: every node may"
    )
    client_lists: bool = setting(
        True, "false: only published clients get lists of clients; others name providers"
    )
    # A web server in front of the directory is one source, too.
    source_connections: int = setting(
        250, "connections that one address may have at once", checks.check_connections
    )

    @property
    def place(self) -> NodeAddress:
        """Where the directory listens; the host may be a name."""
        return place_of(self.listen, DIRECTORY_PORT)


@dataclass(frozen=True)
class KeySettings:
    """The section [keys]: seconds; docs/protocol/mixnode.md, "Keys", has what each of them does."""

    lifetime: float = setting(
        86400.0,
        "until a node takes a new key for packets",
        checks.positive_seconds,
        is_reloadable=True,
    )
    # Routes with the longest delays that mixnodes accept take half an hour. Clients use a network
    # for ten minutes in which their directory lists no whole one, and a directory lists a node's
    # last record for ten seconds.
    overlap: float = setting(
        3600.0,
        "for which packets for the key before are still taken",
        checks.positive_seconds,
        is_reloadable=True,
    )


@dataclass(frozen=True)
class LimitSettings:
    """The section [limits]; docs/operating.md, "Floods", has what each of them does."""

    # 0.4 has one connection for each packet, and a client needs four or so each second, all of
    # them open for milliseconds. A mixnode of the layer before can have some hundred.
    source_connections: int = setting(
        1000, "connections that one address may have at once", checks.check_connections
    )
    source_packets: float = setting(
        1000.0, "packets per second that one address has for certain", checks.check_rate
    )


@dataclass(frozen=True)
class MixnodeLimitSettings(LimitSettings):
    """The same for a mixnode, which also holds packets.

    A packet has 1372 bytes, so `held` is a limit in bytes, too: 27 MB, or with everything around
    the packets some 45 MB of memory.
    """

    held: int = setting(
        20_000,
        "packets that wait for their time; with all around them, 2 kB each",
        checks.number_of("packets", 1, 10**6),
    )


@dataclass(frozen=True)
class InboxSettings:
    """The section [inboxes]; docs/operating.md, "Inboxes", has what each of them does."""

    clients: int = setting(
        200_000, "that may be registered", checks.number_of("clients", 1, 10**7), is_reloadable=True
    )
    messages: int = setting(
        10_000,
        "that may wait for one client",
        checks.number_of("messages", 1, 10**6),
        is_reloadable=True,
    )
    # 10,000 messages of the usual size have 10 MB. Nothing that comes in packets is larger.
    size: int = setting(
        16 << 20,
        "bytes that may wait for one client",
        checks.number_of("bytes", 1 << 10, 1 << 40),
        is_reloadable=True,
    )
    message_age: float = setting(
        30 * DAY, "seconds after which a message goes", checks.check_age, is_reloadable=True
    )
    client_age: float = setting(
        365 * DAY,
        "seconds without a pull after which a client goes, with its messages",
        checks.check_age,
        is_reloadable=True,
    )


@dataclass(frozen=True)
class MixnodeConfig(Sections):
    """All settings of a mixnode, by section."""

    mixnode: MixnodeSettings = field(default_factory=MixnodeSettings)
    keys: KeySettings = field(default_factory=KeySettings)
    limits: MixnodeLimitSettings = field(default_factory=MixnodeLimitSettings)
    logging: LoggingSettings = field(default_factory=LoggingSettings)


@dataclass(frozen=True)
class ProviderConfig(Sections):
    """All settings of a provider, by section."""

    provider: ProviderSettings = field(default_factory=ProviderSettings)
    keys: KeySettings = field(default_factory=KeySettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    inboxes: InboxSettings = field(default_factory=InboxSettings)
    logging: LoggingSettings = field(default_factory=LoggingSettings)


@dataclass(frozen=True)
class DirectoryConfig(Sections):
    """All settings of a directory, by section."""

    directory: DirectorySettings = field(default_factory=DirectorySettings)
    logging: LoggingSettings = field(default_factory=LoggingSettings)
