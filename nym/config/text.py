"""Turns the text of config.toml into settings, and back; errors name the line.

tomllib reads. tomlkit, which keeps comments but loads slowly, only changes a file. Its result is
read again and compared with what was wanted, because it can't change every form of TOML correctly.
"""

import json
import tomllib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

from nym.config import DEFAULT_DIRECTORY
from nym.config.setting import (
    Sections,
    Setting,
    Settings,
    Value,
    settings_of,
    values_of,
    with_values,
)
from nym.errors import ConfigError

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

Read = TypeVar("Read")

_HEADER_NOTES = {
    "traffic": "  # seconds; the first three are averages (exponential), the last two are fixed"
}
_DIRECTORY = "client.directory"
# Earlier versions of `init` wrote this line whether or not the user had named a directory. Its
# comment promises a local network, so a client with this line still gets one: the line counts as
# an empty `directory`. These bytes are in existing files, so they must not change.
_NOT_NAMED_COMMENT = (
    "with this default, and nothing there, a local network is started inside the client"
)
_NOT_NAMED = f'directory = "{DEFAULT_DIRECTORY}" # {_NOT_NAMED_COMMENT}'
_KINDS: dict[type, str] = {
    str: "a text in quotes",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "a list of texts",
}


def parse_toml(text: str) -> dict[str, Any]:
    """The tables in a TOML text. Raises ValueError for a text that isn't TOML."""
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


class MistakeError(Exception):
    """A mistake in the tables, with the names of the tables and the key where it is.

    Without names, it is one of the whole.
    """

    def __init__(self, reason: str, *path: str) -> None:
        super().__init__(reason)
        self.path = path


def parse_config(text: str, name: str, others: Settings) -> Settings:
    """The settings in the text of a file called `name`; `others` has those that it leaves out.

    Raises ConfigError, which names the file and the line.
    """

    def read(tables: dict[str, Any]) -> Settings:
        known = settings_of(type(others))
        values = dict(_values(tables, known))
        # Compared word by word, because `init` aligned the comments with spaces.
        if _DIRECTORY in known and any(
            line.split() == _NOT_NAMED.split() for line in text.splitlines()
        ):
            values[_DIRECTORY] = ""
        config = with_values(others, values)
        _check_together(config)
        return config

    return parse_tables(text, name, read)


def parse_tables(text: str, name: str, read: Callable[[dict[str, Any]], Read]) -> Read:
    """What `read`, which may raise MistakeError, makes of the tables in a file called `name`.

    Raises ConfigError, which names the file and the line.
    """
    try:
        return read(parse_toml(text))
    except ValueError as error:
        raise ConfigError(f"{name} is no TOML: {error}") from error
    except MistakeError as mistake:
        line = f", line {line_of(text, *mistake.path)}" if mistake.path else ""
        raise ConfigError(f"{name}{line}: {mistake}") from mistake


def _check_together(config: Sections) -> None:
    """Raises MistakeError for settings that exclude each other."""
    if conflict := config.conflict():
        key, reason = conflict
        raise MistakeError(reason, *key.split("."))


def _values(tables: dict[str, Any], settings: Mapping[str, Setting]) -> Iterator[tuple[str, Value]]:
    """Yield each (key, value), once it has been checked. Raises MistakeError."""
    for section, table in tables.items():
        known = {known.name: known for known in settings.values() if known.section == section}
        if not known:
            sections = dict.fromkeys(setting.section for setting in settings.values())
            raise MistakeError(f"unknown section [{section}]; known are {_list(sections)}", section)
        for name, value in values_in(table, known, section):
            yield known[name].key, value


def values_in(
    table: object, known: Mapping[str, Setting], *path: str
) -> Iterator[tuple[str, Value]]:
    """Yield each (name, value) of the table at `path`, once it has been checked.

    `known` has the settings by their names. Raises MistakeError.
    """
    section = ".".join(path)
    if not isinstance(table, dict):
        raise MistakeError(f"{section} is a section: write [{section}]", *path)
    for name, value in table.items():
        if name not in known:
            raise MistakeError(
                f"unknown key {name} in [{section}]; known are {_list(known)}", *path, name
            )
        try:
            yield name, checked(known[name], value)
        except ValueError as error:
            raise MistakeError(f"{name} = {_toml(value)}: {error}", *path, name) from error


def format_config(config: Sections) -> str:
    """The text of config.toml, with a comment behind each key."""
    values, known = values_of(config), settings_of(type(config)).values()
    lines = []
    for section, settings in groupby(known, attrgetter("section")):
        lines.append(f"[{section}]{_HEADER_NOTES.get(section, '')}")
        lines += [format_setting(setting, values[setting.key]) for setting in settings]
        lines.append("")
    return "\n".join(lines)


def format_setting(setting: Setting, value: Value) -> str:
    """The line of a file that sets this value, with its comment if it has one."""
    pair = f"{setting.name} = {_toml(value)}"
    return f"{pair:<46} # {setting.comment}" if setting.comment else pair


def change_text(text: str, key: str, value: str, kind: type[Sections]) -> str:
    """`text` with another value for one key; the rest, with its comments, stays as it is.

    `value` is written as in the file, but a text may be without its quotes. Raises ConfigError.
    """
    setting = setting_named(key, kind)
    try:
        new = checked(setting, _read_value(setting, value))
    except ValueError as error:
        raise ConfigError(f"{key} = {value}: {error}") from error

    def put(document: "TOMLDocument") -> None:
        document.setdefault(setting.section, {})[setting.name] = new

    return _edited(text, setting, new, put, f"with {key} = {value}", kind)


def remove_from_text(text: str, key: str, kind: type[Sections]) -> str:
    """`text` without a value for one key; everything else stays. Raises ConfigError."""
    setting = setting_named(key, kind)

    def remove(document: "TOMLDocument") -> None:
        document.get(setting.section, {}).pop(setting.name, None)

    return _edited(text, setting, setting.default, remove, f"without {key}", kind)


def _edited(
    text: str,
    setting: Setting,
    value: Value,
    edit: Callable[["TOMLDocument"], None],
    name: str,
    kind: type[Sections],
) -> str:
    """`text` after `edit`, which gives the setting this value; `name` is for errors.

    Raises ConfigError if tomlkit can't change the text, or changes anything else.
    """
    import tomlkit  # here, because it loads slowly and is seldom needed
    from tomlkit.exceptions import TOMLKitError

    try:
        document = tomlkit.parse(text)
        edit(document)
        changed = tomlkit.dumps(document)
    except (TypeError, ValueError, TOMLKitError) as error:
        raise ConfigError(
            f"{setting.key}: the file has a form that can't be changed here: {error}"
        ) from error
    if setting.key == _DIRECTORY:
        # tomlkit keeps the line's comment. With the earlier comment, the default address would
        # still count as not named (_NOT_NAMED).
        changed = changed.replace(_NOT_NAMED_COMMENT, setting.comment)
    # tomlkit changes some forms wrongly, and doesn't say so. Such a result is never written.
    expected = with_values(parse_config(text, "the file", kind()), {setting.key: value})
    if parse_config(changed, name, kind()) != expected:
        raise ConfigError(
            f"{setting.key}: the file has a form that can't be changed here; use an editor"
        )
    return changed


def setting_named(key: str, kind: type[Sections]) -> Setting:
    """The setting with this key, such as "socket.port". Raises ConfigError."""
    known = settings_of(kind)
    setting = known.get(key)
    if setting is None:
        from difflib import get_close_matches  # slow to load, and needed only here

        close = get_close_matches(key, known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {_list(known)}"
        raise ConfigError(f"there is no setting {key}; {hint}")
    return setting


def checked(setting: Setting, value: object) -> Value:
    """`value`, if the setting can have it. Raises ValueError."""
    kind = type(setting.default)
    if kind is float and type(value) is int:
        value = float(value)
    # Not isinstance: True and False are instances of int, too.
    if type(value) is not kind or (isinstance(value, list) and not _are_texts(value)):
        raise ValueError(f"it must be {_KINDS[kind]}")
    setting.check(value)
    return value


def line_of(text: str, *path: str) -> int:
    """The line, counted from 1, on which a valid TOML text defines a table, or a key in it.

    `path` has the names of the tables around it, and its own. tomllib doesn't tell lines. But if
    the first lines of a text are TOML by themselves, they define everything that is defined so far.
    So this parses shorter and longer beginnings of the text, and finds by bisection the shortest
    one that defines the key.
    """
    lines = [f"{line}\n" for line in text.split("\n")]

    def beginning(end: int) -> tuple[int, dict[str, Any]]:
        """The longest valid beginning within `end` lines: its last line, and what it defines."""
        while True:
            try:
                return end, parse_toml("".join(lines[:end]))
            except ValueError:
                end -= 1  # this line is in the middle of a list or a text of several lines

    def is_defined(end: int) -> bool:
        found: object = beginning(end)[1]
        for name in path:
            if not isinstance(found, dict) or name not in found:
                return False
            found = found[name]
        return True

    # `defined` is where the definition ends. It begins behind the valid beginning before it.
    defined = bisect_left(range(len(lines)), True, key=is_defined)
    return beginning(defined - 1)[0] + 1


def _read_value(setting: Setting, text: str) -> object:
    """The value that `text` stands for behind a key; quotes may be missing. Raises ValueError."""
    kind = type(setting.default)
    if kind is str and not text.startswith(('"', "'")):
        return text
    try:
        read = parse_toml(f"value = {text}")
    except ValueError:
        read = {}
    # A text with line feeds could bring keys and sections of its own.
    if len(read) != 1:
        raise ValueError(f"it must be {_KINDS[kind]}")
    return read["value"]


def _are_texts(values: Iterable[object]) -> bool:
    return all(isinstance(value, str) for value in values)


def _toml(value: object) -> str:
    # For every value that a setting can have, JSON is valid TOML. Other values, such as nan or a
    # date, come here only for the text of an error.
    if isinstance(value, bool | int | float | str | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _list(known: Iterable[str]) -> str:
    return ", ".join(known)
