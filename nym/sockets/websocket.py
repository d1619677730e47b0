"""What is said on a WebSocket once it is open (docs/protocol/sockets.md, "WebSocket")."""

from collections.abc import Iterator
from typing import Any

from wsproto.connection import Connection
from wsproto.events import BytesMessage, CloseConnection, Message, Ping, TextMessage
from wsproto.frame_protocol import CloseReason

from nym.errors import RequestError
from nym.service import Service
from nym.sockets.conversation import JsonConversation
from nym.wire import json_objects, protobuf
from nym.wire.detection import is_protobuf
from nym.wire.sizes import LONGEST_FRAME

MIX = "/mix"  # the one path where binary messages are understood


class WebSocketConversation(JsonConversation):
    """JSON objects in text messages, of either kind; protobuf in binary ones, at /mix."""

    def __init__(self, service: Service, frames: Connection, path: str) -> None:
        super().__init__(service)
        self._frames = frames
        self._is_mix = path == MIX
        self._message = bytearray()

    def answer(self, data: bytes) -> Iterator[bytes]:
        """See Conversation."""
        self._frames.receive_data(data)
        for event in self._frames.events():
            match event:
                case Message():
                    yield from self._take(event)
                case Ping():
                    yield self._frames.send(event.response())
                case CloseConnection():  # the other side's, or what broke the protocol
                    yield self._close(event)
            if self.is_over:
                return

    def farewell(self) -> bytes:
        """See Conversation."""
        going = CloseConnection(CloseReason.GOING_AWAY, "the client stops")
        return b"" if self.is_over else self._close(going)

    def _take(self, part: Message[Any]) -> Iterator[bytes]:
        is_text = isinstance(part, TextMessage)
        if not (is_text or self._is_mix):
            reason = f"binary messages are understood at {MIX} only"
            yield self._close(CloseConnection(CloseReason.UNSUPPORTED_DATA, reason))
            return
        self._message += part.data.encode() if is_text else part.data
        if len(self._message) > LONGEST_FRAME:
            reason = f"a message of more than {LONGEST_FRAME} bytes"
            yield self._close(CloseConnection(CloseReason.MESSAGE_TOO_BIG, reason))
        elif part.message_finished:
            message, self._message = bytes(self._message), bytearray()
            yield self._answer_text(message) if is_text else self._answer_binary(message)

    def _answer_binary(self, message: bytes) -> bytes:
        try:
            answer = protobuf.encode_response(self._serve(protobuf.decode_request(message)))
        except RequestError as error:
            answer = protobuf.encode_error(error)
        return self._frames.send(BytesMessage(answer))

    def _answer_text(self, message: bytes) -> bytes:
        encode_error = protobuf.encode_error_json if self._is_mix else json_objects.encode_error
        try:
            body = json_objects.parse(message)
            if not is_protobuf(body, is_mix=self._is_mix):
                encode_error = json_objects.encode_error
                return self._pack(self._answer_object(body))
            encode_error = protobuf.encode_error_json
            response = self._serve(protobuf.decode_json(body))
            return self._pack(protobuf.encode_response_json(response))
        except RequestError as error:
            return self._pack(encode_error(error))

    def _pack(self, text: str) -> bytes:
        return self._frames.send(TextMessage(text))

    def _close(self, event: CloseConnection) -> bytes:
        self.is_over = True
        return self._frames.send(event.response())
