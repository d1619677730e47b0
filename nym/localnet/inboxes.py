"""What a provider keeps for its clients: in memory, or in a folder, one file per message."""

import logging
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Generic, TypeVar

from nym.errors import RemoteFormatError, StoreError
from nym.files import make_folder
from nym.net.descriptors import lack_of_descriptors
from nym.net.watch import Outage
from nym.wire.keys import decode_base58, encode_base58

MOST_CLIENTS = 10_000
MOST_MESSAGES = 10_000  # for one client

Kept = TypeVar("Kept")

log = logging.getLogger(__name__)


class Inboxes(ABC, Generic[Kept]):
    """One inbox per client; a client without one isn't registered here.

    All methods raise StoreError or DescriptorsError where the disk is in the way; inboxes are then
    as they were.
    """

    def __init__(self) -> None:
        self._messages: dict[bytes, deque[Kept]] = {}

    def clients(self) -> list[bytes]:
        """The addresses that have an inbox."""
        return list(self._messages)

    def open(self, client: bytes) -> None:
        """Make an inbox, if there is none. Raises RemoteFormatError where there are too many."""
        if client in self._messages:
            return
        if len(self._messages) >= MOST_CLIENTS:
            raise RemoteFormatError(f"there are {MOST_CLIENTS} clients already")
        self._make(client)
        self._messages[client] = deque()

    def put(self, client: bytes, message: bytes) -> None:
        """Keep a message. Raises RemoteFormatError for a client without an inbox, or a full one."""
        inbox = self._inbox(client)
        if len(inbox) >= MOST_MESSAGES:
            raise RemoteFormatError("a message to a client whose inbox is full")
        inbox.append(self._keep(client, message))

    def take(self, client: bytes, most: int) -> list[bytes]:
        """Up to `most` messages; they are gone from the inbox. Raises RemoteFormatError."""
        inbox = self._inbox(client)
        kept = list(islice(inbox, most))
        messages = [self._read(one) for one in kept]  # all of them, before any is deleted
        for one in kept:
            self._delete(one)
            inbox.popleft()
        return [message for message in messages if message is not None]

    def _inbox(self, client: bytes) -> deque[Kept]:
        try:
            return self._messages[client]
        except KeyError as error:
            raise RemoteFormatError("a client that is not registered here") from error

    @abstractmethod
    def _make(self, client: bytes) -> None:
        """Where a new client's messages will be."""

    @abstractmethod
    def _keep(self, client: bytes, message: bytes) -> Kept:
        """What stands for a message from now on."""

    @abstractmethod
    def _read(self, kept: Kept) -> bytes | None:
        """The message; None where somebody else has deleted it."""

    @abstractmethod
    def _delete(self, kept: Kept) -> None:
        """Keep it no longer. Raises nothing: it was read, and is handed over."""


class MemoryInboxes(Inboxes[bytes]):
    """Gone with the process."""

    def _make(self, client: bytes) -> None:
        pass

    def _keep(self, client: bytes, message: bytes) -> bytes:
        return message

    def _read(self, kept: bytes) -> bytes:
        return kept

    def _delete(self, kept: bytes) -> None:
        pass


class FolderInboxes(Inboxes[Path]):
    """A folder a client, named by its address in base58; a file a message.

    Which there are is read once; after that it is known.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._deleting = Outage(log, str(folder), "what was handed over comes again at a restart")
        make_folder(folder)
        for path in sorted(folder.iterdir()):
            if path.is_dir():
                # A name that begins with a dot is a file that was being written.
                messages = sorted(p for p in path.iterdir() if p.name[0] != ".")
                self._messages[decode_base58(path.name)] = deque(messages)

    def _make(self, client: bytes) -> None:
        with self._disk():
            make_folder(self._folder / encode_base58(client))

    def _keep(self, client: bytes, message: bytes) -> Path:
        path = self._folder / encode_base58(client) / f"{time.time_ns():020}"
        partial = path.with_name(f".{path.name}")
        with self._disk():
            try:
                partial.write_bytes(message)
                partial.rename(path)
            except BaseException:
                partial.unlink(missing_ok=True)  # it takes room, and nobody reads it
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
