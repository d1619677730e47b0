"""Framed protobuf over TCP (docs/protocol/sockets.md, "Framed protobuf").

A module of its own, so that protobuf is loaded only when an application speaks it.
"""

from collections.abc import Iterator
from functools import partial

from nym.errors import RequestError, UnknownRequestError
from nym.service import Service
from nym.sockets.conversation import Asked, Conversation, Remark
from nym.wire import protobuf
from nym.wire.answers import Flushed, Response
from nym.wire.framing import FrameBuffer, Framing, encode_frame
from nym.wire.sizes import LONGEST_FRAME

# Bytes of answers that are held back until a flush comes.
MOST_HELD = 4096


class FramedConversation(Conversation):
    """Holds answers back until a flush, and writes them together with the flush's own answer.

    The published client reads one answer and drops what arrived with it. If the flush's answer came
    in a write of its own, that client would take it for the answer to its next request.
    """

    def __init__(self, service: Service, framing: Framing) -> None:
        super().__init__(service)
        self._framing = framing
        self._buffer = FrameBuffer(framing)
        self._held = bytearray()  # answers that aren't written yet
        self._is_flushed = False  # whether the answer to a flush is among them
        self._is_first = True  # whether no frame has been read yet

    def answer(self, data: bytes) -> Iterator[bytes]:
        """See Conversation."""
        return self._gather(self._serve(self._each(self._buffer.feed, data, self._asked_frame)))

    def unasked(self) -> Iterator[bytes]:
        """See Conversation."""
        return self._gather(super().unasked())

    def rest(self) -> Iterator[bytes]:
        """See Conversation."""
        yield from self._gather(super().rest())
        yield from self._release()

    def encode_error(self, error: RequestError) -> bytes:
        """See Conversation."""
        return encode_frame(self._framing, protobuf.encode_error(error))

    def _gather(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Hold pieces back; yield them when it is time to write."""
        for piece in pieces:
            self._held += piece
            # Not at MOST_HELD yet: the flush may have been read together with these requests, and
            # then all answers leave in one write. LONGEST_FRAME limits the memory.
            if self._is_flushed or len(self._held) >= LONGEST_FRAME:
                yield from self._release()
        if self.is_over or len(self._held) >= MOST_HELD:
            yield from self._release()

    def _delivered(self) -> None:
        """Do nothing: the answers are held back, so they aren't delivered yet (`_release`)."""

    def _release(self) -> Iterator[bytes]:
        yield bytes(self._held)
        super()._delivered()
        self._held.clear()
        self._is_flushed = False

    def _asked_frame(self, message: bytes) -> Asked | Remark:
        is_first, self._is_first = self._is_first, False
        try:
            request = protobuf.decode_request(message)
        except RequestError as error:
            # If the first frame isn't a request, these bytes are most likely not frames at all.
            self.is_over = is_first and isinstance(error, UnknownRequestError)
            return partial(self.encode_error, error)
        return Asked(request, self._encode, self.encode_error, protobuf.ROOM, can_wait=True)

    def _encode(self, response: Response) -> Iterator[bytes]:
        self._is_flushed |= isinstance(response, Flushed)
        yield encode_frame(self._framing, protobuf.encode_response(response))
