"""What is said on one TCP connection, dialect by dialect; no bytes move here.

A conversation takes what was read and returns what is to be written. It remembers the answers until
they are `delivered`: what doesn't reach the application stays.
"""

from abc import ABC, abstractmethod

from gevent.event import Event

from nym.errors import FrameError, RequestError, UnknownRequestError
from nym.service import Service
from nym.store import Subscriber
from nym.wire import json_lines, protobuf, raw
from nym.wire.framing import FrameBuffer, Framing, encode_frame
from nym.wire.requests import Flushed, Request, Response, Subscribed

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
    def answer(self, data: bytes) -> bytes:
        """What to write after `data` was read; maybe nothing yet."""

    def rest(self) -> bytes:
        """What is still to be written when nothing more will be read."""
        return b""

    def unasked(self) -> bytes:
        """What to write without having been asked just now."""
        return b""

    def delivered(self) -> None:
        """What `answer` or `rest` returned last has been written."""
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

    def answer(self, data: bytes) -> bytes:
        """See Conversation."""
        self.is_over = raw.ends_connection(data)
        try:
            return raw.encode_response(self._serve(raw.decode_request(data)))
        except RequestError as error:
            return raw.encode_error(error)


class FramedConversation(Conversation):
    """Framed protobuf: answers wait for a flush, and leave with its answer in one write."""

    def __init__(self, service: Service, framing: Framing) -> None:
        super().__init__(service)
        self._framing = framing
        self._buffer = FrameBuffer(framing)
        self._held = bytearray()
        self._is_flushed = False
        self._is_first = True

    def answer(self, data: bytes) -> bytes:
        """See Conversation."""
        try:
            for message in self._buffer.feed(data):
                self._answer_one(message)
                if self.is_over:
                    break
        except FrameError as error:
            self._say(protobuf.encode_error(error))
            self.is_over = True
        self._is_flushed |= self.is_over or len(self._held) >= MOST_HELD
        return bytes(self._held) if self._is_flushed else b""

    def rest(self) -> bytes:
        """See Conversation."""
        self._is_flushed = True
        return bytes(self._held)

    def delivered(self) -> None:
        """See Conversation; what is held back was not written."""
        if self._is_flushed:
            super().delivered()
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
    """JSON lines: one line is one request, one line its answer; more come to who subscribed."""

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self.news = self._news = Event()
        self._buffer = json_lines.LineBuffer()
        self._subscriber: Subscriber | None = None

    def answer(self, data: bytes) -> bytes:
        """See Conversation."""
        try:
            return b"".join(map(self._answer_one, self._buffer.feed(data)))
        except FrameError as error:
            self.is_over = True
            return json_lines.encode_error(error)

    def rest(self) -> bytes:
        """See Conversation."""
        line = self._buffer.rest()
        return self._answer_one(line) if line.strip() else b""

    def unasked(self) -> bytes:
        """See Conversation."""
        self._news.clear()
        if self._subscriber is None:
            return b""
        return b"".join(
            map(json_lines.encode_received, self._service.inbox.offer(self._subscriber))
        )

    def end(self) -> None:
        """See Conversation; what was on offer is there for others."""
        super().end()
        if self._subscriber is not None:
            self._service.inbox.unsubscribe(self._subscriber)
            self._subscriber = None

    def _answer_one(self, line: bytes) -> bytes:
        try:
            request, message_format = json_lines.decode_request(line)
            response = self._serve(request)
        except RequestError as error:
            return json_lines.encode_error(error)
        if isinstance(response, Subscribed) and self._subscriber is None:
            self._subscriber = self._service.inbox.subscribe(self._news.set)
            self._news.set()
        return json_lines.encode_response(response, message_format)
