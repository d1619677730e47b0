"""What is said on a connection in JSON objects, one for each request and one for each answer.

Those who subscribe, or want reports, get more of them unasked.
"""

import time
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain
from math import inf
from typing import Any

from nym.errors import (
    AccessError,
    BusyError,
    IncompleteDataError,
    MessageTooLongError,
    RequestError,
)
from nym.service import Service
from nym.sockets.conversation import Asked, Conversation, Remark
from nym.subscriptions import Subscription
from nym.wire import json_answers, json_requests
from nym.wire.answers import PartKept, Response, Room, Subscribed
from nym.wire.lines import Line, LineBuffer, is_text
from nym.wire.pieces import Message, cut, gather, joined, with_last
from nym.wire.requests import (
    AddContact,
    Correspondents,
    Part,
    RemoveContact,
    RenameContact,
    Reply,
    Request,
    Send,
    Status,
    Subscribe,
)
from nym.wire.sizes import LONGEST_SEALED

MOST_PARTS = 1000  # of a message: each takes some memory besides its bytes
# What only the client's own page may ask, and what others are told. Other users' programs can use
# the port, too, and must neither name addresses nor learn who is written to without an address.
_FOR_THE_PAGE: dict[type[Request], str] = {
    AddContact: "only the client's own page adds contacts: nym-client contacts add",
    RenameContact: "only the client's own page renames contacts: nym-client contacts rename",
    RemoveContact: "only the client's own page removes contacts: nym-client contacts remove",
    Correspondents: "only the client's own page is told who is written to without an address",
}


class JsonConversation(Conversation):
    """JSON objects, one per request and one per answer; subscribers get more of them unasked."""

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._subscription: Subscription | None = None
        self._period = 0.0  # seconds between two reports; 0: none are wanted
        self._parts: list[Message] = []  # of the message that the next send in parts has
        self._next_report = inf  # when the next one is due, in seconds of the monotonic clock
        # Whether this is the client's own page, which has shown its token: then its owner speaks.
        # Applications may be other users' programs.
        self.is_own_page = False

    @property
    def is_listening(self) -> bool:
        """See Conversation."""
        return super().is_listening or self._subscription is not None or self._period > 0

    def patience(self) -> float | None:
        """See Conversation."""
        patience = super().patience()
        if not self._period:
            return patience
        due = max(0.0, self._next_report - time.monotonic())
        return due if patience is None else min(due, patience)

    def encode_error(self, error: RequestError) -> bytes:
        """See Conversation."""
        return b"".join(self._pack([json_answers.encode_error(error)]))

    def unasked(self) -> Iterator[bytes]:
        """See Conversation."""
        yield from super().unasked()
        if self._subscription is not None and not self.is_over:
            news = self._rested(self._subscription.news())
            packed = (self._pack(json_answers.encode_news(one)) for one in news)
            yield from joined(chain.from_iterable(packed))
        if time.monotonic() >= self._next_report and not self.is_over:
            self._next_report = time.monotonic() + self._period
            report = self._service.answer(Status())
            yield from self._pack(json_answers.encode_response(report, json_answers.TEXT))

    def end(self) -> None:
        """See Conversation; messages on offer to this subscriber are offered to others."""
        try:
            super().end()
        finally:
            if self._subscription is not None:
                self._subscription.end()
                self._subscription = None

    @abstractmethod
    def _pack(self, texts: Iterable[str]) -> Iterator[bytes]:
        """Yield the pieces to write for one object, whose JSON comes in the pieces `texts`."""

    def _asked_object(self, body: dict[str, Any]) -> Asked:
        """The request in a JSON object. Raises a RequestError."""
        request, message_format = json_requests.decode_request(body, self._spell.rest)
        if isinstance(request, Send | Reply) and request.is_in_parts:
            request = request._replace(message=self._put_together(), is_in_parts=False)
        encode = partial(self._encode, message_format)
        return Asked(request, encode, self.encode_error, json_answers.ROOMS[message_format])

    def _perform(self, request: Request, room: Room) -> Response:
        if isinstance(request, Part):
            return self._keep_part(request.part)
        if not self.is_own_page and (refusal := _FOR_THE_PAGE.get(type(request))):
            raise AccessError(refusal)
        if isinstance(request, Status):
            self._report_every(request.every)
        if not isinstance(request, Subscribe):
            return super()._perform(request, room)
        if self._subscription is None:
            self._check_room_to_listen()
            self._subscription = self._service.subscribe(request, self.news.set)
            self.news.set()  # for messages that are there already
        return Subscribed()

    def _keep_part(self, part: Message) -> PartKept:
        """Raises MessageTooLongError or IncompleteDataError, and drops all parts."""
        self._parts.append(part)
        length = sum(map(len, self._parts))
        if len(self._parts) > MOST_PARTS:
            self._parts.clear()
            raise IncompleteDataError(f"a message has at most {MOST_PARTS} parts; send longer ones")
        if length > LONGEST_SEALED:
            self._parts.clear()
            raise MessageTooLongError(length, LONGEST_SEALED)
        return PartKept(length)

    def _put_together(self) -> Message:
        """The message that came in parts. Raises IncompleteDataError if none came."""
        # The requests before this one have been answered, so all parts are here: a request is
        # only decoded when its turn has come.
        if not self._parts:
            raise IncompleteDataError("no part of a message came before")
        parts, self._parts = self._parts, []
        return gather(self._rested(piece for part in parts for piece in cut(part)))

    def _report_every(self, period: float) -> None:
        """Report from now on every `period` seconds; 0: no longer. Raises BusyError."""
        if period and not self.is_listening:
            self._check_room_to_listen()
        self._period = period
        self._next_report = time.monotonic() + period if period else inf
        self.news.set()  # wakes the greenlet that tells, so that it learns the deadline

    def _check_room_to_listen(self) -> None:
        """Raises BusyError."""
        if not self.may_listen():
            raise BusyError(
                "busy: no more connections can subscribe here; to allow more, raise "
                "socket.connections in config.toml"
            )

    def _encode(self, message_format: str, response: Response) -> Iterator[bytes]:
        return self._pack(json_answers.encode_response(response, message_format))


class LinesConversation(JsonConversation):
    """JSON objects in lines."""

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._buffer = LineBuffer()
        self._is_understood = False  # whether any line so far was a request

    def answer(self, data: bytes) -> Iterator[bytes]:
        """See Conversation."""
        # First what is there already: by asking anything, a subscriber learns that it has all.
        if self._subscription is not None and self.news.is_set():
            yield from self.unasked()
        yield from self._serve(self._each(self._buffer.feed, data, self._asked_line))

    def rest(self) -> Iterator[bytes]:
        """See Conversation."""
        line = self._buffer.rest()
        return self._serve([self._asked_line(line)] if line else [])

    def _asked_line(self, line: Line) -> Asked | Remark:
        try:
            asked = self._asked_object(json_requests.parse(line, self._spell.rest))
        except RequestError as error:
            # A packet that a mixnode forwards to this port can have lines behind its first bytes
            # that a stranger wrote. They must not be carried out, so the connection ends at a first
            # line that isn't text (nym.wire.lines).
            self.is_over = not (self._is_understood or is_text(line))
            return partial(self.encode_error, error)
        self._is_understood = True
        return asked

    def _pack(self, texts: Iterable[str]) -> Iterator[bytes]:
        for text, is_last in with_last(texts):
            yield f"{text}\n".encode() if is_last else text.encode()
