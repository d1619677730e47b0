"""What is said on a WebSocket once it is open (docs/protocol/sockets.md, "WebSocket")."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from wsproto.connection import Connection, ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Event, Message, Ping, TextMessage
from wsproto.frame_protocol import CloseReason

from nym.errors import RequestError
from nym.service import Service
from nym.sockets.conversation import Asked, JsonConversation, Remark
from nym.wire import json_objects
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
        return self._serve(self._asked())

    def farewell(self) -> bytes:
        """See Conversation."""
        going = CloseConnection(CloseReason.GOING_AWAY, "the client stops")
        return b"" if self.is_over else self._close(going)

    def _asked(self) -> Iterator[Asked | Remark]:
        for event in self._frames.events():
            match event:
                case Message():
                    yield from self._take(event)
                case Ping():
                    yield partial(self._send, event.response())
                case CloseConnection():  # the other side's, or what broke the protocol
                    yield partial(self._close, event)
            if self.is_over:
                return

    def _take(self, part: Message[Any]) -> Iterator[Asked | Remark]:
        is_text = isinstance(part, TextMessage)
        if not (is_text or self._is_mix):
            reason = f"binary messages are understood at {MIX} only"
            yield partial(self._close, CloseConnection(CloseReason.UNSUPPORTED_DATA, reason))
            return
        self._message += part.data.encode() if is_text else part.data
        if len(self._message) > LONGEST_FRAME:
            reason = f"a message of more than {LONGEST_FRAME} bytes"
            yield partial(self._close, CloseConnection(CloseReason.MESSAGE_TOO_BIG, reason))
        elif part.message_finished:
            message, self._message = bytes(self._message), bytearray()
            yield self._asked_text(message) if is_text else self._asked_binary(message)

    def _asked_binary(self, message: bytes) -> Asked | Remark:
        from nym.sockets import mix

        return mix.asked_binary(message, lambda data: self._send(BytesMessage(data)))

    def _asked_text(self, message: bytes) -> Asked | Remark:
        try:
            body = json_objects.parse(message)
        except RequestError as error:
            return self._mistake(error)
        if is_protobuf(body, is_mix=self._is_mix):
            from nym.sockets import mix

            return mix.asked_object(body, self._pack)
        try:
            return self._asked_object(body)
        except RequestError as error:
            return partial(self._encode_error, error)

    def _mistake(self, error: RequestError) -> Remark:
        if not self._is_mix:
            return partial(self._encode_error, error)
        from nym.sockets import mix

        return mix.error_object(error, self._pack)

    def _pack(self, text: str) -> bytes:
        return self._send(TextMessage(text))

    def _send(self, event: Event) -> bytes:
        # Who has closed already doesn't wait for an answer.
        return self._frames.send(event) if self._frames.state is ConnectionState.OPEN else b""

    def _close(self, event: CloseConnection) -> bytes:
        self.is_over = True
        return self._frames.send(event.response())
