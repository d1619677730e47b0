"""What an application that has subscribed is told unasked: messages, and failures of messages."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator

from nym.store.inbox import Inbox
from nym.store.outbox import Outbox
from nym.wire.answers import Drained, Failed, Gone, News, Received, Shown
from nym.wire.requests import Subscribe


class Subscription(ABC):
    """The news for one subscriber: messages, and failures of those that applications sent."""

    def __init__(
        self, inbox: Inbox, outbox: Outbox, request: Subscribe, notify: Callable[[], None]
    ) -> None:
        self._inbox, self._outbox = inbox, outbox
        self._notify = notify
        self._failed: deque[str] = deque()
        outbox.watch(self._hear_of_failure)

    def news(self) -> Iterator[News]:
        """The news since the last call. Failures come first; they don't use up the window."""
        while self._failed:
            yield Failed(self._failed.popleft())
        yield from self._messages()

    def end(self) -> None:
        """End the subscription."""
        self._outbox.unwatch(self._hear_of_failure)

    @abstractmethod
    def _messages(self) -> Iterator[News]:
        """The news about messages in the inbox."""

    def _hear_of_failure(self, message_id: str) -> None:
        self._failed.append(message_id)
        self._notify()


class ExclusiveSubscription(Subscription):
    """Each message is offered to this subscriber alone, until it acknowledges it or leaves."""

    def __init__(
        self, inbox: Inbox, outbox: Outbox, request: Subscribe, notify: Callable[[], None]
    ) -> None:
        super().__init__(inbox, outbox, request, notify)
        self._follows = request.follows
        self._subscriber = inbox.subscribe(notify, request.window)

    def end(self) -> None:
        """End the subscription. Messages that weren't acknowledged are offered to others."""
        self._inbox.unsubscribe(self._subscriber)
        super().end()

    def _messages(self) -> Iterator[News]:
        yield from self._inbox.offer(self._subscriber)
        if not self._follows and self._inbox.is_drained(self._subscriber):
            self._follows = True  # so that the end is told only once
            yield Drained()


class SharedSubscription(Subscription):
    """Each message is shown, and so is that it has left; nobody else is kept from it."""

    def __init__(
        self, inbox: Inbox, outbox: Outbox, request: Subscribe, notify: Callable[[], None]
    ) -> None:
        super().__init__(inbox, outbox, request, notify)
        self._changes: deque[Shown | Gone] = deque()
        inbox.view(self)

    def end(self) -> None:
        """End the subscription."""
        self._inbox.unview(self)
        super().end()

    def came(self, received: Received) -> None:
        """See Viewer."""
        self._changes.append(Shown(received))
        self._notify()

    def gone(self, message_id: str) -> None:
        """See Viewer."""
        self._changes.append(Gone(message_id))
        self._notify()

    def _messages(self) -> Iterator[News]:
        while self._changes:
            yield self._changes.popleft()
