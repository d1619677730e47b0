"""What is said on a WebSocket once it is open (docs/protocol/sockets.md, "WebSocket").

The websockets library reads frames and answers pings and closes. Long answers are framed here,
because the library would need all of an answer in one piece.
"""

import struct
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from nym.errors import RequestError
from nym.service import Service
from nym.sockets.conversation import Asked, Remark
from nym.sockets.successor import SuccessorConversation
from nym.wire import json_requests
from nym.wire.detection import is_protobuf
from nym.wire.long_json import flat
from nym.wire.successor.texts import is_request

MIX = "/mix"  # the path at which binary messages are protobuf
_DATA = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)


class WebSocketConversation(SuccessorConversation):
    """JSON objects or protobuf as JSON in text messages.

    Binary messages are protobuf at /mix, elsewhere those of nym-client 1.1.
    """

    def __init__(self, service: Service, protocol: ServerProtocol, path: str) -> None:
        super().__init__(service)
        self._protocol = protocol
        self._is_mix = path == MIX
        self._is_text = True  # whether the message that is being read is a text
        self._message = bytearray()  # the fragments of it so far

    def answer(self, data: bytes) -> Iterator[bytes]:
        """See Conversation."""
        self._protocol.receive_data(data)
        events = self._protocol.events_received()
        if self._protocol.state is State.OPEN:
            yield self._own_frames()  # pongs, which needn't wait for the answers
        yield from self._serve(self._asked(event for event in events if isinstance(event, Frame)))
        if self._protocol.state is not State.OPEN:
            self.is_over = True
            # The close frame comes behind the answers to the requests before it: an application
            # reads nothing behind a close.
            yield self._own_frames()

    def farewell(self, reason: str) -> bytes:
        """See Conversation."""
        self._fail(CloseCode.GOING_AWAY, reason)
        return self._own_frames()

    def _asked(self, frames: Iterable[Frame]) -> Iterator[Asked | Remark]:
        for frame in frames:
            if frame.opcode not in _DATA:
                continue  # the protocol answers pings and closes
            if frame.opcode is not Opcode.CONT:
                self._is_text = frame.opcode is Opcode.TEXT
            self._message += frame.data
            if not frame.fin:
                continue
            message, self._message = bytes(self._message), bytearray()
            if not self._is_text:
                yield self._asked_binary(message)
            elif _is_utf8(message):
                yield self._asked_text(message)
            else:
                self._fail(CloseCode.INVALID_DATA, "a text message must be UTF-8")
                return

    def _asked_binary(self, message: bytes) -> Asked | Remark:
        if not self._is_mix:
            return self._asked_successor_binary(message)
        from nym.sockets import mix

        return mix.asked_binary(message, partial(_frame, Opcode.BINARY))

    def _asked_text(self, message: bytes) -> Asked | Remark:
        try:
            body = json_requests.parse(message, self._spell.rest)
        except RequestError as error:
            return self._mistake(error)
        if is_protobuf(body, is_mix=self._is_mix):
            from nym.sockets import mix

            return mix.asked_object(flat(body), self._pack_one)
        if is_request(body):
            return self._asked_successor_object(body)
        return self._asked_body(body)

    def _asked_body(self, body: dict[str, Any]) -> Asked | Remark:
        try:
            return self._asked_object(body)
        except RequestError as error:
            return partial(self.encode_error, error)

    def _mistake(self, error: RequestError) -> Remark:
        if not self._is_mix:
            return partial(self.encode_error, error)
        from nym.sockets import mix

        return mix.error_object(error, self._pack_one)

    def _pack(self, texts: Iterable[str]) -> Iterator[bytes]:
        return self._written((text.encode() for text in texts), is_text=True)

    def _written(self, pieces: Iterable[bytes], *, is_text: bool) -> Iterator[bytes]:
        ready = []
        for piece in pieces:
            ready.append(piece)
            self._spell.rest()
        # One frame, because some programs can't join the fragments of a message. A frame begins
        # with its length, so all pieces have to be there before the first is written.
        yield _head(Opcode.TEXT if is_text else Opcode.BINARY, sum(map(len, ready))) + ready[0]
        yield from ready[1:]

    def _pack_one(self, text: str) -> bytes:
        return _frame(Opcode.TEXT, text.encode())

    def _own_frames(self) -> bytes:
        """The frames that the library wants to be written: pongs and closes."""
        return b"".join(self._protocol.data_to_send())

    def _fail(self, code: CloseCode, reason: str) -> None:
        """Close the WebSocket with this code, unless it is closing already."""
        if self._protocol.state is State.OPEN:
            self._protocol.fail(code, reason)


def _head(opcode: Opcode, length: int) -> bytes:
    """The beginning of a frame that is a whole message, and not masked (RFC 6455, 5.2)."""
    final = 0x80 | opcode
    if length < 126:
        return struct.pack(">BB", final, length)
    if length < 1 << 16:
        return struct.pack(">BBH", final, 126, length)
    return struct.pack(">BBQ", final, 127, length)


def _frame(opcode: Opcode, data: bytes) -> bytes:
    return Frame(opcode, data).serialize(mask=False)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
