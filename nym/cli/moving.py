"""`provider export` and `provider import` move a provider to another machine, in one file."""

from pathlib import Path

from nym.cli import Options
from nym.cli.control import is_running
from nym.cli.homes import PROVIDER, check_unused, existing, home
from nym.cli.output import say
from nym.errors import ArchiveError, FolderInUseError, IdentityError
from nym.files import exists, os_errors_as
from nym.nodes import moving
from nym.nodes.inboxes.local import open_stored


def export_provider(options: Options) -> int:
    """Write a provider that doesn't run to a new file."""
    place, path = existing(options["--id"], [PROVIDER]), Path(options["FILE"])
    if is_running(place):
        raise FolderInUseError(place.folder)
    with os_errors_as(ArchiveError, f"{path} can't be written"):
        count = moving.export_provider(place.folder, open_stored, path)
    say(
        f"{path} has the {place}, with its keys and {count} clients. Don't start it here again: "
        "clients would find only a part of their messages"
    )
    return 0


def import_provider(options: Options) -> int:
    """Make a provider from a file."""
    place, path = home(PROVIDER, options["--id"]), Path(options["FILE"])
    check_unused(place)
    with os_errors_as(ArchiveError, f"{path} can't be imported"):
        if exists(place.folder):
            raise IdentityError(f"there is a {place} already; choose another --id")
        count = moving.import_provider(path, place.folder, open_stored)
    say(f"the {place} is here now, with {count} clients; start it with: {place.start}")
    return 0
