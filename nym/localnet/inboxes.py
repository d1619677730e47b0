"""What a provider keeps for its clients: in memory, or in a folder, one file a message."""

import time
from pathlib import Path
from typing import Protocol

from nym.errors import RemoteFormatError
from nym.files import make_folder, write_file
from nym.wire.keys import decode_base58, encode_base58

MOST_CLIENTS = 10_000
MOST_MESSAGES = 10_000  # for one client


class Inboxes(Protocol):
    """One inbox a client; a client without one isn't registered here."""

    def clients(self) -> list[bytes]:
        """The addresses that have an inbox."""

    def open(self, client: bytes) -> None:
        """Make an inbox, if there is none. Raises RemoteFormatError where there are too many."""

    def put(self, client: bytes, message: bytes) -> None:
        """Keep a message. Raises RemoteFormatError for a client without an inbox, or a full one."""

    def take(self, client: bytes, most: int) -> list[bytes]:
        """Up to `most` messages; they are gone from the inbox. Raises RemoteFormatError."""


class MemoryInboxes:
    """Gone with the process."""

    def __init__(self) -> None:
        self._messages: dict[bytes, list[bytes]] = {}

    def clients(self) -> list[bytes]:
        """See Inboxes."""
        return list(self._messages)

    def open(self, client: bytes) -> None:
        """See Inboxes."""
        if client not in self._messages and len(self._messages) >= MOST_CLIENTS:
            raise RemoteFormatError(f"there are {MOST_CLIENTS} clients already")
        self._messages.setdefault(client, [])

    def put(self, client: bytes, message: bytes) -> None:
        """See Inboxes."""
        inbox = self._inbox(client)
        if len(inbox) >= MOST_MESSAGES:
            raise RemoteFormatError("a message to a client whose inbox is full")
        inbox.append(message)

    def take(self, client: bytes, most: int) -> list[bytes]:
        """See Inboxes."""
        inbox = self._inbox(client)
        taken, inbox[:most] = inbox[:most], []
        return taken

    def _inbox(self, client: bytes) -> list[bytes]:
        try:
            return self._messages[client]
        except KeyError as error:
            raise RemoteFormatError("a client that is not registered here") from error


class FolderInboxes:
    """A folder a client, named by its address in base58; a file a message."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        make_folder(folder)

    def clients(self) -> list[bytes]:
        """See Inboxes."""
        return [
            decode_base58(path.name) for path in sorted(self._folder.iterdir()) if path.is_dir()
        ]

    def open(self, client: bytes) -> None:
        """See Inboxes."""
        path = self._path(client)
        if not path.is_dir() and len(self.clients()) >= MOST_CLIENTS:
            raise RemoteFormatError(f"there are {MOST_CLIENTS} clients already")
        make_folder(path)

    def put(self, client: bytes, message: bytes) -> None:
        """See Inboxes."""
        if len(self._waiting(client)) >= MOST_MESSAGES:
            raise RemoteFormatError("a message to a client whose inbox is full")
        write_file(self._path(client) / f"{time.time_ns():020}", message)

    def take(self, client: bytes, most: int) -> list[bytes]:
        """See Inboxes."""
        messages = []
        for path in self._waiting(client)[:most]:
            messages.append(path.read_bytes())
            path.unlink()
        return messages

    def _path(self, client: bytes) -> Path:
        return self._folder / encode_base58(client)

    def _waiting(self, client: bytes) -> list[Path]:
        # A name that begins with a dot is a file that is being written.
        try:
            return sorted(p for p in self._path(client).iterdir() if p.name[0] != ".")
        except FileNotFoundError as error:
            raise RemoteFormatError("a client that is not registered here") from error
