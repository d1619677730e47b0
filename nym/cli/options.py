"""Turns options of the command line into checked values, and finds this user's folder."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from nym.errors import ConfigError, UsageError

Value = TypeVar("Value")


def nym_folder() -> Path:
    """The folder `nym` in the user's configuration folder. Raises ConfigError.

    A relative path in XDG_CONFIG_HOME is ignored, as XDG's specification demands.
    """
    configured = os.environ.get("XDG_CONFIG_HOME", "")
    if os.path.isabs(configured):
        return Path(configured) / "nym"
    try:
        return Path.home() / ".config" / "nym"
    except RuntimeError as error:
        raise ConfigError(
            "this user has no home folder; set XDG_CONFIG_HOME to a folder for the client"
        ) from error


def checked(name: str, value: Value, check: Callable[[Value], object]) -> Value:
    """`value`, if `check` doesn't raise ValueError. Raises UsageError."""
    try:
        check(value)
    except ValueError as error:
        raise UsageError(f"{name} {value}: {error}") from error
    return value


def number(name: str, text: str, lowest: int, highest: int) -> int:
    """A whole number within limits. Raises UsageError."""
    # int() also accepts signs, spaces, underscores and the digits of other scripts. A number with
    # thousands of digits would make it raise an error of its own.
    is_number = text.isascii() and text.isdigit() and len(text) < 20
    if not (is_number and lowest <= int(text) <= highest):
        raise UsageError(f"{name} {text}: it must be a whole number from {lowest} to {highest}")
    return int(text)
