"""Moves the bytes of one conversation, whatever its dialect."""

import logging
import socket
import time
from contextlib import suppress
from typing import cast

import gevent
from gevent.lock import RLock

from nym.net.spell import Spell
from nym.sockets.conversation import Conversation

LONGEST_READ = 1 << 16
WRITE_TIMEOUT = 30.0  # seconds in which an application has to take its answer
LINGER = 1.0

log = logging.getLogger(__name__)


class Visit:
    """A connection while it is served, in a greenlet of its own."""

    def __init__(self, connection: socket.socket) -> None:
        self.heard = time.monotonic()  # when something came from there last
        self.has_spoken = False
        self._connection = connection
        self._greenlet = cast("gevent.Greenlet[..., None]", gevent.getcurrent())
        self._conversation: Conversation | None = None
        self._teller: gevent.Greenlet[..., None] | None = None
        self._is_answering = False
        self._turn = RLock()  # answers and what is said unasked don't mix within a line

    @property
    def is_listening(self) -> bool:
        """Whether it waits to be told something."""
        return self._conversation is not None and self._conversation.is_listening

    def is_idle(self, long_ago: float) -> bool:
        """Whether it waits for nothing; an answer that it hasn't taken since `long_ago` is none."""
        return not self.is_listening and (not self._is_answering or self.heard < long_ago)

    def converse(self, conversation: Conversation, data: bytes) -> None:
        """Answer what `data` has and what is read, until either side ends it. Raises OSError."""
        self._conversation = conversation
        self.heard, self.has_spoken = time.monotonic(), True
        try:
            self._answer_all(conversation, data)
        except gevent.GreenletExit as reason:
            self._connection.setblocking(False)
            with suppress(OSError):
                self._connection.send(conversation.farewell(str(reason) or "the client stops"))
            raise
        finally:
            try:
                if self._teller:
                    self._teller.kill()
            finally:
                conversation.end()

    def end(self, reason: str) -> None:
        """Say goodbye, soon."""
        self._greenlet.kill(gevent.GreenletExit(reason), block=False)

    def _answer_all(self, conversation: Conversation, data: bytes) -> None:
        spell = Spell()  # as long as there is something to read, reading lets nobody else run
        while data := data or self._connection.recv(LONGEST_READ):
            self.heard, self._is_answering = time.monotonic(), True
            with self._turn:
                for piece in conversation.answer(data):
                    spell.rest()
                    write(self._connection, piece)
            self._is_answering = False
            if conversation.is_over:
                close_politely(self._connection)
                return
            # Most connections never listen: one greenlet is enough for them.
            if conversation.is_listening and not self._teller:
                self._teller = gevent.spawn(self._tell, conversation)
            data = b""
            spell.rest()
        with self._turn:
            for piece in conversation.rest():
                spell.rest()
                write(self._connection, piece)

    def _tell(self, conversation: Conversation) -> None:
        spell = Spell()
        try:
            while True:
                conversation.news.wait(conversation.patience())
                with self._turn:
                    for piece in conversation.unasked():
                        spell.rest()
                        write(self._connection, piece)
        except OSError as error:
            # A subscriber that is gone, or doesn't read.
            log.debug("a subscriber's connection ended: %s", error)
        except Exception:
            log.exception("a subscriber could not be told, and its connection was ended")
        finally:
            # Nobody stays connected to somebody who says nothing any more; the messages stay.
            with suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)


def write(connection: socket.socket, data: bytes) -> None:
    """Write all of it. Raises OSError, also when the application doesn't read."""
    # Not the socket's own time-out, which another greenlet's read would get, too.
    with gevent.Timeout(WRITE_TIMEOUT, TimeoutError("the application doesn't read")):
        connection.sendall(data)


def close_politely(connection: socket.socket) -> None:
    """Close, so that what was written last arrives. Raises OSError."""
    # Closing with bytes unread would reset the connection, and the answer with it.
    connection.shutdown(socket.SHUT_WR)
    connection.settimeout(LINGER)
    give_up = time.monotonic() + LINGER
    with suppress(TimeoutError):
        while connection.recv(LONGEST_READ) and time.monotonic() < give_up:
            pass
