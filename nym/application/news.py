"""What comes without being asked for: messages, and failures of those that were sent."""

import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import suppress
from math import inf
from typing import Generic, TypeVar

from nym.application import arguments, values
from nym.application.errors import ClosedError, NoSuchMessageError
from nym.application.line import Line
from nym.application.lines import Answer
from nym.application.values import Message

Value = TypeVar("Value")


def after(timeout: float | None) -> float:
    """The time of the monotonic clock in so many seconds; None: never. Raises TypeError."""
    return inf if timeout is None else time.monotonic() + arguments.seconds("timeout", timeout)


class News(ABC, Generic[Value]):
    """Iterates over news on a line, until none come for `timeout` seconds, or it is closed."""

    def __init__(self, line: Line, timeout: float | None) -> None:
        self._line = line
        self._timeout = timeout

    def __aiter__(self) -> AsyncIterator[Value]:
        return self

    async def __anext__(self) -> Value:
        # Whoever closes the connection wants the loop to end, and not to fail.
        with suppress(ClosedError):
            if (value := await self._next(after(self._timeout))) is not None:
                return value
        raise StopAsyncIteration

    @abstractmethod
    async def _next(self, until: float) -> Value | None:
        """The next one; None if there is none before this time of the monotonic clock."""

    async def _hear(self, kind: str, until: float) -> Answer | None:
        """The next news of this kind; None if there are none before that time."""
        while (news := await self._line.news(until)) is not None:
            if news["type"] == kind:
                return news
        return None


class Messages(News[Message]):
    """Iterates over messages, and acknowledges each one when it is asked for the next."""

    _in_hand: str | None = None  # the id of the message that this program works on

    async def acknowledge(self, give_up: float | None = None) -> None:
        """Acknowledge the message that is in hand, if there is one. For `give_up`, see Line.open.

        If this raises, the message stays in hand, and can be acknowledged again.
        """
        if self._in_hand is None:
            return
        # If it is gone, the client got the acknowledgement, and its answer was lost. If the line
        # breaks after this program has closed the connection, the message comes again.
        with suppress(NoSuchMessageError, ClosedError):
            await self._line.insist({"type": "ack", "id": self._in_hand}, give_up)
        self._line.forget(self._in_hand)
        self._in_hand = None

    async def _next(self, until: float) -> Message | None:
        await self.acknowledge(until)
        if (answer := await self._hear("message", until)) is None:
            return None
        message = values.message(answer)
        self._in_hand = message.id
        return message


class Failures(News[str]):
    """Iterates over the ids of messages that were given up."""

    async def _next(self, until: float) -> str | None:
        answer = await self._hear("failed", until)
        return None if answer is None else str(answer["id"])
