"""`list` and `delete`: the clients of this user."""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

from nym.cli import Options
from nym.cli.control import existing_folder, is_running
from nym.cli.options import REMOVED, client_folder, known_ids, no_client
from nym.cli.output import complain, say
from nym.errors import ConfigError, NymError, UsageError
from nym.files import locked, os_errors_as
from nym.identity import load_identity
from nym.store.aside import FILE, held


class _Listed(NamedTuple):
    """What `list` shows of a client; `address` is None if there is a `problem` with its keys."""

    id: str
    address: str | None
    running: bool
    problem: str | None


def list(options: Options) -> int:
    """Print each client with its state and its address."""
    listed = [_look(name) for name in known_ids()]
    if options["--json"]:
        say(json.dumps([client._asdict() for client in listed]))
        return 0
    if not listed:
        complain(no_client())
    width = max((len(client.id) for client in listed), default=0)
    for client in listed:
        state = "running" if client.running else "stopped"
        say(f"{client.id:<{width}}  {state}  {client.address or client.problem}")
    return 0


def _look(client_id: str) -> _Listed:
    folder = client_folder(client_id)
    runs = is_running(folder)
    try:
        return _Listed(client_id, load_identity(folder).address, runs, None)
    except NymError as error:
        return _Listed(client_id, None, runs, str(error))


def delete(options: Options) -> int:
    """Delete a client, after the user has agreed."""
    folder = existing_folder(options["--id"])
    if folder.is_symlink():
        raise ConfigError(f"{folder} is a link; delete the folder that it leads to, then the link")
    _check_stopped(folder)
    if not (options["--yes"] or _agrees(folder)):
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
    complain(f'the client "{folder.name}" was deleted')
    return 0


class RunningError(NymError):
    """A client can't be deleted while it runs."""


def _check_stopped(folder: Path) -> None:
    if is_running(folder):
        raise RunningError(f'the client "{folder.name}" runs; stop it first. Nothing was deleted')


def _agrees(folder: Path) -> bool:
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError(
            f"nothing was deleted: delete asks first, which needs a terminal. It would delete "
            f"{folder}"
        )
    complain(
        f'This deletes the client "{folder.name}" in {folder}: its keys, its settings and its '
        "messages. Nobody can bring its address back.\n"
        f"Type its name, {folder.name}, to delete it:"
    )
    return sys.stdin.readline().rstrip("\n") == folder.name
