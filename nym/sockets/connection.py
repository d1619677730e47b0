"""Moves the bytes of one conversation, whatever its dialect."""

import logging
import socket
import time
from contextlib import suppress

import gevent
from gevent.event import Event
from gevent.lock import RLock

from nym.net.spell import Spell
from nym.sockets.conversation import Conversation

MOST_CONNECTIONS = 64  # of one socket
LONGEST_READ = 1 << 16
WRITE_TIMEOUT = 30.0  # seconds in which an application has to take its answer
LINGER = 1.0

log = logging.getLogger(__name__)


def converse(connection: socket.socket, conversation: Conversation, data: bytes = b"") -> None:
    """Answer what `data` has and what is read, until either side ends it. Raises OSError."""
    spell = Spell()  # as long as there is something to read, reading lets nobody else run
    turn = RLock()  # answers and what is said unasked don't mix within a line
    news = conversation.news
    teller = gevent.spawn(_tell, connection, turn, conversation, news) if news else None
    try:
        while data := data or connection.recv(LONGEST_READ):
            with turn:
                for piece in conversation.answer(data):
                    spell.rest()
                    write(connection, piece)
            if conversation.is_over:
                close_politely(connection)
                return
            data = b""
            spell.rest()
        with turn:
            for piece in conversation.rest():
                spell.rest()
                write(connection, piece)
    except gevent.GreenletExit:
        connection.setblocking(False)
        with suppress(OSError):
            connection.send(conversation.farewell())
        raise
    finally:
        if teller:
            teller.kill()
        conversation.end()


def write(connection: socket.socket, data: bytes) -> None:
    """Write all of it. Raises OSError, also when the application doesn't read."""
    # Not the socket's own time-out, which another greenlet's read would get, too.
    with gevent.Timeout(WRITE_TIMEOUT, TimeoutError("the application doesn't read")):
        connection.sendall(data)


def _tell(connection: socket.socket, turn: RLock, conversation: Conversation, news: Event) -> None:
    spell = Spell()
    try:
        while True:
            news.wait()
            with turn:
                for piece in conversation.unasked():
                    spell.rest()
                    write(connection, piece)
    except OSError as error:
        # A subscriber that is gone, or doesn't read: its connection ends, its messages stay.
        log.debug("a subscriber's connection ended: %s", error)
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)


def close_politely(connection: socket.socket) -> None:
    """Close, so that what was written last arrives. Raises OSError."""
    # Closing with bytes unread would reset the connection, and the answer with it.
    connection.shutdown(socket.SHUT_WR)
    connection.settimeout(LINGER)
    give_up = time.monotonic() + LINGER
    with suppress(TimeoutError):
        while connection.recv(LONGEST_READ) and time.monotonic() < give_up:
            pass
