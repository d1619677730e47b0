"""Reads, writes and changes config.toml in the folder of a client or a node.

`kind` is the class with the settings of the program that the folder belongs to. Every function
raises ConfigError for a file that can't be read or written, or has a mistake in it.
"""

from collections.abc import Callable
from pathlib import Path

from nym.config import Config
from nym.config.setting import Sections, Settings, defaults_for
from nym.config.text import (
    change_text,
    format_config,
    parse_config,
    parse_toml,
    remove_from_text,
)
from nym.errors import ConfigError
from nym.files import locked, os_errors_as, read_errors_as, read_text, write_file

CONFIG_FILE = "config.toml"
_LONGEST_FILE = 1 << 20  # bytes; `init` writes less than 3 KiB


def load_config(folder: Path) -> Config:
    """Read a client's settings; see load_settings."""
    return load_settings(folder, Config)


def load_settings(folder: Path, kind: type[Settings]) -> Settings:
    """Read the settings in `folder`; those that the file leaves out have their defaults."""
    text = _read(folder) or ""
    return parse_config(text, str(folder / CONFIG_FILE), _defaults(folder, kind))


def settings_in_file(folder: Path, kind: type[Sections] = Config) -> frozenset[str]:
    """The keys, such as "socket.port", that config.toml sets."""
    load_settings(folder, kind)  # for the errors it raises
    text = _read(folder) or ""
    return frozenset(
        f"{section}.{name}" for section, table in parse_toml(text).items() for name in table
    )


def change_setting(folder: Path, key: str, value: str, kind: type[Sections] = Config) -> None:
    """Set one key of config.toml, and leave the rest of the file, with its comments, as it is.

    `value` is written as in the file, but a text may be without its quotes. Raises LockedError if
    another process holds the folder's lock for too long.
    """
    missing = format_config(_defaults(folder, kind))
    _change(folder, lambda text: change_text(text, key, value, kind), missing, kind)


def remove_setting(folder: Path, key: str, kind: type[Sections] = Config) -> None:
    """Remove one key from config.toml, so that its default applies. Raises LockedError, too."""
    _change(folder, lambda text: remove_from_text(text, key, kind), "", kind)


def _change(folder: Path, edit: Callable[[str], str], missing: str, kind: type[Sections]) -> None:
    """Edit config.toml; `missing` is the text to begin with if there is no file."""
    # Imported here because it loads slowly, and before the lock, for which others may wait.
    import tomlkit  # noqa: F401

    # Without the lock, two commands could read the same text, and the later write would undo the
    # change of the earlier one.
    with os_errors_as(ConfigError, f"{folder / CONFIG_FILE} can't be changed"), locked(folder):
        load_settings(folder, kind)  # raises for a mistake, so a file that has one is not changed
        text = _read(folder)
        changed = edit(missing if text is None else text)
        if changed != (text or ""):
            _write(folder, changed)


def save_config(config: Sections, folder: Path) -> None:
    """Write config.toml, in the place of one that exists."""
    _write(folder, format_config(config))


def _defaults(folder: Path, kind: type[Settings]) -> Settings:
    # The id belongs to the folder: a copied or hand-written file without one gets the right one.
    return defaults_for(kind, folder.name)


def _read(folder: Path) -> str | None:
    """The file's text; None where there is none."""
    path = folder / CONFIG_FILE
    with read_errors_as(ConfigError, path):
        try:
            return read_text(path, _LONGEST_FILE)
        except FileNotFoundError:
            return None


def _write(folder: Path, text: str) -> None:
    path = folder / CONFIG_FILE
    with os_errors_as(ConfigError, f"{path} can't be written"):
        write_file(path, text.encode())
