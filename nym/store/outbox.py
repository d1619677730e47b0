"""Messages that were accepted and are not on their way yet, or not acknowledged yet.

`accept` returns when they are on disk. They stay until whoever sends them says that they are done
or have failed.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import NamedTuple

from nym.errors import BusyError, StoreError
from nym.store.database import Change
from nym.store.journal import Journal

MOST_MESSAGES = 10_000
MOST_BYTES = 64 << 20
MOST_FAILED = 1000  # ids of failed messages that are remembered
ID_LENGTH = 16

_MESSAGE, _PROGRESS, _FAILED = "outgoing", "progress", "failed"
_HEAD = 1 + 32


class Manner(IntEnum):
    """How a message travels."""

    PLAIN = 0  # as the published client sends it
    SEALED = 1  # in an envelope, from nobody
    RELIABLE = 2  # in an envelope, acknowledged


class Outgoing(NamedTuple):
    """A message to `recipient`, an address of 32 bytes; `id` is ID_LENGTH bytes in hexadecimal."""

    id: str
    recipient: bytes
    message: bytes
    manner: Manner


class Outbox:
    """What is accepted, with limits: applications are faster than the Poisson queue."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._messages: dict[str, Outgoing] = {}
        self._bytes = 0
        self._arrived: deque[Outgoing] = deque()
        self._watchers: list[Callable[[str], None]] = []
        self._progress = dict(journal.take(_PROGRESS))
        self._failed = dict.fromkeys(entry_id for entry_id, _ in journal.take(_FAILED))
        for entry_id, body in journal.take(_MESSAGE):
            outgoing = _decode(entry_id, body)
            self._reserve(outgoing)
            self._arrived.append(outgoing)

    def __len__(self) -> int:
        return len(self._messages)

    def __contains__(self, message_id: str) -> bool:
        return message_id in self._messages

    def has_failed(self, message_id: str) -> bool:
        """Whether the message was given up."""
        return message_id in self._failed

    @property
    def failed(self) -> list[str]:
        """Ids of messages that were given up, oldest first."""
        return list(self._failed)

    def accept(self, messages: Iterable[Outgoing]) -> list[BusyError | StoreError | None]:
        """Take responsibility for messages; says of each why not. Waits for the disk, once."""
        outcomes: list[BusyError | StoreError | None] = []
        accepted: list[Outgoing] = []
        changes: list[Change] = []
        for outgoing in messages:
            if not self._has_room(outgoing):
                busy = f"busy: {len(self)} messages wait to be sent; try again in a while"
                outcomes.append(BusyError(busy))
                continue
            changes.append(Change(_MESSAGE, outgoing.id, _encode(outgoing)))
            self._reserve(outgoing)
            accepted.append(outgoing)
            outcomes.append(None)

        def written(error: StoreError | None) -> None:
            if error is None:
                self._arrived.extend(accepted)
                return
            for outgoing in accepted:
                self._release(outgoing.id)

        try:
            self._journal.write(changes, written)
        except StoreError as error:
            return [outcome or error for outcome in outcomes]
        return outcomes

    def arrivals(self) -> list[tuple[Outgoing, bytes]]:
        """Messages that are new since the last call, each with the progress that was noted."""
        arrived = [(outgoing, self._progress.pop(outgoing.id, b"")) for outgoing in self._arrived]
        self._arrived.clear()
        return arrived

    def note(self, message_id: str, progress: bytes) -> None:
        """Remember how far a message has come, for the next start."""
        self._journal.put(_PROGRESS, message_id, progress)

    def done(self, message_id: str) -> None:
        """Nothing is left to be done for this message."""
        self._release(message_id)
        self._journal.drop(_MESSAGE, message_id)
        self._journal.drop(_PROGRESS, message_id)

    def give_up(self, message_id: str) -> None:
        """The message will not arrive; its id is remembered."""
        self.done(message_id)
        for watcher in self._watchers:
            watcher(message_id)
        self._failed[message_id] = None
        self._journal.put(_FAILED, message_id, b"")
        while len(self._failed) > MOST_FAILED:
            oldest = next(iter(self._failed))
            del self._failed[oldest]
            self._journal.drop(_FAILED, oldest)

    def watch(self, watcher: Callable[[str], None]) -> None:
        """Call `watcher` with the id of each message that is given up from now on."""
        self._watchers.append(watcher)

    def unwatch(self, watcher: Callable[[str], None]) -> None:
        """Call it no more."""
        self._watchers.remove(watcher)

    def _has_room(self, outgoing: Outgoing) -> bool:
        return len(self) < MOST_MESSAGES and self._bytes + len(outgoing.message) <= MOST_BYTES

    def _reserve(self, outgoing: Outgoing) -> None:
        self._messages[outgoing.id] = outgoing
        self._bytes += len(outgoing.message)

    def _release(self, message_id: str) -> None:
        self._bytes -= len(self._messages.pop(message_id).message)


def new_id() -> str:
    """An id that no other message has."""
    return os.urandom(ID_LENGTH).hex()


def _encode(outgoing: Outgoing) -> bytes:
    return bytes([outgoing.manner]) + outgoing.recipient + outgoing.message


def _decode(entry_id: str, body: bytes) -> Outgoing:
    return Outgoing(entry_id, body[1:_HEAD], body[_HEAD:], Manner(body[0]))
