"""A line to the client: requests and their answers, and news that come unasked.

When the client restarts, a line breaks, and is opened again. Whether a request may be made again
then depends on what it does, so each one says it.
"""

import logging
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf

from nym.application.backend import Backend, Stream
from nym.application.errors import (
    BusyError,
    ClosedError,
    NotRunningError,
    ProtocolError,
    UnknownOutcomeError,
    refusal,
)
from nym.application.lines import Answer, LineBuffer, Request, encode
from nym.application.places import Place

RETRY = 0.2  # seconds between two attempts to connect
# Seconds in which the client takes or says nothing, after which it counts as hanging.
ANSWER_TIME = 30.0
# Seconds in which it may answer at least, however little time its program has.
SHORTEST_ANSWER_TIME = 1.0
DETAILS: Request = {"type": "ownDetails"}
LONGEST_WRITE = 1 << 18  # bytes that the client has to take in that time
_ANSWERS = {"reply": "send"}  # the types of answers, where they aren't those of requests
_NEWS = ("message", "failed", "gone")  # the types of what comes unasked

log = logging.getLogger(__name__)


class Endpoint:
    """A client, and the lines that are open to it."""

    def __init__(self, backend: Backend, place: Place, token: str | None, patience: float) -> None:
        self.backend = backend
        self.place = place
        self.token = token
        self.patience = patience  # seconds to wait for a client that doesn't run
        self.is_closed = False
        self._lines: set[Line] = set()

    @contextmanager
    def line(self, hello: Request) -> Iterator["Line"]:
        """A line that begins with the request `hello` each time when it is opened.

        Raises RuntimeError for whoever can't use it (Backend.check_caller).
        """
        self.backend.check_caller()
        line = Line(self, hello)
        self._lines.add(line)
        try:
            yield line
        finally:
            self._lines.discard(line)
            line.end()

    def patience_ends(self) -> float:
        """The time of the monotonic clock until which a call that begins now waits for it."""
        return time.monotonic() + self.patience

    def close(self) -> None:
        """End waits for news, in other threads and tasks, with ClosedError; answers still come."""
        self.backend.check_caller()
        self.is_closed = True
        for line in list(self._lines):
            line.interrupt()


class Line:
    """One connection at a time. It is used by one thread or task at a time."""

    def __init__(self, endpoint: Endpoint, hello: Request) -> None:
        self._endpoint = endpoint
        self._hello = hello
        self._stream: Stream | None = None
        self._was_open = False  # so if it isn't any more, the client has gone
        self._has_ended = False
        self._is_waiting = False  # for news, or for a client that is away
        self._failure = ""  # why it couldn't be opened the last time
        self._failed_at = -inf
        self._buffer = LineBuffer()
        self._heard: deque[Answer] = deque()  # what came and wasn't looked at
        self._news: deque[Answer] = deque()  # what came before an answer

    async def ask(self, request: Request, give_up: float, until: float = inf) -> Answer:
        """A question, and its answer; if the line breaks, it is asked again.

        For `give_up`, see `open`, for `until`, see `exchange`. Raises NotRunningError,
        RefusedError, ProtocolError, ClosedError.
        """
        await self._make_ready(give_up)
        try:
            return await self.exchange(request, until)
        except NotRunningError:
            if time.monotonic() >= until:
                raise
            await self.open(give_up)
        # Only once more: this request may be what breaks the line.
        return await self.exchange(request, until)

    async def insist(self, request: Request, give_up: float | None = None) -> Answer:
        """Like `ask`, but as often as the line breaks: for requests that can't be what breaks it.

        It waits until `give_up` (see `open`) for the client, and for its answer; None: as long as
        the user has patience for the client, and as usual for the answer.
        """
        self._endpoint.backend.check_caller()
        until = inf if give_up is None else give_up
        give_up = self._endpoint.patience_ends() if give_up is None else give_up
        while True:
            await self._make_ready(give_up)
            try:
                return await self.exchange(request, until)
            except NotRunningError:
                if time.monotonic() >= give_up:
                    raise
            await self._endpoint.backend.sleep(RETRY)

    async def ask_once(self, request: Request, give_up: float) -> Answer:
        """A request that must not be made twice, and its answer.

        For `give_up`, see `open`. Raises what that raises, and what `commit` raises.
        """
        await self._make_ready(give_up)
        return await self.commit(request)

    async def commit(self, request: Request) -> Answer:
        """Like `ask_once`, but over the connection that is open.

        Raises UnknownOutcomeError if it breaks, RefusedError, ProtocolError.
        """
        try:
            return await self.exchange(request)
        except NotRunningError as error:
            raise UnknownOutcomeError(
                f"nobody knows whether this {request['type']} was done: {error}"
            ) from error

    async def exchange(self, request: Request, until: float = inf) -> Answer:
        """A request, and its answer, over the connection that is open.

        A client counts as hanging if it hasn't answered at the time `until`. It is always given
        SHORTEST_ANSWER_TIME, and never more than ANSWER_TIME.

        Raises NotRunningError if it breaks, RefusedError, ProtocolError.
        """
        try:
            await self._write(encode(request), until)
            while (answer := await self._next(_time_to_answer(until)))["type"] in _NEWS:
                self._news.append(answer)
        except OSError as error:
            self.close()
            raise self.not_running(error) from error
        except BaseException:
            # Its answer may still come, and would be taken for that of the next request.
            self.close()
            self._was_open = False  # not the client ended it, but this program
            raise
        if answer["type"] == "error":
            raise refusal(answer["code"], answer["message"])
        if answer["type"] != _ANSWERS.get(str(request["type"]), request["type"]):
            self.close()
            raise ProtocolError(f"{self._title} answers {request['type']} with {answer['type']}")
        return answer

    async def news(self, until: float) -> Answer | None:
        """The next news; None if there are none before this time of the monotonic clock.

        What is there already is given even if the time is up. Waits as long for a client that has
        gone. Raises NotRunningError if it isn't back then, and RefusedError, ProtocolError,
        ClosedError.
        """
        self._endpoint.backend.check_caller()
        # In so little time, nothing could be heard of what is there.
        is_short = until - time.monotonic() < SHORTEST_ANSWER_TIME
        with self._waiting():
            # Only now: an endpoint that is closed later sees that this waits.
            self._check_open()
            while not self._news:
                if self._stream is None:
                    await self.open(until)
                if is_short and not self._heard:
                    is_short = not await self._has_answered(until)
                    continue
                try:
                    # Something may have come already, even if the time is up.
                    self._news.append(await self._next(max(0.0, until - time.monotonic())))
                except OSError:
                    self._check_open()
                    if time.monotonic() >= until:
                        return None
                    self.close()
            return self._news.popleft()

    async def _has_answered(self, until: float) -> bool:
        """Whether the client has answered a question, before which it writes what is there.

        Raises NotRunningError if it hasn't at the time `until`, ClosedError.
        """
        try:
            await self.exchange(DETAILS, until)
        except NotRunningError:
            self._check_open()
            if time.monotonic() >= until:
                raise
            return False
        return True

    def forget(self, message_id: str) -> None:
        """Drop the news about this message: it was acknowledged while it was offered again."""
        self._news = deque(news for news in self._news if news.get("id") != message_id)

    async def open(self, give_up: float) -> Answer:
        """Connect, and return the answer to the first request.

        This is tried until the time `give_up` of the monotonic clock. Raises NotRunningError,
        RefusedError, ProtocolError, ClosedError.
        """
        with self._waiting():
            return await self._opened(give_up)

    async def _opened(self, give_up: float) -> Answer:
        self.close()
        if self._was_open:
            log.warning("the connection to %s has broken; connecting again", self._title)
        is_said = self._was_open
        while True:
            self._check_open()
            try:
                answer = await self._connect(give_up)
            except (OSError, NotRunningError, BusyError) as error:
                failure = self.not_running(error)
                now = time.monotonic()
                if now >= give_up or isinstance(error, PermissionError):
                    self._failure, self._failed_at = str(failure), now
                    raise failure from error
            else:
                break
            if not is_said:
                log.warning("%s; waiting for it", failure)
                is_said = True
            await self._endpoint.backend.sleep(min(RETRY, give_up - now))
        if is_said:
            log.warning("connected to %s", self._title)
        self._was_open = True
        return answer

    def close(self) -> None:
        """Close the connection, and forget what came over it: the client offers it again."""
        if self._stream is not None:
            self._stream.close()
        self._stream = None
        self._buffer = LineBuffer()
        self._heard.clear()
        self._news.clear()

    def end(self) -> None:
        """Close the connection for good: whoever still has this line finds it closed."""
        self._has_ended = True
        self.close()

    def interrupt(self) -> None:
        """End a wait for news or the client; other threads and tasks call it."""
        if self._is_waiting and (stream := self._stream) is not None:
            stream.interrupt()

    async def _make_ready(self, give_up: float) -> None:
        """Connect, unless there is a connection that the client hasn't closed."""
        if self._stream is None or self._stream.has_ended():
            if self._failed_at >= give_up:
                # While this request waited for its turn, another one waited for the client.
                raise NotRunningError(self._failure)
            await self.open(give_up)

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        was_waiting, self._is_waiting = self._is_waiting, True
        try:
            yield
        finally:
            self._is_waiting = was_waiting

    async def _connect(self, until: float) -> Answer:
        """Raises OSError, NotRunningError, RefusedError, ProtocolError."""
        endpoint = self._endpoint
        try:
            self._stream = await endpoint.backend.connect(
                endpoint.place.address, _time_to_answer(until)
            )
            self._check_open()
            if endpoint.token is not None:
                await self._write(f"token {endpoint.token}\n".encode(), until)
            return await self.exchange(self._hello, until)
        except BaseException:
            # A line without its first request isn't open: no news would come over it.
            self.close()
            raise

    async def _write(self, data: bytes, until: float) -> None:
        """Raises OSError, TimeoutError if the client takes nothing."""
        for start in range(0, len(data), LONGEST_WRITE):
            piece = data[start : start + LONGEST_WRITE]
            await self._connected().write(piece, _time_to_answer(until))

    async def _next(self, seconds: float) -> Answer:
        """What comes next. Raises OSError, TimeoutError after so many seconds, ProtocolError."""
        while not self._heard:
            data = await self._connected().read(seconds)
            if not data:
                raise ConnectionResetError
            self._heard += self._buffer.feed(data)
        return self._heard.popleft()

    def _check_open(self) -> None:
        if self._endpoint.is_closed or self._has_ended:
            raise ClosedError("this connection was closed")

    def _connected(self) -> Stream:
        """Raises ConnectionError if there is no connection."""
        if self._stream is None:
            raise ConnectionResetError
        return self._stream

    @property
    def _title(self) -> str:
        return self._endpoint.place.title

    def not_running(self, error: Exception) -> NotRunningError:
        """The error that says what this one means."""
        title, start = self._title, self._endpoint.place.start
        match error:
            case NotRunningError():
                return error
            case FileNotFoundError() | ConnectionRefusedError():
                # A client that was killed leaves a socket behind, which refuses connections.
                return NotRunningError(f"{title} doesn't run; start it with: {start}")
            case ConnectionError():
                return NotRunningError(f"{title} has stopped; start it with: {start}")
            case TimeoutError() | BlockingIOError():
                return NotRunningError(f"{title} doesn't answer; it is stopped, or hangs")
        return NotRunningError(f"{title} can't be used: {error}")


def _time_to_answer(until: float) -> float:
    return min(ANSWER_TIME, max(SHORTEST_ANSWER_TIME, until - time.monotonic()))
