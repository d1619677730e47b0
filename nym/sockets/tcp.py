"""The TCP socket that applications talk to (docs/protocol/sockets.md)."""

import logging
import socket
from contextlib import suppress
from typing import Any

import gevent
from gevent.pool import Pool
from gevent.server import StreamServer

from nym.errors import RequestError
from nym.listening import listen
from nym.service import Service
from nym.wire import raw
from nym.wire.requests import Response

MOST_CONNECTIONS = 64
LONGEST_READ = 1 << 16
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
                while self._answer_one(connection):
                    pass
            except OSError as error:
                log.debug("an application's connection ended: %s", error)

    def _answer_one(self, connection: socket.socket) -> bool:
        """Read one request, answer it; False when that was the last."""
        connection.settimeout(None)
        data = connection.recv(LONGEST_READ)
        if not data:
            return False
        response: Response | None = None
        try:
            response = self._service.answer(raw.decode_request(data))
            answer = raw.encode_response(response)
        except RequestError as error:
            answer = raw.encode_error(error)
        try:
            connection.settimeout(WRITE_TIMEOUT)
            connection.sendall(answer)
        except (OSError, gevent.GreenletExit):
            if response is not None:
                self._service.take_back(response)
            raise
        if raw.ends_connection(data):
            _close_politely(connection)
            return False
        return True


def _close_politely(connection: socket.socket) -> None:
    # Closing with bytes unread would reset the connection, and the answer with it.
    connection.shutdown(socket.SHUT_WR)
    connection.settimeout(LINGER)
    with suppress(TimeoutError):
        while connection.recv(LONGEST_READ):
            pass
