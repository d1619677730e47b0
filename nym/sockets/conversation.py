"""What is said on one TCP connection, dialect by dialect; no bytes move here.

A conversation takes what was read and returns what is to be written. It remembers the answers until
they are `delivered`: what doesn't reach the application stays.
"""

from typing import Protocol

from nym.errors import FrameError, RequestError, UnknownRequestError
from nym.service import Service
from nym.wire import protobuf, raw
from nym.wire.framing import FrameBuffer, Framing, encode_frame
from nym.wire.requests import Flushed, Response

# Framed answers wait for a flush until there are so many bytes of them.
MOST_HELD = 4096


class Conversation(Protocol):
    """One dialect, on one connection."""

    is_over: bool  # nothing that follows would be understood

    def answer(self, data: bytes) -> bytes:
        """What to write after `data` was read; maybe nothing yet."""

    def rest(self) -> bytes:
        """What is still to be written when nothing more will be read."""

    def delivered(self) -> None:
        """What was returned last has been written."""

    def take_back(self) -> None:
        """Nothing more can be written: keep what was not delivered, or was held back."""


class RawConversation:
    """Raw bytes: one read is one request, one write its answer."""

    def __init__(self, service: Service) -> None:
        self.is_over = False
        self._service = service
        self._answered: Response | None = None

    def answer(self, data: bytes) -> bytes:
        """See Conversation."""
        self.is_over = raw.ends_connection(data)
        try:
            self._answered = self._service.answer(raw.decode_request(data))
        except RequestError as error:
            return raw.encode_error(error)
        return raw.encode_response(self._answered)

    def rest(self) -> bytes:
        """See Conversation; nothing is ever held back."""
        return b""

    def delivered(self) -> None:
        """See Conversation."""
        self._answered = None

    def take_back(self) -> None:
        """See Conversation."""
        if self._answered is not None:
            self._service.take_back(self._answered)


class FramedConversation:
    """Framed protobuf: answers wait for a flush, and leave with its answer in one write."""

    def __init__(self, service: Service, framing: Framing) -> None:
        self.is_over = False
        self._service = service
        self._framing = framing
        self._buffer = FrameBuffer(framing)
        self._held = bytearray()
        self._answered: list[Response] = []
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
        """See Conversation."""
        if self._is_flushed:
            self._held.clear()
            self._answered.clear()
            self._is_flushed = False

    def take_back(self) -> None:
        """See Conversation."""
        for response in reversed(self._answered):
            self._service.take_back(response)
        self._answered.clear()

    def _answer_one(self, message: bytes) -> None:
        try:
            response = self._service.answer(protobuf.decode_request(message))
        except RequestError as error:
            # If not even the first message is one, this was never a frame.
            self.is_over = self._is_first and isinstance(error, UnknownRequestError)
            self._say(protobuf.encode_error(error))
        else:
            self._answered.append(response)
            self._say(protobuf.encode_response(response))
            self._is_flushed |= isinstance(response, Flushed)
        self._is_first = False

    def _say(self, message: bytes) -> None:
        self._held += encode_frame(self._framing, message)
