"""`provider export` and `provider import` move a provider to another machine, in one file."""

from functools import partial
from pathlib import Path

from nym.cli import Options
from nym.cli.control import is_running
from nym.cli.homes import PROVIDER, check_unused, existing, home
from nym.cli.options import checked
from nym.cli.output import say
from nym.config.checks import check_store_or_none
from nym.config.file import load_settings
from nym.config.nodes import ProviderConfig
from nym.errors import ArchiveError, FolderInUseError, IdentityError
from nym.files import exists, os_errors_as
from nym.nodes import moving
from nym.nodes.inboxes.places import open_at


def export_provider(options: Options) -> int:
    """Write a stopped provider to a new file."""
    place, path = existing(options["--id"], [PROVIDER]), Path(options["FILE"])
    if is_running(place):
        raise FolderInUseError(place.folder)
    store = load_settings(place.folder, ProviderConfig).provider.store
    with os_errors_as(ArchiveError, f"{path} can't be written"):
        count = moving.export_provider(place.folder, partial(open_at, store), path)
    say(
        f"{path} has the {place}, with its keys and {count} clients. Don't start it here again: "
        "clients would find only a part of their messages"
    )
    return 0


def import_provider(options: Options) -> int:
    """Make a provider from a file."""
    place, path = home(PROVIDER, options["--id"]), Path(options["FILE"])
    check_unused(place)
    store = options.get("--store") or ""
    checked("--store", store, check_store_or_none)
    with os_errors_as(ArchiveError, f"{path} can't be imported"):
        if exists(place.folder):
            raise IdentityError(f"there is a {place} already; choose another --id")
        count = moving.import_provider(path, place.folder, store)
    say(f"the {place} is here now, with {count} clients; start it with: {place.start}")
    return 0
