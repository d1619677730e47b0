"""Turns options of the command line into checked values, and finds the clients' folders."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from nym.config.checks import check_id
from nym.errors import ConfigError, IdentityError, UsageError
from nym.files import os_errors_as

Value = TypeVar("Value")

# How the name of a folder begins while its client is being deleted. If that is interrupted, the
# folder that is left over is not listed as a client.
REMOVED = ".deleted-"


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


def client_folder(client_id: str) -> Path:
    """The folder of one client. Raises UsageError for an id that can't be a folder's name."""
    checked("--id", client_id, check_id)
    return clients_folder() / client_id


def clients_folder() -> Path:
    """The folder that has a folder for each client of this user."""
    return nym_folder() / "clients"


def known_ids() -> list[str]:
    """The ids of this user's clients, in order. Raises ConfigError."""
    folder = clients_folder()
    with os_errors_as(ConfigError, f"{folder} can't be read"):
        if not folder.is_dir():
            return []
        return sorted(path.name for path in folder.iterdir() if path.is_dir() and _is_id(path.name))


def no_client() -> str:
    """What to tell a user who has none."""
    return f"there is no client in {clients_folder()}; make one with: nym-client init --id ID"


def only_client() -> str:
    """The id of this user's client if there is only one. Raises IdentityError, UsageError.

    If there are several, no default is guessed: the command might send under the wrong name.
    """
    match known_ids():
        case [only]:
            return only
        case []:
            raise IdentityError(no_client())
        case several:
            raise UsageError(f"--id ID is missing; there are {', '.join(several)}")


def _is_id(name: str) -> bool:
    try:
        check_id(name)
    except ValueError:
        return False
    return not name.startswith(REMOVED)


def checked(name: str, value: Value, check: Callable[[Value], None]) -> Value:
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
