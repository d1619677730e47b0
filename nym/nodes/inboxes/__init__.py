"""The messages that a provider keeps for its clients until they pull them.

A message has a number, which no other message of this provider ever has. A pull of 0.4 deletes what
it hands over (`take`). A pull of ours names the messages that have come, and only those are deleted
(`hand_over`).

They are in a database (nym.nodes.inboxes.stored), or in memory (nym.nodes.inboxes.memory). The
limits are the same for both.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gevent.event import AsyncResult

from nym.config.nodes import InboxSettings
from nym.errors import NymError

DEFAULT = InboxSettings()
NO_INBOX = "the client isn't registered here"
FULL = "a message to a client whose inbox is full"
UNPROVEN = "this address was proven before, and isn't now"

# Called with None once a message is kept, or with the error that says why it isn't.
Kept = Callable[[NymError | None], None]


class Numbered(NamedTuple):
    """A message with its number, which is from 1 to 2^63 - 1."""

    number: int
    message: bytes


class Gone(NamedTuple):
    """How many messages and clients were too old, and whether there may be more."""

    messages: int
    clients: int
    is_all: bool


class Inboxes(ABC):
    """One inbox per client; a client without one isn't registered here.

    Methods that change something wait until the change will survive the process. They raise
    StoreError if it can't, and the inboxes are then as they were before, or OutcomeUnknownError if
    nobody can say whether it will.
    """

    settings: InboxSettings

    @abstractmethod
    def __len__(self) -> int:
        """How many clients there are."""

    @abstractmethod
    def __contains__(self, client: bytes) -> bool:
        """Whether the client has an inbox."""

    @abstractmethod
    def clients(self) -> list[bytes]:
        """The addresses that have an inbox, the latest last. This asks no database."""

    @abstractmethod
    def count(self) -> int:
        """How many messages there are. This asks no database."""

    @abstractmethod
    def is_proven(self, client: bytes) -> bool:
        """Whether the client has ever proven that it has its address's key."""

    @abstractmethod
    def open(self, client: bytes, *, is_proven: bool = False) -> None:
        """Make an inbox, if there is none; with `is_proven`, note that for ever.

        Raises OverloadError if there are too many clients, and RemoteFormatError if the client has
        proven its address before and has not done so now.
        """

    @abstractmethod
    def keep(self, client: bytes, message: bytes, then: Kept) -> None:
        """Begin to keep a message, and return; `then` is called once with the outcome.

        It gets None, or NoInboxError, InboxFullError, OverloadError, StoreError. Nothing in it may
        wait.
        """

    def put(self, client: bytes, message: bytes) -> None:
        """Keep a message, and wait for it. Raises what `keep` reports."""
        outcome: AsyncResult[NymError | None] = AsyncResult()
        self.keep(client, message, outcome.set)
        if error := outcome.get():
            raise error.with_traceback(None)

    @abstractmethod
    def take(self, client: bytes, most: int) -> list[bytes]:
        """Remove up to `most` messages from the inbox, oldest first. Raises NoInboxError.

        If nobody can say whether they are removed, they are returned all the same: a message that
        comes twice is better than one that is lost.
        """

    @abstractmethod
    def hand_over(self, client: bytes, delivered: Sequence[int], most: int) -> list[Numbered]:
        """Remove the messages with these numbers; return up to `most` of the others, oldest first.

        Those that are returned stay. Numbers that none of its messages has are ignored. Raises
        NoInboxError.
        """

    @abstractmethod
    def age(self) -> Gone:
        """Remove some of the messages and clients that are too old; there may be more."""

    @abstractmethod
    def flush(self) -> None:
        """Wait until all that was asked for so far has its outcome. Raises nothing."""

    @abstractmethod
    def close(self) -> None:
        """Finish what was asked for. What is asked for later is refused with StoreError."""


def too_many(clients: int) -> str:
    """Say that there is no place for another client."""
    return f"there are {clients} clients already"
