"""What a setting is, and what can be done with all settings of one program.

The settings of a program are a dataclass derived from Sections. Its fields are the sections of
config.toml. Each section is a dataclass whose fields are made by `setting`, so these dataclasses
are the only list of settings. config.toml with its comments, the checks, and the set of settings
that a reload changes are made from them.
"""

from collections.abc import Callable, Iterator, Mapping
from copy import copy
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, NamedTuple, TypeVar

from nym.config import checks

Value = str | bool | int | float | list[str]
_Value = TypeVar("_Value", bound=Value)
Settings = TypeVar("Settings", bound="Sections")


def setting(
    default: _Value,
    comment: str,
    check: Callable[[_Value], None] = checks.any_value,
    *,
    is_reloadable: bool = False,
) -> _Value:
    """A dataclass field that is one setting.

    `comment` stands behind the key in config.toml. `is_reloadable` means that a running program
    takes over a new value; other changes take effect at the next start.
    """
    about = {"comment": comment, "check": check, "is_reloadable": is_reloadable}
    if isinstance(default, list):
        # Dataclasses refuse a list as a default, because all instances would share it.
        return field(default_factory=lambda: copy(default), metadata=about)
    return field(default=default, metadata=about)


@dataclass(frozen=True)
class Sections:
    """All settings of a program, by section. The first section has the program's `id`."""

    def conflict(self) -> tuple[str, str] | None:
        """The key of a setting that others exclude, and the reason; None if there is none."""
        return None


class Setting(NamedTuple):
    """One setting, with all that the dataclasses say about it."""

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


def settings_of(kind: type[Sections]) -> dict[str, Setting]:
    """Every setting of this kind of program, by its key."""
    return {setting.key: setting for setting in _all_settings(kind)}


def _all_settings(kind: type[Sections]) -> Iterator[Setting]:
    defaults = kind()
    for section in fields(defaults):
        yield from settings_in(section.name, getattr(defaults, section.name))


def settings_in(section: str, defaults: Any) -> Iterator[Setting]:
    """The settings of one section, whose fields are made by `setting`."""
    for known in fields(defaults):
        yield Setting(section, known.name, getattr(defaults, known.name), **known.metadata)


def reloadable_of(kind: type[Sections]) -> frozenset[str]:
    """The keys of the settings that a running program of this kind takes over."""
    return frozenset(key for key, known in settings_of(kind).items() if known.is_reloadable)


def values_of(config: Sections) -> dict[str, Value]:
    """The value of each setting, by its key."""
    return {
        f"{section}.{name}": value
        for section, values in asdict(config).items()
        for name, value in values.items()
    }


def with_values(config: Settings, values: Mapping[str, Value]) -> Settings:
    """A copy of `config` in which the settings with these keys have these values."""
    known = settings_of(type(config))
    for key, value in values.items():
        section = replace(getattr(config, known[key].section), **{known[key].name: value})
        config = replace(config, **{known[key].section: section})
    return config


def defaults_for(kind: type[Settings], name: str) -> Settings:
    """The settings of a program that is called `name` and has changed none."""
    key = next(iter(settings_of(kind)))  # its id comes first
    return with_values(kind(), {key: name})
