"""Inboxes in memory, which are gone when the process ends: for networks that keep nothing."""

from collections.abc import Callable, Sequence
from itertools import count, islice

from nym.config.nodes import InboxSettings
from nym.errors import InboxFullError, NoInboxError, NymError, OverloadError, RemoteFormatError
from nym.nodes.inboxes import (
    DEFAULT,
    FULL,
    NO_INBOX,
    UNPROVEN,
    Gone,
    Inboxes,
    Kept,
    Numbered,
    too_many,
)
from nym.store.clock import since_boot


class _Inbox:
    def __init__(self, now: float) -> None:
        self.seen = now
        self.size = 0
        self.messages: dict[int, tuple[float, bytes]] = {}  # by number: when it came, and itself

    def pop(self, number: int) -> None:
        _, message = self.messages.pop(number)
        self.size -= len(message)


class MemoryInboxes(Inboxes):
    """See Inboxes; `now` is a clock in seconds."""

    def __init__(
        self, settings: InboxSettings = DEFAULT, now: Callable[[], float] = since_boot
    ) -> None:
        self.settings = settings
        self._now = now
        self._numbers = count(1)
        self._inboxes: dict[bytes, _Inbox] = {}
        self._proven: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._inboxes)

    def __contains__(self, client: bytes) -> bool:
        return client in self._inboxes

    def clients(self) -> list[bytes]:
        """See Inboxes."""
        return list(self._inboxes)

    def count(self) -> int:
        """See Inboxes."""
        return sum(len(inbox.messages) for inbox in self._inboxes.values())

    def is_proven(self, client: bytes) -> bool:
        """See Inboxes."""
        return client in self._proven

    def open(self, client: bytes, *, is_proven: bool = False) -> None:
        """See Inboxes."""
        if client in self._proven and not is_proven:
            raise RemoteFormatError(UNPROVEN)
        if client not in self._inboxes:
            if len(self) >= self.settings.clients:
                raise OverloadError(too_many(self.settings.clients))
            self._inboxes[client] = _Inbox(self._now())
        self._inboxes[client].seen = self._now()
        if is_proven:
            self._proven.add(client)

    def keep(self, client: bytes, message: bytes, then: Kept) -> None:
        """See Inboxes."""
        then(self._keep(client, message))

    def take(self, client: bytes, most: int) -> list[bytes]:
        """See Inboxes."""
        taken = self._oldest(client, most)
        for number, _ in taken:
            self._inboxes[client].pop(number)
        return [message for _, message in taken]

    def hand_over(self, client: bytes, delivered: Sequence[int], most: int) -> list[Numbered]:
        """See Inboxes."""
        inbox = self._inbox(client)
        for number in inbox.messages.keys() & set(delivered):
            inbox.pop(number)
        return self._oldest(client, most)

    def age(self) -> Gone:
        """See Inboxes."""
        now, messages, clients = self._now(), 0, 0
        for client, inbox in list(self._inboxes.items()):
            if now - inbox.seen > self.settings.client_age:
                messages += len(inbox.messages)
                clients += 1
                del self._inboxes[client]
                continue
            for number, (kept, _) in list(inbox.messages.items()):
                if now - kept > self.settings.message_age:
                    messages += 1
                    inbox.pop(number)
        return Gone(messages, clients, is_all=True)

    def flush(self) -> None:
        """See Inboxes: nothing is ever under way."""

    def close(self) -> None:
        """See Inboxes: there is nothing to close."""

    def _keep(self, client: bytes, message: bytes) -> NymError | None:
        inbox = self._inboxes.get(client)
        if inbox is None:
            return NoInboxError(NO_INBOX)
        settings, size = self.settings, inbox.size + len(message)
        if len(inbox.messages) >= settings.messages or size > settings.size:
            return InboxFullError(FULL)
        inbox.messages[next(self._numbers)] = self._now(), message
        inbox.size = size
        return None

    def _inbox(self, client: bytes) -> _Inbox:
        try:
            inbox = self._inboxes[client]
        except KeyError as error:
            raise NoInboxError(NO_INBOX) from error
        inbox.seen = self._now()
        return inbox

    def _oldest(self, client: bytes, most: int) -> list[Numbered]:
        messages = islice(self._inbox(client).messages.items(), most)
        return [Numbered(number, message) for number, (_, message) in messages]
