"""The settings of a client: their names, defaults, comments and checks (docs/configuration.md).

nym.config.setting says what is made from them. A test compares the table in docs/configuration.md
with them. nym.config.nodes has the settings of nodes.
"""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from nym.config import checks
from nym.config.setting import Sections, reloadable_of, setting, settings_of
from nym.wire.addresses import bare_host, is_loopback
from nym.wire.keys import decode_base58

DEFAULT_DIRECTORY_PORT = 8080
DEFAULT_DIRECTORY = f"http://127.0.0.1:{DEFAULT_DIRECTORY_PORT}"


@dataclass(frozen=True)
class ClientSettings:
    """The section [client]."""

    id: str = setting("default", "the name of this client and its folder", checks.check_id)
    # The default is empty, not DEFAULT_DIRECTORY: a user who names that address wants this
    # directory and no other, so the client must not start a local network in its place.
    directory: str = setting(
        "",
        f"the network's URL, or several; empty: {DEFAULT_DIRECTORY}, else a network in this client",
        checks.check_directories_or_none,
    )
    directory_key: str = setting(
        "",
        "keys in base58, one of which has to sign what a directory lists; empty: nobody has to",
        checks.check_directory_keys,
    )
    layers: int = setting(
        0,
        "layers of mixnodes in the network; 0: the number seen first, which is remembered",
        checks.check_layers,
    )
    resolve_names: bool = setting(
        False,
        "true: look up nodes' names, whichever directory lists them; name servers see the names",
    )
    proxy: str = setting(
        "",
        "socks5://HOST:PORT, through which everything goes; none: no proxy; empty: ALL_PROXY",
        checks.check_proxy_or_empty,
    )
    provider: str = setting(
        "", "key or identity; empty: the client chooses one and keeps it", checks.check_provider
    )
    provider_patience: float = setting(
        600.0,
        "seconds without its provider before the client takes another",
        checks.positive_seconds,
        is_reloadable=True,
    )
    reliable: bool = setting(
        False,
        "true: messages are sent until acknowledged; this tells recipients who sent them",
        is_reloadable=True,
    )
    message_lifetime: float = setting(
        604800.0,
        "seconds until a message that can't be delivered is given up; 0: never",
        checks.seconds(10**9),
        is_reloadable=True,
    )
    reply_addresses: int = setting(
        2,
        "extra addresses for answers, each for one correspondent, always registered; 0: none",
        checks.check_reply_addresses,
    )
    reply_addresses_at_once: bool = setting(
        False,
        "true: register them at the start; a client of a network on its own machine always does",
    )
    reply_lifetime: float = setting(
        345600.0,
        "seconds that each lasts, or half as long again, until another takes its place",
        checks.seconds(10**8),
    )
    accept_plain: bool = setting(
        True,
        "false: refuse messages that aren't sealed, which the provider can make up or change",
        is_reloadable=True,
    )

    @property
    def directories(self) -> list[str]:
        """The URLs of the directories that were named, else the default one."""
        return checks.listed(self.directory) or [DEFAULT_DIRECTORY]

    @property
    def registers_at_once(self) -> bool:
        """Whether reply addresses are registered at the start.

        The list of a directory on this machine shows them to nobody else.
        """
        hosts = [urlsplit(url).hostname or "" for url in self.directories]
        return self.reply_addresses_at_once or all(map(is_loopback, hosts))

    @property
    def directory_keys(self) -> list[bytes]:
        """The keys that may sign what a directory lists; none if it needn't be signed."""
        return [decode_base58(key) for key in checks.listed(self.directory_key)]


@dataclass(frozen=True)
class SocketSettings:
    """The section [socket]."""

    host: str = setting(
        "127.0.0.1", "where applications connect; unix:PATH: a UNIX socket", checks.check_host
    )
    port: int = setting(9001, "0: the system chooses", checks.check_port)
    allowed_origins: list[str] = setting(
        [], "web sites whose pages may use the WebSocket", checks.check_origins, is_reloadable=True
    )
    connections: int = setting(
        1024,
        "at the same time; one more takes the place of the one that was idle for longest",
        checks.check_connections,
    )
    token_file: str = setting(
        "",
        "a file with a token that applications have to show first; made if there is none",
        is_reloadable=True,
    )
    plain: bool = setting(
        False,
        "true: applications' messages are plain, for recipients that run the published client",
        is_reloadable=True,
    )

    def __post_init__(self) -> None:
        # People may write an IPv6 address in brackets, but the system's calls take it without.
        # Brackets are removed here, once, wherever the host was written.
        object.__setattr__(self, "host", bare_host(self.host))


@dataclass(frozen=True)
class TrafficSettings:
    """The section [traffic]: seconds; docs/protocol/client.md has what each of them does.

    A client whose rates differ from everybody else's stands out.
    """

    average_packet_delay: float = setting(
        0.1, "of every packet, message or cover, at each hop", checks.seconds(10**6)
    )
    message_sending_average_delay: float = setting(
        0.5,
        "between packets that carry a message if one waits, else cover",
        checks.positive_seconds,
    )
    loop_cover_traffic_average_delay: float = setting(
        0.5, "between loops, the cover that comes back", checks.positive_seconds
    )
    fetch_message_delay: float = setting(
        0.4, "between pulls from the provider", checks.positive_seconds
    )
    topology_refresh_rate: float = setting(
        10.0, "between requests to the directory", checks.positive_seconds
    )


@dataclass(frozen=True)
class PrivacySettings:
    """The section [privacy]."""

    seal: bool = setting(
        True,
        "false: plain messages and cover, for recipients that run the published 0.4 client",
    )


@dataclass(frozen=True)
class LoggingSettings:
    """The section [logging]."""

    level: str = setting(
        "info", "debug, info, warning or error", checks.check_level, is_reloadable=True
    )
    format: str = setting(
        "text", "text, or json: one object per line", checks.check_format, is_reloadable=True
    )
    metrics: str = setting(
        "",
        "HOST:PORT where Prometheus reads figures, such as 127.0.0.1:9100; empty: nowhere",
        checks.check_metrics_or_none,
    )


@dataclass(frozen=True)
class Config(Sections):
    """All settings of a client, by section."""

    client: ClientSettings = field(default_factory=ClientSettings)
    socket: SocketSettings = field(default_factory=SocketSettings)
    traffic: TrafficSettings = field(default_factory=TrafficSettings)
    privacy: PrivacySettings = field(default_factory=PrivacySettings)
    logging: LoggingSettings = field(default_factory=LoggingSettings)

    def conflict(self) -> tuple[str, str] | None:
        """See Sections."""
        if self.client.reliable and (reason := obstacle_to_reliable(self)):
            return "client.reliable", f"reliable = true: {reason}"
        return None


SETTINGS = settings_of(Config)
RELOADABLE = reloadable_of(Config)


def obstacle_to_reliable(config: Config) -> str | None:
    """Why messages can't be reliable by default with these settings; None if they can."""
    if not config.privacy.seal:
        return "acknowledgements need sealed messages, but privacy.seal is false"
    if config.socket.plain:
        return "acknowledgements need sealed messages, but socket.plain is true"
    return None
