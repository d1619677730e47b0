"""Opens the inboxes of a provider where its settings say that they are."""

from pathlib import Path

from nym.config.nodes import InboxSettings
from nym.nodes.inboxes import DEFAULT
from nym.nodes.inboxes.local import open_stored
from nym.nodes.inboxes.shared import SharedInboxes
from nym.nodes.inboxes.stored import StoredInboxes
from nym.wire.postgresql import parse_database_url


def open_at(store: str, folder: Path, settings: InboxSettings = DEFAULT) -> StoredInboxes:
    """Return those in the database with this URL, or in the folder if there is none.

    Raises StoreError, FolderInUseError.
    """
    if not store:
        return open_stored(folder, settings)
    # Few providers need the driver, which takes memory and time.
    from nym.nodes.inboxes.postgresql import PostgresEngine

    return SharedInboxes(PostgresEngine(parse_database_url(store)), settings)
