"""config.toml in a client's folder: read, written, changed. All of it raises ConfigError."""

from pathlib import Path

from nym.config import ClientSettings, Config
from nym.config.text import change_text, format_config, parse_config, parse_toml
from nym.errors import ConfigError
from nym.files import write_file

CONFIG_FILE = "config.toml"
_LONGEST_FILE = 1 << 20


def load_config(folder: Path) -> Config:
    """The settings in `folder`; the defaults where it has no file."""
    text = _read(folder) or ""
    return parse_config(text, str(folder / CONFIG_FILE), _defaults(folder))


def settings_in_file(folder: Path) -> frozenset[str]:
    """The keys, such as "socket.port", of a config.toml that `load_config` took."""
    text = _read(folder) or ""
    return frozenset(
        f"{section}.{name}" for section, table in parse_toml(text).items() for name in table
    )


def change_setting(folder: Path, key: str, value: str) -> None:
    """Set one key of config.toml, and leave all else, comments too, as it is.

    `value` is as in the file; of texts, the quotes may be left out.
    """
    load_config(folder)  # one with a mistake in it is not changed
    text = _read(folder)
    if text is None:
        text = format_config(_defaults(folder))
    _write(folder, change_text(text, key, value))


def save_config(config: Config, folder: Path) -> None:
    """Write config.toml, over one that is there."""
    _write(folder, format_config(config))


def _defaults(folder: Path) -> Config:
    return Config(client=ClientSettings(id=folder.name))


def _read(folder: Path) -> str | None:
    """The file's text; None where there is none."""
    path = folder / CONFIG_FILE
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST_FILE).decode().removeprefix("\ufeff")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no text in UTF-8: {error.reason}") from error


def _write(folder: Path, text: str) -> None:
    path = folder / CONFIG_FILE
    try:
        write_file(path, text.encode())
    except OSError as error:
        raise ConfigError(f"{path} can't be written: {error.strerror}") from error
