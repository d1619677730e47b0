"""HTTP servers of this program: gevent's, with limits on what peers can take.

There are limits on connections, also on those of one source, on the time for which a peer may be
silent, and on the time for a whole request with its answer: a peer that reads or writes a byte now
and then would otherwise keep its place for ever.
"""

import logging
import socket
from collections.abc import Callable, Iterable, Iterator
from io import BufferedReader
from typing import TYPE_CHECKING, Any, NamedTuple

import gevent
from gevent.pool import Pool
from gevent.pywsgi import WSGIHandler, WSGIServer

from nym.net.sources import Guarded, SourceLimits, Sources
from nym.net.spell import Spell

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

REQUEST_TIME = 120.0  # seconds from the wait for a request to the end of its answer
_PIECE = 1 << 17  # bytes

Headers = list[tuple[str, str]]
Environment = dict[str, Any]  # a request, as WSGI has it
_THEN = "nym.then"  # the key in a request's environment under which an upgrade's `then` is

log = logging.getLogger(__name__)


class Answer(NamedTuple):
    """What is sent for one request."""

    status: str
    headers: Headers
    body: bytes


class Upgrade(NamedTuple):
    """An answer after which the connection isn't HTTP's any more, but that of `then`.

    `then` gets what is read from the connection, and the connection, and ends when the connection
    does. Nothing limits its time but the server's end, which kills it.
    """

    status: str
    headers: Headers
    then: Callable[[BufferedReader, socket.socket], None]


def answer_with(status: str, kind: str, body: bytes) -> Answer:
    """An answer of this media type."""
    return Answer(status, [("Content-Type", kind), ("Content-Length", str(len(body)))], body)


class WebServer(Guarded, WSGIServer):
    """Answers each request with what `respond` returns for it.

    A connection may be silent for `silence` seconds.
    """

    def __init__(
        self,
        place: tuple[str, int],
        respond: Callable[[Environment], Answer | Upgrade],
        most_connections: int,
        most_per_source: int,
        silence: float,
        refused: dict[str, int] | None = None,
    ) -> None:
        self._respond = respond
        self.silence = silence
        self.sources = Sources(SourceLimits(connections=most_per_source), refused)
        self._open = Pool(most_connections)
        super().__init__(
            place, self._answer, log=None, error_log=log, handler_class=_Handler, spawn=self._open
        )

    def connections(self) -> int:
        """How many are open."""
        return len(self._open)

    def _answer(self, request: Environment, start_response: "StartResponse") -> Iterable[bytes]:
        answer = self._respond(request)
        write = start_response(answer.status, answer.headers)
        if isinstance(answer, Upgrade):
            write(b"")
            request[_THEN] = answer.then
            return []
        if request["REQUEST_METHOD"] == "HEAD":
            return []
        return _pieces(answer.body)


def _pieces(body: bytes) -> Iterator[bytes]:
    """A body as it is sent. gevent copies each piece, and many bodies may be on their way."""
    spell = Spell()  # a peer that reads fast leaves no other greenlet its turn
    for at in range(0, len(body), _PIECE):
        yield body[at : at + _PIECE]
        spell.rest()


class _Handler(WSGIHandler):
    """Ends connections that are silent, or too slow, even in the middle of a request."""

    def __init__(self, connection: socket.socket, address: Any, server: Any) -> None:
        connection.settimeout(server.silence)
        super().__init__(connection, address, server)

    def handle_one_request(self) -> Any:
        """See gevent."""
        # Not an exception, which could come up anywhere, but the end of the connection, which
        # every part of the server expects everywhere.
        self._timer = gevent.get_hub().loop.timer(REQUEST_TIME)
        self._timer.start(_shut_down, self.socket)
        try:
            return super().handle_one_request()
        finally:
            self._timer.stop()
            self._timer.close()

    def run_application(self) -> None:
        """See gevent. If the answer was an upgrade, `then` has the connection until it ends."""
        super().run_application()
        if self.environ and (then := self.environ.get(_THEN)):
            self._timer.stop()
            self.close_connection = True
            then(self.rfile, self.socket)

    def log_error(self, message: str, *arguments: Any) -> None:
        """Log a malformed request in one debug line: gevent's text quotes the peer's bytes."""
        log.debug("a malformed request")


def _shut_down(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError as error:
        log.debug("a connection that was too slow has ended already: %s", error)
