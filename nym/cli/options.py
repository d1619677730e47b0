"""Options of the command line to values, and where a client lives."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from nym.config.checks import check_id
from nym.errors import ConfigError, UsageError

Value = TypeVar("Value")


def nym_folder() -> Path:
    """`nym` in the user's configuration folder, as XDG has it; relative ones don't count."""
    configured = os.environ.get("XDG_CONFIG_HOME", "")
    if os.path.isabs(configured):
        return Path(configured) / "nym"
    try:
        return Path.home() / ".config" / "nym"
    except RuntimeError as error:
        raise ConfigError(
            "this user has no home; set XDG_CONFIG_HOME to a folder for the client"
        ) from error


def client_folder(client_id: str) -> Path:
    """The folder of one client. Raises UsageError for an id that can't be a folder's name."""
    checked("--id", client_id, check_id)
    return nym_folder() / "clients" / client_id


def checked(name: str, value: Value, check: Callable[[Value], None]) -> Value:
    """`value`, if `check` doesn't raise ValueError. Raises UsageError."""
    try:
        check(value)
    except ValueError as error:
        raise UsageError(f"{name} {value}: {error}") from error
    return value


def number(name: str, text: str, lowest: int, highest: int) -> int:
    """A whole number within limits. Raises UsageError."""
    is_number = text.isascii() and text.isdigit() and len(text) < 20
    if not (is_number and lowest <= int(text) <= highest):
        raise UsageError(f"{name} {text}: a whole number from {lowest} to {highest}")
    return int(text)
