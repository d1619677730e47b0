"""What is said on one connection, dialect by dialect; no bytes move here.

A conversation takes what was read and gives what is to be written, piece by piece: the next request
is looked at when the answer to the one before has left, so answers don't pile up. It remembers them
until they are `delivered`: what doesn't reach the application stays.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from gevent.event import Event

from nym.errors import FrameError, RequestError, UnknownRequestError
from nym.service import Service
from nym.store import Subscriber
from nym.wire import json_objects, protobuf, raw
from nym.wire.framing import FrameBuffer, Framing, encode_frame
from nym.wire.lines import LineBuffer
from nym.wire.requests import Flushed, Request, Response, Subscribed
from nym.wire.sizes import LONGEST_FRAME

# Framed answers wait for a flush until there are so many bytes of them.
MOST_HELD = 4096


class Conversation(ABC):
    """One dialect, on one connection."""

    # Set when there is something to write unasked; None if there never is.
    news: Event | None = None

    def __init__(self, service: Service) -> None:
        self.is_over = False  # nothing that follows would be understood
        self._service = service
        self._answered: list[Response] = []

    @abstractmethod
    def answer(self, data: bytes) -> Iterator[bytes]:
        """What to write after `data` was read; maybe nothing yet.

        Each piece is written, and `delivered` called, before the next one is asked for.
        """

    def rest(self) -> bytes:
        """What is still to be written when nothing more will be read."""
        return b""

    def unasked(self) -> bytes:
        """What to write without having been asked just now."""
        return b""

    def farewell(self) -> bytes:
        """What to write when the client stops."""
        return b""

    def delivered(self) -> None:
        """What `answer` or `rest` gave last has been written."""
        self._answered.clear()

    def end(self) -> None:
        """Nothing more can be written: keep what was not delivered, or was held back."""
        for response in reversed(self._answered):
            self._service.take_back(response)
        self._answered.clear()

    def _serve(self, request: Request) -> Response:
        """The answer, remembered until it is delivered. Raises a RequestError."""
        response = self._service.answer(request)
        self._answered.append(response)
        return response


class RawConversation(Conversation):
    """Raw bytes: one read is one request, one write its answer."""

    def answer(self, data: bytes) -> Iterator[bytes]:
        """See Conversation."""
        self.is_over = raw.ends_connection(data)
        try:
            yield raw.encode_response(self._serve(raw.decode_request(data)))
        except RequestError as error:
            yield raw.encode_error(error)


class FramedConversation(Conversation):
    """Framed protobuf: answers wait for a flush, and leave with its answer in one write."""

    def __init__(self, service: Service, framing: Framing) -> None:
        super().__init__(service)
        self._framing = framing
        self._buffer = FrameBuffer(framing)
        self._held = bytearray()
        self._is_flushed = False
        self._is_first = True

    def answer(self, data: bytes) -> Iterator[bytes]:
        """See Conversation."""
        try:
            for message in self._buffer.feed(data):
                self._answer_one(message)
                if self.is_over:
                    break
                # A flush that was read with them leaves with its answers, unless they are too many.
                if self._is_flushed or len(self._held) >= LONGEST_FRAME:
                    yield from self._let_go()
        except FrameError as error:
            self._say(protobuf.encode_error(error))
            self.is_over = True
        if self.is_over or len(self._held) >= MOST_HELD:
            yield from self._let_go()

    def rest(self) -> bytes:
        """See Conversation."""
        return bytes(self._held)

    def _let_go(self) -> Iterator[bytes]:
        yield bytes(self._held)
        self._held.clear()
        self._is_flushed = False

    def _answer_one(self, message: bytes) -> None:
        try:
            response = self._serve(protobuf.decode_request(message))
        except RequestError as error:
            # If not even the first message is one, this was never a frame.
            self.is_over = self._is_first and isinstance(error, UnknownRequestError)
            self._say(protobuf.encode_error(error))
        else:
            self._say(protobuf.encode_response(response))
            self._is_flushed |= isinstance(response, Flushed)
        self._is_first = False

    def _say(self, message: bytes) -> None:
        self._held += encode_frame(self._framing, message)


class JsonConversation(Conversation):
    """JSON objects, one a request, one an answer; more come to who subscribed."""

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self.news = self._news = Event()
        self._subscriber: Subscriber | None = None

    def unasked(self) -> bytes:
        """See Conversation."""
        self._news.clear()
        if self._subscriber is None or self.is_over:
            return b""
        offered = self._service.inbox.offer(self._subscriber)
        return b"".join(self._pack(json_objects.encode_received(received)) for received in offered)

    def end(self) -> None:
        """See Conversation; what was on offer is there for others."""
        super().end()
        if self._subscriber is not None:
            self._service.inbox.unsubscribe(self._subscriber)
            self._subscriber = None

    @abstractmethod
    def _pack(self, text: str) -> bytes:
        """What to write for one object."""

    def _answer_object(self, body: dict[str, Any]) -> str:
        request, message_format = json_objects.decode_request(body)
        response = self._serve(request)
        if isinstance(response, Subscribed) and self._subscriber is None:
            self._subscriber = self._service.inbox.subscribe(self._news.set)
            self._news.set()
        return json_objects.encode_response(response, message_format)


class LinesConversation(JsonConversation):
    """JSON objects in lines."""

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._buffer = LineBuffer()

    def answer(self, data: bytes) -> Iterator[bytes]:
        """See Conversation."""
        try:
            for line in self._buffer.feed(data):
                yield self._answer_line(line)
        except FrameError as error:
            self.is_over = True
            yield self._pack(json_objects.encode_error(error))

    def rest(self) -> bytes:
        """See Conversation."""
        line = self._buffer.rest()
        return self._answer_line(line) if line.strip() else b""

    def _answer_line(self, line: bytes) -> bytes:
        try:
            return self._pack(self._answer_object(json_objects.parse(line)))
        except RequestError as error:
            return self._pack(json_objects.encode_error(error))

    def _pack(self, text: str) -> bytes:
        return text.encode() + b"\n"
