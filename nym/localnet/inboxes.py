"""What a provider keeps for its clients: in memory, or in a folder, one file a message."""

import time
from collections import deque
from pathlib import Path
from typing import Protocol

from nym.errors import RemoteFormatError
from nym.files import make_folder
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
    """A folder a client, named by its address in base58; a file a message.

    What is in them is read once; after that it is known.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        make_folder(folder)
        self._waiting: dict[bytes, deque[Path]] = {}
        for path in sorted(folder.iterdir()):
            if path.is_dir():
                # A name that begins with a dot is a file that was being written.
                messages = sorted(p for p in path.iterdir() if p.name[0] != ".")
                self._waiting[decode_base58(path.name)] = deque(messages)

    def clients(self) -> list[bytes]:
        """See Inboxes."""
        return list(self._waiting)

    def open(self, client: bytes) -> None:
        """See Inboxes."""
        if client in self._waiting:
            return
        if len(self._waiting) >= MOST_CLIENTS:
            raise RemoteFormatError(f"there are {MOST_CLIENTS} clients already")
        make_folder(self._folder / encode_base58(client))
        self._waiting[client] = deque()

    def put(self, client: bytes, message: bytes) -> None:
        """See Inboxes."""
        waiting = self._inbox(client)
        if len(waiting) >= MOST_MESSAGES:
            raise RemoteFormatError("a message to a client whose inbox is full")
        path = self._folder / encode_base58(client) / f"{time.time_ns():020}"
        partial = path.with_name(f".{path.name}")
        partial.write_bytes(message)
        partial.rename(path)
        waiting.append(path)

    def take(self, client: bytes, most: int) -> list[bytes]:
        """See Inboxes."""
        waiting = self._inbox(client)
        messages: list[bytes] = []
        while waiting and len(messages) < most:
            path = waiting.popleft()
            messages.append(path.read_bytes())
            path.unlink()
        return messages

    def _inbox(self, client: bytes) -> deque[Path]:
        try:
            return self._waiting[client]
        except KeyError as error:
            raise RemoteFormatError("a client that is not registered here") from error
