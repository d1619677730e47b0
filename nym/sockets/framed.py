"""Framed protobuf; a module of its own, so that protobuf is loaded only where it is spoken."""

from collections.abc import Iterator
from functools import partial

from nym.errors import FrameError, RequestError, UnknownRequestError
from nym.service import Service
from nym.sockets.conversation import Asked, Conversation, Remark
from nym.wire import protobuf
from nym.wire.framing import FrameBuffer, Framing, encode_frame
from nym.wire.requests import Flushed, Response
from nym.wire.sizes import LONGEST_FRAME

# Answers wait for a flush until there are so many bytes of them.
MOST_HELD = 4096


class FramedConversation(Conversation):
    """Answers wait for a flush, and leave with its answer in one write."""

    def __init__(self, service: Service, framing: Framing) -> None:
        super().__init__(service)
        self._framing = framing
        self._buffer = FrameBuffer(framing)
        self._held = bytearray()
        self._is_flushed = False
        self._is_first = True

    def answer(self, data: bytes) -> Iterator[bytes]:
        """See Conversation."""
        return self._gather(self._serve(self._asked(data)))

    def unasked(self) -> Iterator[bytes]:
        """See Conversation."""
        return self._gather(super().unasked())

    def rest(self) -> Iterator[bytes]:
        """See Conversation."""
        yield from self._gather(super().rest())
        yield from self._let_go()

    def refusal(self, error: RequestError) -> bytes:
        """See Conversation."""
        return self._encode_error(error)

    def _gather(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self._held += piece
            # A flush that was read with them leaves with its answers, unless they are too many.
            if self._is_flushed or len(self._held) >= LONGEST_FRAME:
                yield from self._let_go()
        if self.is_over or len(self._held) >= MOST_HELD:
            yield from self._let_go()

    def _delivered(self) -> None:
        """See Conversation; what was answered is held back as yet."""

    def _let_go(self) -> Iterator[bytes]:
        yield bytes(self._held)
        super()._delivered()
        self._held.clear()
        self._is_flushed = False

    def _asked(self, data: bytes) -> Iterator[Asked | Remark]:
        try:
            for message in self._buffer.feed(data):
                yield self._asked_frame(message)
                self._spell.rest()
                if self.is_over:
                    return
        except FrameError as error:
            self.is_over = True
            yield partial(self._encode_error, error)

    def _asked_frame(self, message: bytes) -> Asked | Remark:
        is_first, self._is_first = self._is_first, False
        try:
            request = protobuf.decode_request(message)
        except RequestError as error:
            # If not even the first message is one, this was never a frame.
            self.is_over = is_first and isinstance(error, UnknownRequestError)
            return partial(self._encode_error, error)
        return Asked(request, self._encode, self._encode_error, protobuf.ROOM, can_wait=True)

    def _encode(self, response: Response) -> Iterator[bytes]:
        self._is_flushed |= isinstance(response, Flushed)
        yield encode_frame(self._framing, protobuf.encode_response(response))

    def _encode_error(self, error: RequestError) -> bytes:
        return encode_frame(self._framing, protobuf.encode_error(error))
