"""`list` and `delete`: the clients and nodes of this user."""

import json
import os
import shutil
import sys
from typing import NamedTuple

from nym.cli import Options
from nym.cli.control import is_running
from nym.cli.homes import ALL, CLIENT, REMOVED, Home, existing, known, none_there
from nym.cli.output import complain, say
from nym.errors import ConfigError, NymError, UsageError
from nym.files import locked, os_errors_as
from nym.identity import load_identity
from nym.signing import IDENTITY_FILE, load_signer
from nym.store.aside import FILE, held


class _Listed(NamedTuple):
    """What `list` shows of a program; `address` is None if there is a `problem` with its keys.

    The address of a node is its identity.
    """

    id: str
    role: str
    address: str | None
    running: bool
    problem: str | None


def list(options: Options) -> int:
    """Print each client and each node, with its state and its address."""
    listed = [_look(place) for place in known(ALL)]
    if options["--json"]:
        say(json.dumps([program._asdict() for program in listed]))
        return 0
    if not listed:
        complain(none_there())
    width = max((len(program.id) for program in listed), default=0)
    has_nodes = any(program.role != CLIENT.name for program in listed)
    for program in listed:
        state = "running" if program.running else "stopped"
        role = f"{program.role:<9}  " if has_nodes else ""
        say(f"{program.id:<{width}}  {role}{state}  {program.address or program.problem}")
    return 0


def _look(place: Home) -> _Listed:
    name, runs = place.folder.name, is_running(place)
    try:
        return _Listed(name, place.role.name, _address(place), runs, None)
    except NymError as error:
        return _Listed(name, place.role.name, None, runs, str(error))


def _address(place: Home) -> str:
    if place.role is CLIENT:
        return load_identity(place.folder).address
    return load_signer(place.folder / IDENTITY_FILE).address


def delete(options: Options) -> int:
    """Delete a client or a node, after the user has agreed."""
    place = existing(options["--id"], ALL)
    folder = place.folder
    if folder.is_symlink():
        raise ConfigError(f"{folder} is a link; delete the folder that it leads to, then the link")
    _check_stopped(place)
    if not (options["--yes"] or _agrees(place)):
        complain("nothing was deleted")
        return 1
    with os_errors_as(ConfigError, f"{folder} can't be deleted"):
        # The folder is renamed first, under the lock and in one step. Whatever interrupts this,
        # there is either the whole client, or none that could be started.
        doomed = folder.with_name(f"{REMOVED}{folder.name}-{os.urandom(4).hex()}")
        # `held` fails if a client has started since the check above.
        with locked(folder), held(folder / FILE):
            folder.rename(doomed)
        shutil.rmtree(doomed)
    complain(f"the {place} was deleted")
    return 0


class RunningError(NymError):
    """A program can't be deleted while it runs."""


def _check_stopped(place: Home) -> None:
    if is_running(place):
        raise RunningError(f"the {place} runs; stop it first. Nothing was deleted")


def _agrees(place: Home) -> bool:
    folder = place.folder
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError(
            f"nothing was deleted: delete asks first, which needs a terminal. It would delete "
            f"{folder}"
        )
    complain(
        f"This deletes the {place} in {folder}: its keys, its settings and its messages. Nobody "
        "can bring its address back.\n"
        f"Type its name, {folder.name}, to delete it:"
    )
    return sys.stdin.readline().rstrip("\n") == folder.name
