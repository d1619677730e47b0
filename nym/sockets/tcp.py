"""The TCP socket that applications talk to (docs/protocol/sockets.md)."""

import logging
import socket
import time
from contextlib import suppress
from typing import Any

import gevent
from gevent.event import Event
from gevent.lock import RLock
from gevent.pool import Pool
from gevent.server import StreamServer

from nym.listening import listen
from nym.service import Service
from nym.sockets.conversation import (
    Conversation,
    FramedConversation,
    JsonConversation,
    RawConversation,
)
from nym.wire.detection import UNDECIDED, Unframed, detect
from nym.wire.framing import Framing

MOST_CONNECTIONS = 64
LONGEST_READ = 1 << 16
DETECTION_TIME = 0.02  # seconds in which an old client writes a message after its length
WRITE_TIMEOUT = 30.0  # seconds in which an application has to take its answer
LINGER = 1.0

log = logging.getLogger(__name__)


class TcpSocket:
    """Listens, and answers each connection in a greenlet of its own."""

    def __init__(self, service: Service, host: str, port: int) -> None:
        self._service = service
        self._server = StreamServer((host, port), self._serve, spawn=Pool(MOST_CONNECTIONS))

    def start(self) -> int:
        """Listen; returns the port, which the system chose if it was 0. Raises ListenError."""
        return listen(self._server).port

    def stop(self) -> None:
        """Stop listening, and end all connections."""
        self._server.stop(timeout=0)

    def _serve(self, connection: socket.socket, peer: Any) -> None:
        with connection:
            try:
                self._converse(connection)
            except OSError as error:
                log.debug("an application's connection ended: %s", error)

    def _converse(self, connection: socket.socket) -> None:
        data = connection.recv(LONGEST_READ)
        if not data:
            return
        data, conversation = self._begin(connection, data)
        turn = RLock()  # answers and what is said unasked don't mix within a line
        news = conversation.news
        teller = gevent.spawn(_tell, connection, turn, conversation, news) if news else None
        try:
            while data:
                with turn:
                    _write(connection, conversation.answer(data))
                    conversation.delivered()
                if conversation.is_over:
                    _close_politely(connection)
                    return
                data = connection.recv(LONGEST_READ)
            with turn:
                _write(connection, conversation.rest())
                conversation.delivered()
        finally:
            if teller:
                teller.kill()
            conversation.end()

    def _begin(self, connection: socket.socket, data: bytes) -> tuple[bytes, Conversation]:
        """What was read to tell the dialect, and a conversation in it."""
        dialect = detect(data, is_all=False)
        if dialect is UNDECIDED:
            more = _read_soon(connection)
            data += more
            dialect = detect(data, is_all=not more)
        if isinstance(dialect, Framing):
            return data, FramedConversation(self._service, dialect)
        if dialect is Unframed.JSON:
            return data, JsonConversation(self._service)
        return data, RawConversation(self._service)


def _tell(connection: socket.socket, turn: RLock, conversation: Conversation, news: Event) -> None:
    try:
        while True:
            news.wait()
            with turn:
                _write(connection, conversation.unasked())
    except OSError as error:
        # A subscriber that is gone, or doesn't read: its connection ends, its messages stay.
        log.debug("a subscriber's connection ended: %s", error)
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)


def _write(connection: socket.socket, answer: bytes) -> None:
    # Not the socket's own time-out, which another greenlet's read would get, too.
    with gevent.Timeout(WRITE_TIMEOUT, TimeoutError("the application doesn't read")):
        connection.sendall(answer)


def _read_soon(connection: socket.socket) -> bytes:
    connection.settimeout(DETECTION_TIME)
    try:
        return connection.recv(LONGEST_READ)
    except TimeoutError:
        return b""
    finally:
        connection.settimeout(None)


def _close_politely(connection: socket.socket) -> None:
    # Closing with bytes unread would reset the connection, and the answer with it.
    connection.shutdown(socket.SHUT_WR)
    connection.settimeout(LINGER)
    give_up = time.monotonic() + LINGER
    with suppress(TimeoutError):
        while connection.recv(LONGEST_READ) and time.monotonic() < give_up:
            pass
