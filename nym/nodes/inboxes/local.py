"""Opens the inboxes of a provider that has this machine to itself."""

from pathlib import Path

from nym.config.nodes import InboxSettings
from nym.errors import StoreError
from nym.files import make_folder, os_errors_as
from nym.nodes.inboxes import DEFAULT, Inboxes
from nym.nodes.inboxes.folder import take_over
from nym.nodes.inboxes.memory import MemoryInboxes
from nym.nodes.inboxes.sqlite import SqliteEngine
from nym.nodes.inboxes.stored import StoredInboxes

_OLD = "inboxes"  # the folder in which earlier versions kept messages


def open_inboxes(folder: Path | None, settings: InboxSettings = DEFAULT) -> Inboxes:
    """Return the inboxes in a provider's folder, or in memory if it has none.

    Raises StoreError, FolderInUseError.
    """
    return MemoryInboxes(settings) if folder is None else open_stored(folder, settings)


def open_stored(folder: Path, settings: InboxSettings = DEFAULT) -> StoredInboxes:
    """Return the inboxes in a provider's folder. Raises StoreError, FolderInUseError."""
    with os_errors_as(StoreError, f"{folder} can't be used"):
        make_folder(folder)
    inboxes = StoredInboxes(SqliteEngine(folder), settings)
    try:
        take_over(inboxes, folder / _OLD)
    except BaseException:
        inboxes.close()
        raise
    return inboxes
