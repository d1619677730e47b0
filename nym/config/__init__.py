"""The settings: names, defaults, and what is said of each (docs/configuration.md).

The dataclasses below are the only list of settings. config.toml and its comments, the checks, what
a reload takes over, the manual page and the table in the docs come from them, or are held to them.
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
    """A field; `is_reloadable` where a running client takes a new value over."""
    about = {"comment": comment, "check": check, "is_reloadable": is_reloadable}
    if isinstance(default, list):
        return field(default_factory=lambda: copy(default), metadata=about)
    return field(default=default, metadata=about)


@dataclass(frozen=True)
class ClientSettings:
    """The section [client]."""

    id: str = _setting("default", "the name of this folder", checks.check_id)
    directory: str = _setting(
        "",
        f"empty: {DEFAULT_DIRECTORY}, or a local network inside the client if none is there",
        checks.check_directory_or_none,
    )
    layers: int = _setting(
        0, "how many the network has; 0: as first seen, which is remembered", checks.check_layers
    )
    resolve_names: bool = _setting(
        False, "true: look up nodes' names, for whatever directory; name servers see that"
    )
    provider: str = _setting("", "base58; empty: one is chosen and kept", checks.check_provider)
    provider_patience: float = _setting(
        600.0,
        "seconds without it before another is chosen",
        checks.positive_seconds,
        is_reloadable=True,
    )
    reliable: bool = _setting(
        False, "true: acknowledged, which tells recipients who sent", is_reloadable=True
    )
    message_lifetime: float = _setting(
        604800.0,
        "seconds until what can't be delivered is given up; 0: never",
        checks.seconds(10**9),
        is_reloadable=True,
    )
    accept_plain: bool = _setting(
        True,
        "false: messages without a seal, which the provider can make up, are refused",
        is_reloadable=True,
    )

    @property
    def directory_url(self) -> str:
        """The directory that was named, else the default."""
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
        1024, "at once; beyond it, the one idle for longest makes room", checks.check_connections
    )
    plain: bool = _setting(
        False,
        "true: everything this socket sends is for the published client",
        is_reloadable=True,
    )

    def __post_init__(self) -> None:
        # From here on, a host is what a socket takes.
        object.__setattr__(self, "host", bare_host(self.host))


@dataclass(frozen=True)
class TrafficSettings:
    """The section [traffic]."""

    average_packet_delay: float = _setting(
        0.1, "per hop, of every packet, cover or not", checks.seconds(10**6)
    )
    message_sending_average_delay: float = _setting(
        0.5, "between packets of the outgoing queue", checks.positive_seconds
    )
    loop_cover_traffic_average_delay: float = _setting(
        0.5, "between packets of the cover stream", checks.positive_seconds
    )
    fetch_message_delay: float = _setting(
        0.4, "between pulls from the provider", checks.positive_seconds
    )
    topology_refresh_rate: float = _setting(
        10.0, "between looks at the directory", checks.positive_seconds
    )


@dataclass(frozen=True)
class PrivacySettings:
    """The section [privacy]."""

    seal: bool = _setting(
        True, "false: plain messages, for recipients that run the published 0.4 client"
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
    """What is known of one setting."""

    section: str
    name: str
    default: Value
    comment: str
    check: Callable[..., None]
    is_reloadable: bool

    @property
    def key(self) -> str:
        """As people write it, such as "socket.port"."""
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
    """`config`, but for the settings with these keys."""
    for key, value in values.items():
        setting = SETTINGS[key]
        section = replace(getattr(config, setting.section), **{setting.name: value})
        config = replace(config, **{setting.section: section})
    return config


def obstacle_to_reliable(config: Config) -> str | None:
    """Why messages can't be reliable unless they ask not to be (client.reliable), if they can't."""
    if not config.privacy.seal:
        return "acknowledgements need sealed messages, but privacy.seal is false"
    if config.socket.plain:
        return "acknowledgements need sealed messages, but socket.plain is true"
    return None
