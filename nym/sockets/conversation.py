"""What is said on one connection: a class for each dialect. No bytes are read or written here.

A conversation takes the bytes that were read, and yields the pieces to write. The caller writes
each piece before it asks for the next one. So answers never pile up in memory, and when the caller
asks for more behind an answer's last piece, the whole answer has been written. Only then do the
messages in it leave the client. If the connection ends before, they stay for another application.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby, islice
from math import inf
from typing import Any, NamedTuple, TypeVar

from gevent.event import Event

from nym.errors import FrameError, RequestError
from nym.net.spell import Spell
from nym.service import Service
from nym.wire import raw
from nym.wire.answers import UNLIMITED, Response, Room
from nym.wire.requests import Acknowledge, Fetch, Flush, Reply, Request, Send

# Seconds that a fetch waits for a message if there is none. Published programs wait for one second
# after a send, then fetch once and take the first message of the answer. But a message takes 1.1 s
# on average, one in a hundred takes longer than 3 s, and one in ten thousand longer than 6 s. An
# application that has just sent something most likely waits for that message or for its answer.
FETCH_PATIENCE = 2.0
SENT_PATIENCE = 6.0  # from the last send on the connection
# Messages that are accepted together, by one commit of some milliseconds. More would keep others
# from their turn for longer.
MOST_TOGETHER = 200

Unit = TypeVar("Unit")  # a frame, or a line
T = TypeVar("T")


class Asked(NamedTuple):
    """A request, and the functions that write its answer, or the error in its place."""

    request: Request
    encode: Callable[[Response], Iterable[bytes]]
    encode_error: Callable[[RequestError], bytes]
    room: Room = UNLIMITED
    can_wait: bool = False  # whether a fetch that finds nothing waits for a message


# Writes an answer that doesn't need the service, such as the error for a broken request. It is
# called when all answers before it have been written.
Remark = Callable[[], bytes]


# Carries out requests of one kind by one commit, and returns an outcome for each.
_Together = Callable[[Service, Iterable[Any]], Sequence[Response | RequestError]]
_TOGETHER: dict[type[Request], _Together] = {
    Send: Service.send,
    Reply: Service.send,
    Acknowledge: Service.acknowledge,
}


def _together(asked: Asked | Remark) -> _Together | None:
    """What carries this out together with others of its kind; None: it is done by itself."""
    return _TOGETHER.get(type(asked.request)) if isinstance(asked, Asked) else None


class Conversation(ABC):
    """What is said on one connection in one dialect."""

    def __init__(self, service: Service) -> None:
        self.is_over = False  # whatever follows couldn't be understood, so the connection ends
        # Whether the socket has a place for one more connection that waits to be told something.
        self.may_listen: Callable[[], bool] = lambda: True
        self.news = Event()  # set when there may be something to write unasked
        self._service = service
        self._spell = Spell()
        self._answered: list[Response] = []  # encoded, and perhaps not written yet
        self._waiting: list[Asked] = []  # a fetch that found nothing, perhaps with its flush
        self._deadline = 0.0  # the monotonic time at which those in `_waiting` are answered
        self._sent = -inf  # the monotonic time of the last send on this connection
        self._is_watching = False  # whether the inbox sets `news`

    @property
    def is_listening(self) -> bool:
        """Whether there may be something to write unasked."""
        return bool(self._waiting)

    def patience(self) -> float | None:
        """Seconds until `unasked` has to be called even without news; None: no limit."""
        return max(0.0, self._deadline - time.monotonic()) if self._waiting else None

    @abstractmethod
    def answer(self, data: bytes) -> Iterator[bytes]:
        """Yield the pieces to write after `data` was read; none if a request isn't complete yet."""

    def rest(self) -> Iterator[bytes]:
        """Yield the pieces that are still to be written when the application sends no more."""
        return self._answer_waiting()

    def unasked(self) -> Iterator[bytes]:
        """Yield the pieces to write that don't answer a request that was read just now."""
        # Before looking: what arrives from here on sets it again, so it isn't missed.
        self.news.clear()
        if self._service.has_messages() or time.monotonic() >= self._deadline:
            yield from self._answer_waiting()

    def farewell(self, reason: str) -> bytes:
        """What to write when the client ends the connection, if the dialect has words for it."""
        return b""

    @abstractmethod
    def encode_error(self, error: RequestError) -> bytes:
        """What to write in the place of an answer, or if this connection isn't served at all."""

    def _each(
        self,
        feed: Callable[[bytes], Iterable[Unit]],
        data: bytes,
        asked: Callable[[Unit], Asked | Remark],
    ) -> Iterator[Asked | Remark]:
        """What is asked in each unit that `feed` makes of what was read.

        It raises FrameError at a broken one. Nothing that comes behind that is understood.
        """
        try:
            for unit in feed(data):
                yield asked(unit)
                self._spell.rest()
                if self.is_over:
                    return
        except FrameError as error:
            self.is_over = True
            yield partial(self.encode_error, error)

    def _delivered(self) -> None:
        """All answers have been written: the messages in them leave the client."""
        for response in self._answered:
            self._service.delivered(response)
        self._answered.clear()

    def end(self) -> None:
        """Nothing more can be written: messages that weren't delivered go back into the inbox."""
        # Each goes back before all others in the inbox, so the last one first keeps their order.
        for response in reversed(self._answered):
            self._service.take_back(response)
        self._answered.clear()
        if self._is_watching:
            self._service.inbox.unwatch(self.news.set)

    def _serve(self, asked: Iterable[Asked | Remark]) -> Iterator[bytes]:
        """Answer requests in their order; those that follow each other may share one commit."""
        for carry_out, group in groupby(asked, _together):
            if carry_out:
                # Answers must come in the order of the requests, so a fetch that waits is answered
                # first, with what is there.
                yield from self._answer_waiting()
                alike = (one for one in group if isinstance(one, Asked))
                while together := list(islice(alike, MOST_TOGETHER)):
                    yield self._commit(carry_out, together)
                continue
            for one in group:
                if isinstance(one, Asked) and self._may_wait(one):
                    self._wait(one)
                    continue
                yield from self._answer_waiting()
                if isinstance(one, Asked):
                    yield from self._answer_one(one)
                else:
                    yield one()

    def _may_wait(self, asked: Asked) -> bool:
        """Whether the answer may wait for a message.

        Any other request ends the waiting, because answers keep their order. The exception is the
        flush behind a fetch: framed applications send one, and its answer leaves in the same write
        as the answer to the fetch.
        """
        if self._waiting:
            return isinstance(asked.request, Flush) and len(self._waiting) == 1
        return (
            asked.can_wait
            and isinstance(asked.request, Fetch)
            and not self._service.has_messages()
            and self.may_listen()
        )

    def _wait(self, asked: Asked) -> None:
        if not self._waiting:
            now = time.monotonic()
            self._deadline = max(now + FETCH_PATIENCE, self._sent + SENT_PATIENCE)
        self._waiting.append(asked)
        self._watch()  # wakes the greenlet that waits for news, so that it learns the deadline

    def _watch(self) -> None:
        """Have `unasked` called now, and whenever there may be more messages."""
        if not self._is_watching:
            self._is_watching = True
            self._service.inbox.watch(self.news.set)
        self.news.set()

    def _answer_waiting(self) -> Iterator[bytes]:
        # Taken first: each answer gives other greenlets their turn, and is given only once.
        waiting, self._waiting = self._waiting, []
        for asked in waiting:
            yield from self._answer_one(asked)

    def _commit(self, carry_out: _Together, together: list[Asked]) -> bytes:
        """Carry out requests by one commit; returns their answers."""
        if carry_out is Service.send:
            self._sent = time.monotonic()
        outcomes = carry_out(self._service, self._rested(one.request for one in together))
        return b"".join(
            one.encode_error(outcome)
            if isinstance(outcome, RequestError)
            else b"".join(one.encode(outcome))
            for one, outcome in zip(together, outcomes, strict=True)
        )

    def _rested(self, some: Iterable[T]) -> Iterator[T]:
        for one in some:
            yield one
            self._spell.rest()

    def _answer_one(self, asked: Asked) -> Iterator[bytes]:
        try:
            response = self._perform(asked.request, asked.room)
        except RequestError as error:
            yield asked.encode_error(error)
            return
        self._answered.append(response)
        yield from asked.encode(response)
        # The caller has written the last piece, or it wouldn't have come back here.
        self._delivered()

    def _perform(self, request: Request, room: Room) -> Response:
        """Carry out a request. Raises a RequestError."""
        return self._service.answer(request, room)


class RawConversation(Conversation):
    """Raw bytes: one read is one request, and one write is its answer."""

    def answer(self, data: bytes) -> Iterator[bytes]:
        """See Conversation."""
        self.is_over = raw.ends_connection(data)
        return self._serve(map(self._asked, raw.split_requests(data)))

    def encode_error(self, error: RequestError) -> bytes:
        """See Conversation."""
        return raw.encode_error(error)

    def _asked(self, data: bytes) -> Asked | Remark:
        try:
            return Asked(raw.decode_request(data), _encode_raw, self.encode_error, raw.ROOM)
        except RequestError as error:
            return partial(self.encode_error, error)


def _encode_raw(response: Response) -> Iterator[bytes]:
    yield raw.encode_response(response)
