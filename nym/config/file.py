"""config.toml in a client's folder: read, written, changed. All of it raises ConfigError."""

from pathlib import Path

from nym.config import ClientSettings, Config
from nym.config.text import (
    change_text,
    format_config,
    parse_config,
    parse_toml,
    remove_from_text,
)
from nym.errors import ConfigError
from nym.files import locked, os_errors_as, read_text, write_file

CONFIG_FILE = "config.toml"
_LONGEST_FILE = 1 << 20


def load_config(folder: Path) -> Config:
    """The settings in `folder`; the defaults where it has no file."""
    text = _read(folder) or ""
    return parse_config(text, str(folder / CONFIG_FILE), _defaults(folder))


def settings_in_file(folder: Path) -> frozenset[str]:
    """The keys, such as "socket.port", that are in config.toml."""
    text = _read(folder) or ""
    parse_config(text, str(folder / CONFIG_FILE), _defaults(folder))
    return frozenset(
        f"{section}.{name}" for section, table in parse_toml(text).items() for name in table
    )


def change_setting(folder: Path, key: str, value: str) -> None:
    """Set one key of config.toml, and leave all else, comments too, as it is.

    `value` is as in the file; of texts, the quotes may be left out. Raises LockedError, too.
    """
    import tomlkit  # noqa: F401 - slow to load, and not to be waited for by others with the lock

    with os_errors_as(ConfigError, f"{folder / CONFIG_FILE} can't be changed"), locked(folder):
        load_config(folder)  # one with a mistake in it is not changed
        text = _read(folder)
        if text is None:
            text = format_config(_defaults(folder))
        _write(folder, change_text(text, key, value))


def remove_setting(folder: Path, key: str) -> None:
    """Remove one key from config.toml, so that its default applies. Raises LockedError, too."""
    import tomlkit  # noqa: F401 - slow to load, and not to be waited for by others with the lock

    with os_errors_as(ConfigError, f"{folder / CONFIG_FILE} can't be changed"), locked(folder):
        load_config(folder)  # one with a mistake in it is not changed
        text = _read(folder) or ""
        changed = remove_from_text(text, key)
        if changed != text:
            _write(folder, changed)


def save_config(config: Config, folder: Path) -> None:
    """Write config.toml, over one that is there."""
    _write(folder, format_config(config))


def _defaults(folder: Path) -> Config:
    return Config(client=ClientSettings(id=folder.name))


def _read(folder: Path) -> str | None:
    """The file's text; None where there is none."""
    path = folder / CONFIG_FILE
    with os_errors_as(ConfigError, f"{path} can't be read"):
        try:
            return read_text(path, _LONGEST_FILE)
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise ConfigError(f"{path} can't be read: {error}") from error


def _write(folder: Path, text: str) -> None:
    path = folder / CONFIG_FILE
    with os_errors_as(ConfigError, f"{path} can't be written"):
        write_file(path, text.encode())
