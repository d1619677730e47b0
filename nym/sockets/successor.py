"""What is said on a WebSocket by applications for nym-client 1.1 (docs/protocol/sockets.md).

They get messages without asking for them, and acknowledge none: a message leaves the client once it
has been written to a connection.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from nym.errors import RequestError
from nym.service import Service
from nym.sockets.conversation import Asked, Remark
from nym.sockets.objects import JsonConversation
from nym.wire.answers import UNLIMITED, Fetched, OwnDetails, Response, Room, Sent
from nym.wire.requests import Fetch, Request
from nym.wire.successor import binary, texts
from nym.wire.successor.binary import BINARY, EARLY_BINARY, EARLY_GREETING
from nym.wire.successor.forms import Form, Wanted
from nym.wire.successor.texts import EARLY_TEXT, TEXT

# Each message leaves the client as soon as it is written, so that a connection that breaks costs no
# more than one message a second delivery.
_ONE = Room(most_bytes=0)


class SuccessorConversation(JsonConversation):
    """JSON objects, and the requests of nym-client 1.1: after one, messages come unasked."""

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._form: Form | None = None  # of the last of these requests; None: none has come

    @property
    def is_listening(self) -> bool:
        """See Conversation."""
        return super().is_listening or self._form is not None

    def unasked(self) -> Iterator[bytes]:
        """See Conversation."""
        yield from super().unasked()
        while self._form and self._service.has_messages() and not self.is_over:
            yield from self._answer_one(self._asked_in(self._form, Fetch(), room=_ONE))

    @abstractmethod
    def _written(self, pieces: Iterable[bytes], *, is_text: bool) -> Iterator[bytes]:
        """Yield the pieces to write for one message of the WebSocket."""

    def _asked_successor_object(self, body: dict[str, Any]) -> Asked | Remark:
        is_early = texts.is_early(body) or self._form is EARLY_TEXT
        decode = partial(texts.decode, body, self._spell.rest)
        return self._asked_successor(EARLY_TEXT if is_early else TEXT, decode)

    def _asked_successor_binary(self, message: bytes) -> Asked | Remark:
        is_greeting = message == EARLY_GREETING and self._form is not BINARY
        if is_greeting or self._form is EARLY_BINARY:
            return self._asked_successor(EARLY_BINARY, partial(binary.decode_early, message))
        return self._asked_successor(BINARY, partial(binary.decode, message))

    def _asked_successor(self, form: Form, decode: Callable[[], Wanted]) -> Asked | Remark:
        try:
            request, lane = decode()
            self._speak(form)
        except RequestError as error:
            return partial(self._encode_error_in, form, error)
        if request is None:
            return partial(self._queue_length, form, lane)
        return self._asked_in(form, request, lane)

    def _speak(self, form: Form) -> None:
        """Write messages in this form from now on, as they come. Raises BusyError."""
        if not self.is_listening:
            self._check_room_to_listen()
        if self._form is None:
            self._watch()
        self._form = form

    def _asked_in(
        self, form: Form, request: Request, lane: int | None = None, room: Room = UNLIMITED
    ) -> Asked:
        encode = partial(self._encode_in, form, lane)
        return Asked(request, encode, partial(self._encode_error_in, form), room)

    def _encode_in(self, form: Form, lane: int | None, response: Response) -> Iterator[bytes]:
        match response:
            case OwnDetails():
                yield self._packed(form, form.own_address(response))
            case Fetched(messages):
                for received in messages:
                    yield from self._written(form.received(received), is_text=form.is_text)
            case Sent():
                yield self._queue_length(form, lane)

    def _encode_error_in(self, form: Form, error: RequestError) -> bytes:
        return self._packed(form, form.error(error))

    def _queue_length(self, form: Form, lane: int | None) -> bytes:
        """What is answered to a message in this lane: nothing, if it has none."""
        if lane is None:
            return b""
        # There are no lanes here. Applications wait with more when this number grows.
        return self._packed(form, form.queue_length(lane, len(self._service.outbox)))

    def _packed(self, form: Form, message: bytes) -> bytes:
        return b"".join(self._written([message], is_text=form.is_text))
