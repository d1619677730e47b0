"""What is said on one connection, dialect by dialect; no bytes move here.

A conversation takes what was read and gives what is to be written, piece by piece. Whoever asks for
the next piece has written the one before, so answers don't pile up, and an answer whose last piece
was written is delivered; what doesn't reach the application stays.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple

from gevent.event import Event

from nym.errors import FrameError, RequestError
from nym.net.spell import Spell
from nym.service import Service, Subscription
from nym.wire import json_objects, raw
from nym.wire.lines import LineBuffer
from nym.wire.requests import UNLIMITED, Request, Response, Room, Send, Subscribe, Subscribed


class Asked(NamedTuple):
    """A request, and how either kind of answer to it is written."""

    request: Request
    encode: Callable[[Response], Iterable[bytes]]
    encode_error: Callable[[RequestError], bytes]
    room: Room = UNLIMITED


# What is said in its turn without asking the service.
Remark = Callable[[], bytes]


class Conversation(ABC):
    """One dialect, on one connection."""

    # Set when there is something to write unasked; None if there never is.
    news: Event | None = None

    def __init__(self, service: Service) -> None:
        self.is_over = False  # nothing that follows would be understood
        self._service = service
        self._spell = Spell()
        self._answered: list[Response] = []

    @abstractmethod
    def answer(self, data: bytes) -> Iterator[bytes]:
        """What to write after `data` was read; maybe nothing yet."""

    def rest(self) -> Iterator[bytes]:
        """What is still to be written when nothing more will be read."""
        return iter(())

    def unasked(self) -> Iterator[bytes]:
        """What to write without having been asked just now, piece by piece."""
        return iter(())

    def farewell(self) -> bytes:
        """What to write when the client stops."""
        return b""

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

    def _serve(self, asked: Iterable[Asked | Remark]) -> Iterator[bytes]:
        """Answer one after the other; sends that follow each other are accepted together.

        Answers are remembered until they are delivered.
        """
        for is_send, group in groupby(asked, _is_send):
            if is_send:
                yield self._accept([one for one in group if isinstance(one, Asked)])
            else:
                for one in group:
                    if isinstance(one, Asked):
                        yield from self._answer_one(one)
                    else:
                        yield one()

    def _accept(self, sends: list[Asked]) -> bytes:
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
        return self._serve([self._asked(data)])

    def _asked(self, data: bytes) -> Asked | Remark:
        try:
            return Asked(raw.decode_request(data), _encode_raw, raw.encode_error, raw.ROOM)
        except RequestError as error:
            return partial(raw.encode_error, error)


def _encode_raw(response: Response) -> Iterator[bytes]:
    yield raw.encode_response(response)


class JsonConversation(Conversation):
    """JSON objects, one a request, one an answer; more come to who subscribed."""

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self.news = self._news = Event()
        self._subscription: Subscription | None = None

    def unasked(self) -> Iterator[bytes]:
        """See Conversation."""
        self._news.clear()
        if self._subscription is not None and not self.is_over:
            for news in self._subscription.news():
                yield self._pack(json_objects.encode_news(news))

    def end(self) -> None:
        """See Conversation; what was on offer is there for others."""
        super().end()
        if self._subscription is not None:
            self._subscription.end()
            self._subscription = None

    @abstractmethod
    def _pack(self, text: str) -> bytes:
        """What to write for one object."""

    def _asked_object(self, body: dict[str, Any]) -> Asked:
        """What a JSON object asks for. Raises a RequestError."""
        request, message_format = json_objects.decode_request(body)
        encode = partial(self._encode, message_format)
        return Asked(request, encode, self._encode_error, json_objects.ROOMS[message_format])

    def _perform(self, request: Request, room: Room) -> Response:
        if not isinstance(request, Subscribe):
            return super()._perform(request, room)
        if self._subscription is None:
            self._subscription = self._service.subscribe(request, self._news.set)
            self._news.set()
        return Subscribed()

    def _encode(self, message_format: str, response: Response) -> Iterator[bytes]:
        yield self._pack(json_objects.encode_response(response, message_format))

    def _encode_error(self, error: RequestError) -> bytes:
        return self._pack(json_objects.encode_error(error))


class LinesConversation(JsonConversation):
    """JSON objects in lines."""

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._buffer = LineBuffer()

    def answer(self, data: bytes) -> Iterator[bytes]:
        """See Conversation."""
        return self._serve(self._asked(data))

    def rest(self) -> Iterator[bytes]:
        """See Conversation."""
        line = self._buffer.rest()
        return self._serve([self._asked_line(line)] if line.strip() else [])

    def _asked(self, data: bytes) -> Iterator[Asked | Remark]:
        try:
            for line in self._buffer.feed(data):
                yield self._asked_line(line)
                self._spell.rest()
        except FrameError as error:
            self.is_over = True
            yield partial(self._encode_error, error)

    def _asked_line(self, line: bytes) -> Asked | Remark:
        try:
            return self._asked_object(json_objects.parse(line))
        except RequestError as error:
            return partial(self._encode_error, error)

    def _pack(self, text: str) -> bytes:
        return text.encode() + b"\n"
