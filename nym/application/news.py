"""What comes without being asked for: messages, and failures of those that were sent."""

import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import suppress
from math import inf
from typing import Generic, TypeVar

from nym.application import values
from nym.application.errors import ClosedError, NoSuchMessageError
from nym.application.line import Line
from nym.application.lines import Answer
from nym.application.values import Message

Value = TypeVar("Value")


def after(seconds: float | None) -> float:
    """The time of the monotonic clock in so many seconds; None: never."""
    return inf if seconds is None else time.monotonic() + seconds


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
            if (value := await self._next()) is not None:
                return value
        raise StopAsyncIteration

    @abstractmethod
    async def _next(self) -> Value | None:
        """The next one; None if there is none in time."""

    async def _hear(self, kind: str) -> Answer | None:
        """The next news of this kind; None if there are none in time."""
        until = after(self._timeout)
        while (news := await self._line.news(until)) is not None:
            if news["type"] == kind:
                return news
        return None


class Messages(News[Message]):
    """Iterates over messages, and acknowledges each one when it is asked for the next."""

    _in_hand: str | None = None  # the id of the message that this program works on

    async def acknowledge(self) -> None:
        """Acknowledge the message that is in hand, if there is one."""
        if self._in_hand is None:
            return
        message_id, self._in_hand = self._in_hand, None
        # If it is gone, the client got the acknowledgement, and its answer was lost.
        with suppress(NoSuchMessageError):
            await self._line.ask({"type": "ack", "id": message_id})
        self._line.forget(message_id)

    async def _next(self) -> Message | None:
        await self.acknowledge()
        if (answer := await self._hear("message")) is None:
            return None
        self._in_hand = answer["id"]
        return values.message(answer)


class Failures(News[str]):
    """Iterates over the ids of messages that were given up."""

    async def _next(self) -> str | None:
        answer = await self._hear("failed")
        return None if answer is None else str(answer["id"])
