"""The messages that a provider keeps for its clients: in memory, or in a folder.

The limits are the same for both. In a folder, messages outlast the process.
"""

import logging
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Generic, TypeVar

from nym.errors import InboxFullError, NoInboxError, RemoteFormatError, StoreError
from nym.files import is_folder, make_folder
from nym.net.descriptors import lack_of_descriptors
from nym.net.watch import Outage
from nym.wire.keys import decode_base58, encode_base58

MOST_CLIENTS = 10_000
MOST_MESSAGES = 10_000  # per client

Kept = TypeVar("Kept")

log = logging.getLogger(__name__)


class Inboxes(ABC, Generic[Kept]):
    """One inbox per client; a client without one isn't registered here.

    All methods raise StoreError if the disk fails, and DescriptorsError if no file can be opened.
    The inboxes are then as they were before.
    """

    def __init__(self) -> None:
        self._messages: dict[bytes, deque[Kept]] = {}

    def clients(self) -> list[bytes]:
        """The addresses that have an inbox."""
        return list(self._messages)

    def count(self) -> int:
        """How many messages there are."""
        return sum(map(len, self._messages.values()))

    def __len__(self) -> int:
        return len(self._messages)

    def open(self, client: bytes) -> None:
        """Make an inbox, if there is none. Raises RemoteFormatError if there are too many."""
        if client in self._messages:
            return
        if len(self._messages) >= MOST_CLIENTS:
            raise RemoteFormatError(f"there are {MOST_CLIENTS} clients already")
        self._make(client)  # before the client counts as registered: this can fail
        self._messages[client] = deque()

    def put(self, client: bytes, message: bytes) -> None:
        """Keep a message. Raises NoInboxError, InboxFullError."""
        inbox = self._inbox(client)
        if len(inbox) >= MOST_MESSAGES:
            raise InboxFullError("a message to a client whose inbox is full")
        inbox.append(self._keep(client, message))

    def take(self, client: bytes, most: int) -> list[bytes]:
        """Remove up to `most` messages from the inbox, oldest first. Raises NoInboxError."""
        inbox = self._inbox(client)
        kept = list(islice(inbox, most))
        # All are read before the first is deleted: if one can't be read, none is lost.
        messages = [self._read(one) for one in kept]
        for one in kept:
            self._delete(one)
            inbox.popleft()
        return [message for message in messages if message is not None]

    def _inbox(self, client: bytes) -> deque[Kept]:
        try:
            return self._messages[client]
        except KeyError as error:
            raise NoInboxError("the client isn't registered here") from error

    @abstractmethod
    def _make(self, client: bytes) -> None:
        """Make the place for a new client's messages."""

    @abstractmethod
    def _keep(self, client: bytes, message: bytes) -> Kept:
        """Keep a message; returns what `_read` and `_delete` take for it."""

    @abstractmethod
    def _read(self, kept: Kept) -> bytes | None:
        """The message; None if somebody else has deleted it."""

    @abstractmethod
    def _delete(self, kept: Kept) -> None:
        """Delete a message that was read. Raises nothing: it is handed over in any case."""


class MemoryInboxes(Inboxes[bytes]):
    """Inboxes in memory, which are gone when the process ends."""

    def _make(self, client: bytes) -> None:
        pass

    def _keep(self, client: bytes, message: bytes) -> bytes:
        return message

    def _read(self, kept: bytes) -> bytes:
        return kept

    def _delete(self, kept: bytes) -> None:
        pass


class FolderInboxes(Inboxes[Path]):
    """Inboxes in a folder: one folder per client, named by its address, with one file per message.

    The folder is read once, at the start. After that, the list in memory says what is there.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._deleting = Outage(
            log, str(folder), "after a restart, clients get these messages a second time"
        )
        make_folder(folder)
        for path in sorted(folder.iterdir()):
            if is_folder(path):
                # A name that begins with a dot is that of a message whose writing was interrupted.
                # The other names are times, so that sorting gives the order of arrival.
                messages = sorted(p for p in path.iterdir() if p.name[0] != ".")
                self._messages[decode_base58(path.name)] = deque(messages)

    def _make(self, client: bytes) -> None:
        with self._disk():
            make_folder(self._folder / encode_base58(client))

    def _keep(self, client: bytes, message: bytes) -> Path:
        path = self._folder / encode_base58(client) / f"{time.time_ns():020}"
        # Written under another name and then renamed, so that no reader finds half a message.
        partial = path.with_name(f".{path.name}")
        with self._disk():
            try:
                partial.write_bytes(message)
                partial.rename(path)
            except BaseException:
                # On a full disk the part that was written would take room, and nobody reads it.
                partial.unlink(missing_ok=True)
                raise
        return path

    def _read(self, kept: Path) -> bytes | None:
        with self._disk(), suppress(FileNotFoundError):
            return kept.read_bytes()
        return None

    def _delete(self, kept: Path) -> None:
        try:
            kept.unlink(missing_ok=True)
            self._deleting.ends()
        except OSError as error:
            self._deleting.begins(StoreError(f"messages can't be deleted: {error.strerror}"))

    @contextmanager
    def _disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            lack = lack_of_descriptors(error)
            raise lack or StoreError(f"{self._folder} can't be used: {error.strerror}") from error
