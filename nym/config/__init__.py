"""The settings: their names, defaults, comments and checks (docs/configuration.md).

The dataclasses below are the only list of settings. config.toml with its comments, the checks, the
set of settings that a reload changes and the manual page are made from them. A test compares the
table in docs/configuration.md with them.
"""

from collections.abc import Callable, Iterator, Mapping
from copy import copy
from dataclasses import asdict, dataclass, field, fields, replace
from typing import NamedTuple, TypeVar

from nym.config import checks
from nym.wire.addresses import bare_host

DEFAULT_DIRECTORY_PORT = 8080
DEFAULT_DIRECTORY = f"http://127.0.0.1:{DEFAULT_DIRECTORY_PORT}"

Value = str | bool | int | float | list[str]
_Value = TypeVar("_Value", bound=Value)


def _setting(
    default: _Value,
    comment: str,
    check: Callable[[_Value], None] = checks.any_value,
    *,
    is_reloadable: bool = False,
) -> _Value:
    """A dataclass field that is one setting.

    `comment` stands behind the key in config.toml. `is_reloadable` means that a running client
    takes over a new value; other changes take effect at the next start.
    """
    about = {"comment": comment, "check": check, "is_reloadable": is_reloadable}
    if isinstance(default, list):
        # Dataclasses refuse a list as a default, because all instances would share it.
        return field(default_factory=lambda: copy(default), metadata=about)
    return field(default=default, metadata=about)


@dataclass(frozen=True)
class ClientSettings:
    """The section [client]."""

    id: str = _setting("default", "the name of this client and its folder", checks.check_id)
    # The default is empty, not DEFAULT_DIRECTORY: a user who names that address wants this
    # directory and no other, so the client must not start a local network in its place.
    directory: str = _setting(
        "",
        f"the network's URL; empty: {DEFAULT_DIRECTORY}, else a local network in this client",
        checks.check_directory_or_none,
    )
    layers: int = _setting(
        0,
        "layers of mixnodes in the network; 0: the number seen first, which is remembered",
        checks.check_layers,
    )
    resolve_names: bool = _setting(
        False,
        "true: look up nodes' names, whichever directory lists them; name servers see the names",
    )
    provider: str = _setting(
        "", "key in base58; empty: the client chooses one and keeps it", checks.check_provider
    )
    provider_patience: float = _setting(
        600.0,
        "seconds without its provider before the client takes another",
        checks.positive_seconds,
        is_reloadable=True,
    )
    reliable: bool = _setting(
        False,
        "true: messages are sent until acknowledged; this tells recipients who sent them",
        is_reloadable=True,
    )
    message_lifetime: float = _setting(
        604800.0,
        "seconds until a message that can't be delivered is given up; 0: never",
        checks.seconds(10**9),
        is_reloadable=True,
    )
    accept_plain: bool = _setting(
        True,
        "false: refuse messages that aren't sealed, which the provider can make up or change",
        is_reloadable=True,
    )

    @property
    def directory_url(self) -> str:
        """The directory that was named, else the default one."""
        return self.directory or DEFAULT_DIRECTORY


@dataclass(frozen=True)
class SocketSettings:
    """The section [socket]."""

    host: str = _setting(
        "127.0.0.1", "where applications connect; unix:PATH: a UNIX socket", checks.check_host
    )
    port: int = _setting(9001, "0: the system chooses", checks.check_port)
    allowed_origins: list[str] = _setting(
        [], "web sites whose pages may use the WebSocket", checks.check_origins, is_reloadable=True
    )
    connections: int = _setting(
        1024,
        "at the same time; one more takes the place of the one that was idle for longest",
        checks.check_connections,
    )
    plain: bool = _setting(
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

    average_packet_delay: float = _setting(
        0.1, "of every packet, message or cover, at each hop", checks.seconds(10**6)
    )
    message_sending_average_delay: float = _setting(
        0.5,
        "between packets that carry a message if one waits, else cover",
        checks.positive_seconds,
    )
    loop_cover_traffic_average_delay: float = _setting(
        0.5, "between packets that are always cover", checks.positive_seconds
    )
    fetch_message_delay: float = _setting(
        0.4, "between pulls from the provider", checks.positive_seconds
    )
    topology_refresh_rate: float = _setting(
        10.0, "between requests to the directory", checks.positive_seconds
    )


@dataclass(frozen=True)
class PrivacySettings:
    """The section [privacy]."""

    seal: bool = _setting(
        True,
        "false: plain messages and cover, for recipients that run the published 0.4 client",
    )


@dataclass(frozen=True)
class LoggingSettings:
    """The section [logging]."""

    level: str = _setting(
        "info", "debug, info, warning or error", checks.check_level, is_reloadable=True
    )
    format: str = _setting(
        "text", "text, or json: one object per line", checks.check_format, is_reloadable=True
    )


@dataclass(frozen=True)
class Config:
    """All settings, by section."""

    client: ClientSettings = field(default_factory=ClientSettings)
    socket: SocketSettings = field(default_factory=SocketSettings)
    traffic: TrafficSettings = field(default_factory=TrafficSettings)
    privacy: PrivacySettings = field(default_factory=PrivacySettings)
    logging: LoggingSettings = field(default_factory=LoggingSettings)


class Setting(NamedTuple):
    """One setting, with all that the dataclasses above say about it."""

    section: str
    name: str
    default: Value
    comment: str
    check: Callable[..., None]
    is_reloadable: bool

    @property
    def key(self) -> str:
        """The name that people write, such as "socket.port"."""
        return f"{self.section}.{self.name}"


def _all_settings() -> Iterator[Setting]:
    defaults = Config()
    for section in fields(defaults):
        values = getattr(defaults, section.name)
        for known in fields(values):
            default = getattr(values, known.name)
            yield Setting(section.name, known.name, default, **known.metadata)


SETTINGS = {setting.key: setting for setting in _all_settings()}
RELOADABLE = frozenset(key for key, setting in SETTINGS.items() if setting.is_reloadable)


def values_of(config: Config) -> dict[str, Value]:
    """The value of each setting, by its key."""
    return {
        f"{section}.{name}": value
        for section, values in asdict(config).items()
        for name, value in values.items()
    }


def with_values(config: Config, values: Mapping[str, Value]) -> Config:
    """A copy of `config` in which the settings with these keys have these values."""
    for key, value in values.items():
        setting = SETTINGS[key]
        section = replace(getattr(config, setting.section), **{setting.name: value})
        config = replace(config, **{setting.section: section})
    return config


def obstacle_to_reliable(config: Config) -> str | None:
    """Why messages can't be reliable by default with these settings; None if they can."""
    if not config.privacy.seal:
        return "acknowledgements need sealed messages, but privacy.seal is false"
    if config.socket.plain:
        return "acknowledgements need sealed messages, but socket.plain is true"
    return None
