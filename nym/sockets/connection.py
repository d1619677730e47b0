"""Moves the bytes of one connection, whatever its dialect.

The connection's own greenlet reads requests and writes answers. A connection that can be told
something without having asked just now (a subscriber, or a fetch that waits) gets a second greenlet
for that. A lock lets only one of them write at a time.
"""

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
WRITE_TIMEOUT = 30.0  # seconds in which an application has to take each piece of an answer
LINGER = 1.0  # seconds for which bytes are still read, and dropped, before a connection is closed

log = logging.getLogger(__name__)


class Visit:
    """A connection while it is served; made in the greenlet that serves it."""

    def __init__(self, connection: socket.socket) -> None:
        self.heard = time.monotonic()  # when something was read from the application last
        self.has_spoken = False
        self._connection = connection
        self._greenlet = cast("gevent.Greenlet[..., None]", gevent.getcurrent())
        self._conversation: Conversation | None = None
        self._teller: gevent.Greenlet[..., None] | None = None  # writes what nobody asked for now
        self._is_answering = False
        # Held while one answer, or one round of news, is written: its pieces must stay together,
        # or a line would have another one in its middle.
        self._turn = RLock()

    @property
    def is_listening(self) -> bool:
        """Whether the application waits to be told something."""
        return self._conversation is not None and self._conversation.is_listening

    def is_idle(self, long_ago: float) -> bool:
        """Whether the application waits for nothing, so that its place can be given to another.

        An answer that it hasn't read since `long_ago` doesn't count: otherwise connections that
        never read could take all places.
        """
        return not self.is_listening and (not self._is_answering or self.heard < long_ago)

    def converse(self, conversation: Conversation, data: bytes) -> None:
        """Answer the requests in `data` and in what is read, until one side ends the connection.

        Raises OSError.
        """
        self._conversation = conversation
        self.heard, self.has_spoken = time.monotonic(), True
        try:
            self._answer_all(conversation, data)
        except gevent.GreenletExit as reason:
            # Not blocking: an application that doesn't read must not hold up the client's stop.
            self._connection.setblocking(False)
            with suppress(OSError):
                self._connection.send(conversation.farewell(str(reason) or "the client stops"))
            raise
        finally:
            # The teller first, because it uses what `conversation.end` gives back. The inner
            # `finally` gives it back also when this greenlet is killed while the teller ends.
            try:
                if self._teller:
                    self._teller.kill()
            finally:
                conversation.end()

    def end(self, reason: str) -> None:
        """Tell the application the reason, where the dialect can, and close; returns at once."""
        self._greenlet.kill(gevent.GreenletExit(reason), block=False)

    def _answer_all(self, conversation: Conversation, data: bytes) -> None:
        # recv returns at once, without letting other greenlets run, as long as there is something
        # to read. So a fast application could keep the loop; `rest` prevents that.
        spell = Spell()
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
            # The second greenlet is made only now: most connections never wait for anything, and
            # there can be thousands of them.
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
            # The subscriber is gone, or doesn't read.
            log.debug("a subscriber's connection ended: %s", error)
        except Exception:
            log.exception("a subscriber could not be told, and its connection was ended")
        finally:
            # Without this greenlet nothing is told here any more. So the connection ends, instead
            # of staying open and silent. Its messages are kept for the next subscriber.
            with suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)


def write(connection: socket.socket, data: bytes) -> None:
    """Write all of `data`. Raises OSError, also if the application doesn't read for 30 s."""
    # Not the socket's own time-out: another greenlet waits in recv on the same socket, and the
    # time-out would end that wait, too.
    with gevent.Timeout(WRITE_TIMEOUT, TimeoutError("the application doesn't read")):
        connection.sendall(data)


def close_politely(connection: socket.socket) -> None:
    """Close the connection so that what was written last still arrives. Raises OSError."""
    # If bytes were unread at the close, the system would send a reset, and the application could
    # lose the answer. So they are read until the application closes, but for LINGER at most: it
    # may go on sending for ever.
    connection.shutdown(socket.SHUT_WR)
    connection.settimeout(LINGER)
    give_up = time.monotonic() + LINGER
    with suppress(TimeoutError):
        while connection.recv(LONGEST_READ) and time.monotonic() < give_up:
            pass
