"""config.toml: the settings, their defaults, and the checks of each (docs/configuration.md).

The dataclasses below are the only list of settings: the file that `init` writes, its comments, the
checks and the defaults all come from them.
"""

import json
import logging
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nym.errors import ConfigError
from nym.files import write_file
from nym.wire.addresses import UNIX
from nym.wire.keys import decode_base58
from nym.wire.origins import parse_origin

CONFIG_FILE = "config.toml"
DEFAULT_DIRECTORY_PORT = 8080
DEFAULT_DIRECTORY = f"http://127.0.0.1:{DEFAULT_DIRECTORY_PORT}"
LONGEST_ID = 100
LONGEST_NAME = 255  # bytes, of a folder
NEEDS_SEAL = "acknowledgements take sealed messages, and privacy.seal is false"
_LONGEST_FILE = 1 << 20

Check = Callable[[Any], None]


def check_id(value: str) -> None:
    """An id names a folder. Raises ValueError."""
    if value in (".", "..") or not 0 < len(value) <= LONGEST_ID or value.startswith("-"):
        raise ValueError(f"an id has 1 to {LONGEST_ID} characters and doesn't begin with -")
    if len(value.encode(errors="replace")) > LONGEST_NAME:
        raise ValueError(f"an id has at most {LONGEST_NAME} bytes")
    if not value.isprintable() or "/" in value:
        raise ValueError("an id is the name of a folder: no / and no control characters")


def check_directory(value: str) -> None:
    """An HTTP address. Raises ValueError."""
    if not value.isprintable() or " " in value:
        raise ValueError("an address has no white space and no control characters")
    url = urlsplit(value)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError(f"a directory is an address such as {DEFAULT_DIRECTORY}")
    if url.port == 0 or url.query or url.fragment:  # .port raises ValueError beyond 65535
        raise ValueError("a directory's address has a host, a port and a path, nothing else")


def check_key(value: str) -> None:
    """A key in base58. Raises ValueError."""
    decode_base58(value)


def check_provider(value: str) -> None:
    """A key in base58, or nothing. Raises ValueError."""
    if value:
        check_key(value)


def check_port(value: int) -> None:
    """A TCP port; 0 lets the system choose. Raises ValueError."""
    if not 0 <= value <= 65535:
        raise ValueError("a port is a number from 0 to 65535")


def check_host(value: str) -> None:
    """Where a socket is. Raises ValueError."""
    if value in ("", UNIX) or not value.isprintable():
        raise ValueError(f"a host is a name, an IP address, or {UNIX}PATH")


def _check_origins(value: list[object]) -> None:
    for origin in value:
        parse_origin(origin if isinstance(origin, str) else "")


def _above_zero(value: float) -> None:
    if not 0 < value <= 1e6:
        raise ValueError("seconds, more than 0 and at most 1000000")


def _zero_or_more(value: float) -> None:
    if not 0 <= value <= 1e6:
        raise ValueError("seconds, from 0 to 1000000")


def _no_check(value: object) -> None:
    """Any value of the right type will do."""


def _check_level(value: str) -> None:
    if value not in LEVELS:
        raise ValueError(f"a level is one of {', '.join(LEVELS)}")


def _check_format(value: str) -> None:
    if value not in FORMATS:
        raise ValueError(f"a format is one of {', '.join(FORMATS)}")


FORMATS = ("text", "json")
NOTES = {"traffic": "  # seconds; means of exponential distributions, the last two fixed"}
LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def _setting(default: Any, comment: str, check: Check) -> Any:
    metadata = {"comment": comment, "check": check}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class ClientSettings:
    """The section [client]."""

    id: str = _setting("default", "the name of this folder", check_id)
    directory: str = _setting(
        DEFAULT_DIRECTORY,
        "with this default, and nothing there, a local network is started inside the client",
        check_directory,
    )
    provider: str = _setting("", "base58; empty: one is chosen and kept", check_provider)
    provider_patience: float = _setting(
        600.0, "seconds without it before another is chosen", _above_zero
    )
    reliable: bool = _setting(
        False,
        "true: acknowledged, which tells recipients who sent",
        _no_check,
    )


@dataclass(frozen=True)
class SocketSettings:
    """The section [socket]."""

    host: str = _setting(
        "127.0.0.1", "where applications connect; unix:PATH: a UNIX socket", check_host
    )
    port: int = _setting(9001, "0: the system chooses", check_port)
    allowed_origins: list[str] = _setting(
        [], "web sites whose pages may use the WebSocket", _check_origins
    )


@dataclass(frozen=True)
class TrafficSettings:
    """The section [traffic]."""

    average_packet_delay: float = _setting(
        0.1, "per hop, of every packet, cover or not", _zero_or_more
    )
    message_sending_average_delay: float = _setting(
        0.5, "between packets of the outgoing queue", _above_zero
    )
    loop_cover_traffic_average_delay: float = _setting(
        0.5, "between packets of the cover stream", _above_zero
    )
    fetch_message_delay: float = _setting(0.4, "between pulls from the provider", _above_zero)
    topology_refresh_rate: float = _setting(10.0, "between looks at the directory", _above_zero)


@dataclass(frozen=True)
class PrivacySettings:
    """The section [privacy]."""

    seal: bool = _setting(
        True,
        "false: plain messages, for recipients that run the published 0.4 client",
        _no_check,
    )


@dataclass(frozen=True)
class LoggingSettings:
    """The section [logging]."""

    level: str = _setting("info", "debug, info, warning or error", _check_level)
    format: str = _setting("text", "text, or json: an object a line", _check_format)


@dataclass(frozen=True)
class Config:
    """All settings, by section."""

    client: ClientSettings = field(default_factory=ClientSettings)
    socket: SocketSettings = field(default_factory=SocketSettings)
    traffic: TrafficSettings = field(default_factory=TrafficSettings)
    privacy: PrivacySettings = field(default_factory=PrivacySettings)
    logging: LoggingSettings = field(default_factory=LoggingSettings)


def load_config(folder: Path) -> Config:
    """The settings in `folder`; the defaults where it has no file. Raises ConfigError."""
    text = _read(folder)
    if text is None:
        return Config(client=ClientSettings(id=folder.name))
    return parse_config(text, str(folder / CONFIG_FILE))


def settings_in_file(folder: Path) -> frozenset[str]:
    """The keys, such as "socket.port", of a config.toml that `load_config` took."""
    text = _read(folder) or ""
    return frozenset(
        f"{section}.{key}" for section, table in tomllib.loads(text).items() for key in table
    )


def change_setting(folder: Path, name: str, value: str) -> None:
    """Set one key of config.toml, and leave all else, comments too, as it is.

    `value` is as in the file; of texts, the quotes may be left out. Raises ConfigError.
    """
    import tomlkit  # seldom needed, and slow to load

    config, text = load_config(folder), _read(folder)
    document = tomlkit.parse(format_config(config) if text is None else text.removeprefix("\ufeff"))
    section, _, key = name.partition(".")
    setting = next((s for s in _settings(config, section) if s.name == key), None)
    if setting is None:
        raise ConfigError(f"there is no setting {name}; there are {_names(settings_of(config))}")
    table = document.setdefault(section, tomlkit.table())
    try:
        table[key] = _checked(_value(value, setting), setting)
    except ValueError as error:
        raise ConfigError(f"{name} = {value}: {error}") from error
    changed = tomlkit.dumps(document)
    parse_config(changed, f"{name} = {value}")
    try:
        write_file(folder / CONFIG_FILE, changed.encode())
    except OSError as error:
        raise ConfigError(f"{folder / CONFIG_FILE} can't be written: {error.strerror}") from error


def save_config(config: Config, folder: Path) -> None:
    """Write config.toml, over one that is there."""
    write_file(folder / CONFIG_FILE, format_config(config).encode())


def parse_config(text: str, name: str = CONFIG_FILE) -> Config:
    """The settings in a file's text. Raises ConfigError, which names `name` and the line."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name} is no TOML: {error}") from error

    def refuse(reason: str, section: str, key: str = "") -> ConfigError:
        return ConfigError(f"{name}, line {_line(text, section, key)}: {reason}")

    sections: dict[str, Any] = {}
    known = {section.name: section.default_factory for section in fields(Config)}
    for section, table in tables.items():
        if section not in known:
            raise refuse(f"unknown section [{section}]; known are {_names(known)}", section)
        if not isinstance(table, dict):
            raise refuse(f"{section} is a section: write [{section}]", section)
        kind: Any = known[section]
        settings = {setting.name: setting for setting in fields(kind)}
        for key, value in table.items():
            if key not in settings:
                raise refuse(
                    f"unknown key {key} in [{section}]; known are {_names(settings)}", section, key
                )
            try:
                table[key] = _checked(value, settings[key])
            except ValueError as error:
                raise refuse(f"{key} = {_toml(value)}: {error}", section, key) from error
        sections[section] = kind(**table)
    config = Config(**sections)
    if config.client.reliable and not config.privacy.seal:
        raise refuse(f"reliable = true: {NEEDS_SEAL}", "client", "reliable")
    return config


def settings_of(config: Config) -> dict[str, Any]:
    """The value of each setting, by its key, such as "socket.port"."""
    return {
        f"{section}.{key}": value
        for section, values in asdict(config).items()
        for key, value in values.items()
    }


def format_config(config: Config) -> str:
    """The file's text, with a comment behind each key."""
    lines = []
    for section in fields(config):
        settings = getattr(config, section.name)
        lines.append(f"[{section.name}]{NOTES.get(section.name, '')}")
        for setting in fields(settings):
            pair = f"{setting.name} = {_toml(getattr(settings, setting.name))}"
            lines.append(f"{pair:<46} # {setting.metadata['comment']}")
        lines.append("")
    return "\n".join(lines)


def _read(folder: Path) -> str | None:
    """The file's text; None where there is none. Raises ConfigError."""
    path = folder / CONFIG_FILE
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST_FILE).decode()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no text in UTF-8: {error.reason}") from error


def _settings(config: Config, section: str) -> tuple[Any, ...]:
    settings = getattr(config, section, None)
    return fields(settings) if settings else ()


def _value(text: str, setting: Any) -> Any:
    """What stands behind a key; a text may be without its quotes. Raises ValueError."""
    if _kind(setting) is str and not text.startswith(('"', "'")):
        return text
    try:
        read = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        read = {}
    if len(read) != 1:
        raise ValueError(f"it must be {_KINDS[_kind(setting)]}")
    return read["value"]


def _kind(setting: Any) -> type:
    return type(setting.default if setting.default_factory is MISSING else [])


def _checked(value: Any, setting: Any) -> Any:
    kind = _kind(setting)
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise ValueError(f"it must be {_KINDS[kind]}")
    setting.metadata["check"](value)
    return value


_KINDS = {
    str: "a text in quotes",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "a list",
}


def _toml(value: object) -> str:
    if isinstance(value, bool | int | float | str | list):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _names(known: Mapping[str, object]) -> str:
    return ", ".join(known)


def _line(text: str, section: str, key: str) -> int:
    # tomllib doesn't say where a value stood: the section's header, then the key below it.
    bare = r"""\s*["']?{}["']?\s*"""
    header = re.compile(r"\s*\[" + bare.format(re.escape(section)) + r"\]")
    dotted = re.compile(bare.format(re.escape(section)) + r"[.=]")
    pair = re.compile(bare.format(re.escape(key)) + "=")
    current, found = "", 1
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(r"\s*\[", line):
            current = section if header.match(line) else ""
            found = number if current else found
        elif dotted.match(line):
            found = number
        if key and (
            (current and pair.match(line))
            or (dotted.match(line) and re.search(rf"\b{re.escape(key)}\b", line))
        ):
            return number
    return found
