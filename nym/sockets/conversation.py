"""What is said on one connection, dialect by dialect; no bytes move here.

A conversation takes what was read and gives what is to be written, piece by piece. Whoever asks for
the next piece has written the one before, so answers don't pile up, and an answer whose last piece
was written is delivered; what doesn't reach the application stays.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import groupby, islice
from math import inf
from typing import Any, NamedTuple

from gevent.event import Event

from nym.errors import BusyError, FrameError, RequestError
from nym.net.spell import Spell
from nym.service import Service, Subscription
from nym.wire import json_objects, raw
from nym.wire.lines import Line, LineBuffer, is_text
from nym.wire.pieces import with_last
from nym.wire.requests import (
    UNLIMITED,
    Fetch,
    Flush,
    Request,
    Response,
    Room,
    Send,
    Subscribe,
    Subscribed,
)

# Seconds that a fetch waits for a message where there is none: messages take one or two, and
# published programs that wait for one second take the first message of whatever they get. Whoever
# has just sent something most likely waits for it, or for an answer: one message of a hundred takes
# longer than three seconds, one of ten thousand longer than six.
FETCH_PATIENCE = 2.0
SENT_PATIENCE = 6.0
# Messages that are accepted together, by one commit: it takes a few milliseconds.
MOST_TOGETHER = 200


class Asked(NamedTuple):
    """A request, and how either kind of answer to it is written."""

    request: Request
    encode: Callable[[Response], Iterable[bytes]]
    encode_error: Callable[[RequestError], bytes]
    room: Room = UNLIMITED
    can_wait: bool = False  # until there is something to fetch


# What is said in its turn without asking the service.
Remark = Callable[[], bytes]


class Conversation(ABC):
    """One dialect, on one connection."""

    def __init__(self, service: Service) -> None:
        self.is_over = False  # nothing that follows would be understood
        self.may_listen: Callable[[], bool] = lambda: True  # one more connection, on its socket
        self.news = Event()  # set when there may be something to write unasked
        self._service = service
        self._spell = Spell()
        self._answered: list[Response] = []
        self._waiting: list[Asked] = []  # a fetch that found nothing, and perhaps its flush
        self._deadline = 0.0  # of their answers
        self._sent = -inf  # when something was sent on this connection
        self._is_watching = False

    @property
    def is_listening(self) -> bool:
        """Whether there may be something to write unasked."""
        return bool(self._waiting)

    def patience(self) -> float | None:
        """Seconds until there is something to write unasked, even without news."""
        return max(0.0, self._deadline - time.monotonic()) if self._waiting else None

    @abstractmethod
    def answer(self, data: bytes) -> Iterator[bytes]:
        """What to write after `data` was read; maybe nothing yet."""

    def rest(self) -> Iterator[bytes]:
        """What is still to be written when nothing more will be read."""
        return self._answer_waiting()

    def unasked(self) -> Iterator[bytes]:
        """What to write without having been asked just now, piece by piece."""
        self.news.clear()
        if self._service.has_messages() or time.monotonic() >= self._deadline:
            yield from self._answer_waiting()

    def farewell(self, reason: str) -> bytes:
        """What to write when the client has to go."""
        return b""

    @abstractmethod
    def refusal(self, error: RequestError) -> bytes:
        """What to write in the place of all answers."""

    def _delivered(self) -> None:
        """All that was answered has been written."""
        for response in self._answered:
            self._service.delivered(response)
        self._answered.clear()

    def end(self) -> None:
        """Nothing more can be written: keep what was not delivered, or was held back."""
        for response in reversed(self._answered):
            self._service.take_back(response)
        self._answered.clear()
        if self._is_watching:
            self._service.inbox.unwatch(self.news.set)

    def _serve(self, asked: Iterable[Asked | Remark]) -> Iterator[bytes]:
        """Answer one after the other; sends that follow each other are accepted together.

        Answers are remembered until they are delivered.
        """
        for is_send, group in groupby(asked, _is_send):
            if is_send:
                yield from self._answer_waiting()
                sends = (one for one in group if isinstance(one, Asked))
                while together := list(islice(sends, MOST_TOGETHER)):
                    yield self._accept(together)
                continue
            for one in group:
                if isinstance(one, Asked) and self._may_wait(one):
                    self._wait(one)
                    continue
                yield from self._answer_waiting()
                if isinstance(one, Asked):
                    yield from self._answer_one(one)
                else:
                    yield one()

    def _may_wait(self, asked: Asked) -> bool:
        """Whether the answer may wait for a message: nothing else is asked for meanwhile.

        The answer to a flush leaves with those before it.
        """
        if self._waiting:
            return isinstance(asked.request, Flush) and len(self._waiting) == 1
        return (
            asked.can_wait
            and isinstance(asked.request, Fetch)
            and not self._service.has_messages()
            and self.may_listen()
        )

    def _wait(self, asked: Asked) -> None:
        if not self._waiting:
            now = time.monotonic()
            self._deadline = max(now + FETCH_PATIENCE, self._sent + SENT_PATIENCE)
        self._waiting.append(asked)
        if not self._is_watching:
            self._is_watching = True
            self._service.inbox.watch(self.news.set)
        self.news.set()  # the greenlet that waits for news has to know the deadline

    def _answer_waiting(self) -> Iterator[bytes]:
        waiting, self._waiting = self._waiting, []
        for asked in waiting:
            yield from self._answer_one(asked)

    def _accept(self, sends: list[Asked]) -> bytes:
        self._sent = time.monotonic()
        outcomes = self._service.send(self._requests(sends))
        return b"".join(
            one.encode_error(outcome)
            if isinstance(outcome, RequestError)
            else b"".join(one.encode(outcome))
            for one, outcome in zip(sends, outcomes, strict=True)
        )

    def _requests(self, sends: list[Asked]) -> Iterator[Send]:
        for one in sends:
            if isinstance(one.request, Send):
                yield one.request
            self._spell.rest()

    def _answer_one(self, asked: Asked) -> Iterator[bytes]:
        try:
            response = self._perform(asked.request, asked.room)
        except RequestError as error:
            yield asked.encode_error(error)
            return
        self._answered.append(response)
        yield from asked.encode(response)
        self._delivered()

    def _perform(self, request: Request, room: Room) -> Response:
        """Do what is asked. Raises a RequestError."""
        return self._service.answer(request, room)


def _is_send(asked: Asked | Remark) -> bool:
    return isinstance(asked, Asked) and isinstance(asked.request, Send)


class RawConversation(Conversation):
    """Raw bytes: one read is one request, one write its answer."""

    def answer(self, data: bytes) -> Iterator[bytes]:
        """See Conversation."""
        self.is_over = raw.ends_connection(data)
        return self._serve(map(self._asked, raw.split_requests(data)))

    def refusal(self, error: RequestError) -> bytes:
        """See Conversation."""
        return raw.encode_error(error)

    def _asked(self, data: bytes) -> Asked | Remark:
        try:
            return Asked(raw.decode_request(data), _encode_raw, raw.encode_error, raw.ROOM)
        except RequestError as error:
            return partial(raw.encode_error, error)


def _encode_raw(response: Response) -> Iterator[bytes]:
    yield raw.encode_response(response)


class JsonConversation(Conversation):
    """JSON objects, one per request and one per answer; subscribers get more."""

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._subscription: Subscription | None = None

    @property
    def is_listening(self) -> bool:
        """See Conversation."""
        return super().is_listening or self._subscription is not None

    def refusal(self, error: RequestError) -> bytes:
        """See Conversation."""
        return self._encode_error(error)

    def unasked(self) -> Iterator[bytes]:
        """See Conversation."""
        yield from super().unasked()
        if self._subscription is not None and not self.is_over:
            for news in self._subscription.news():
                yield from self._pack(json_objects.encode_news(news))

    def end(self) -> None:
        """See Conversation; what was on offer is there for others."""
        try:
            super().end()
        finally:
            if self._subscription is not None:
                self._subscription.end()
                self._subscription = None

    @abstractmethod
    def _pack(self, texts: Iterable[str]) -> Iterator[bytes]:
        """What to write for one object, which comes in pieces."""

    def _asked_object(self, body: dict[str, Any]) -> Asked:
        """What a JSON object asks for. Raises a RequestError."""
        request, message_format = json_objects.decode_request(body, self._spell.rest)
        encode = partial(self._encode, message_format)
        return Asked(request, encode, self._encode_error, json_objects.ROOMS[message_format])

    def _perform(self, request: Request, room: Room) -> Response:
        if not isinstance(request, Subscribe):
            return super()._perform(request, room)
        if self._subscription is None:
            if not self.may_listen():
                raise BusyError(
                    "busy: as many connections subscribe here as socket.connections in config.toml "
                    "leaves room for"
                )
            self._subscription = self._service.subscribe(request, self.news.set)
            self.news.set()
        return Subscribed()

    def _encode(self, message_format: str, response: Response) -> Iterator[bytes]:
        return self._pack(json_objects.encode_response(response, message_format))

    def _encode_error(self, error: RequestError) -> bytes:
        return b"".join(self._pack([json_objects.encode_error(error)]))


class LinesConversation(JsonConversation):
    """JSON objects in lines."""

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._buffer = LineBuffer()
        self._is_understood = False  # whether anything was a request

    def answer(self, data: bytes) -> Iterator[bytes]:
        """See Conversation."""
        return self._serve(self._asked(data))

    def rest(self) -> Iterator[bytes]:
        """See Conversation."""
        line = self._buffer.rest()
        return self._serve([self._asked_line(line)] if line else [])

    def _asked(self, data: bytes) -> Iterator[Asked | Remark]:
        try:
            for line in self._buffer.feed(data):
                yield self._asked_line(line)
                self._spell.rest()
                if self.is_over:
                    return
        except FrameError as error:
            self.is_over = True
            yield partial(self._encode_error, error)

    def _asked_line(self, line: Line) -> Asked | Remark:
        try:
            asked = self._asked_object(json_objects.parse(line, self._spell.rest))
        except RequestError as error:
            # What only begins like a line may have lines of a stranger behind it (nym.wire.lines).
            self.is_over = not (self._is_understood or is_text(line))
            return partial(self._encode_error, error)
        self._is_understood = True
        return asked

    def _pack(self, texts: Iterable[str]) -> Iterator[bytes]:
        for text, is_last in with_last(texts):
            yield f"{text}\n".encode() if is_last else text.encode()
