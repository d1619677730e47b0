"""The published metrics socket, `GET /ws` of a directory: each metric, as it is posted.

docs/protocol/directory.md, "The metrics socket". Those who listen say nothing but pings, pongs and
the end. Each of them has a queue of what it hasn't read yet. One that doesn't keep up loses its
place, and nobody waits for it.
"""

import logging
import socket
import time
from collections import deque
from contextlib import suppress
from http import HTTPStatus
from io import BufferedReader

import gevent
from gevent.event import Event
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State

from nym.net.resource import said
from nym.net.spell import Spell
from nym.net.web import Answer, Environment, Upgrade
from nym.wire.handshake import answer_to, opened_protocol

PATH = "/ws"
MOST_LISTENERS = 300
MOST_BEHIND = 4 << 20  # bytes that a listener hasn't read yet; some seconds of the largest network
LONGEST_SAID = 512  # bytes of a message from a listener, none of which means anything
# Seconds between two pings. Whoever is there answers each of them, so that a connection which is
# silent for as long as the server allows is dead.
PING_PERIOD = 10.0
FAREWELL_TIME = 0.5  # seconds in which a listener can read why its connection ends
_READ = 1 << 12  # bytes
_HEADERS = ("Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version")

log = logging.getLogger(__name__)


class Feed:
    """All who listen."""

    def __init__(self) -> None:
        self._listeners: set[_Listener] = set()

    def __len__(self) -> int:
        return len(self._listeners)

    def tell(self, message: bytes) -> None:
        """Send everybody this JSON text; returns at once."""
        frame = Frame(Opcode.TEXT, message).serialize(mask=False)
        for listener in self._listeners:
            listener.say(frame)

    def open(self, request: Environment) -> Answer | Upgrade:
        """The answer to a request: it opens a WebSocket, or says why there is none."""
        if len(self) >= MOST_LISTENERS:
            return said("503 Service Unavailable", {"error": "too many listen already"})
        # HEAD gets what GET would get without them: it can't open anything.
        asked = _headers(request) if request["REQUEST_METHOD"] == "GET" else {}
        response = answer_to(PATH, asked)
        headers = list(response.headers.raw_items())
        status = f"{response.status_code} {response.reason_phrase}"
        if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            return Upgrade(status, headers, self._serve)
        kept = [(name, value) for name, value in headers if name in _HEADERS]
        sentence = "this address is for WebSockets; GET /api/metrics/mixes has the same metrics"
        return said(status, {"error": sentence}, kept)

    def _serve(self, reader: BufferedReader, connection: socket.socket) -> None:
        listener = _Listener(connection)
        self._listeners.add(listener)
        try:
            listener.serve(reader)
        finally:
            self._listeners.discard(listener)


class _Listener:
    """One WebSocket. Its own greenlet reads, and another one writes."""

    def __init__(self, connection: socket.socket) -> None:
        self._protocol = opened_protocol(LONGEST_SAID)
        self._connection = connection
        self._frames: deque[bytes] = deque()
        self._behind = 0  # bytes, with those that are being written
        self._news = Event()
        self._is_over = False

    def say(self, frames: bytes) -> None:
        """Send these frames; returns at once."""
        self._frames.append(frames)
        self._behind += len(frames)
        self._news.set()
        if self._behind > MOST_BEHIND:
            log.debug("a listener reads too slowly, and its connection was ended")
            self._hang_up()

    def serve(self, reader: BufferedReader) -> None:
        """Read until one side ends the connection, while everything that is said is written."""
        writer = gevent.spawn(self._write)
        try:
            self._read(reader)
        except OSError as error:
            log.debug("a listener's connection ended: %s", error)
        finally:
            # Also when the directory stops, which kills this greenlet.
            if self._protocol.state is State.OPEN:
                self._protocol.fail(CloseCode.GOING_AWAY, "the directory stops")
                self._say_own()
            self._is_over = True
            self._news.set()
            writer.join(FAREWELL_TIME)
            writer.kill()

    def _read(self, reader: BufferedReader) -> None:
        spell = Spell()
        while self._protocol.state is State.OPEN and (data := reader.read1(_READ)):
            self._protocol.receive_data(data)
            self._protocol.events_received()  # whatever it is, nobody asked for it
            self._say_own()
            spell.rest()

    def _say_own(self) -> None:
        """Say what the library wants to be said: pongs and closes."""
        for frames in self._protocol.data_to_send():
            self.say(frames)

    def _write(self) -> None:
        next_ping = time.monotonic() + PING_PERIOD
        try:
            while self._frames or not self._is_over:
                self._news.wait(next_ping - time.monotonic())
                self._news.clear()
                if time.monotonic() >= next_ping:
                    self.say(Frame(Opcode.PING, b"").serialize(mask=False))
                    next_ping = time.monotonic() + PING_PERIOD
                # What came in the meantime is written together.
                frames = b"".join(self._frames)
                self._frames.clear()
                self._connection.sendall(frames)
                self._behind -= len(frames)
        except OSError as error:
            log.debug("a listener couldn't be told: %s", error)
            self._hang_up()

    def _hang_up(self) -> None:
        with suppress(OSError):  # it has ended already
            self._connection.shutdown(socket.SHUT_RDWR)


def _headers(request: Environment) -> dict[str, str]:
    """The headers of a request that are about WebSockets."""
    names = {name: f"HTTP_{name.upper().replace('-', '_')}" for name in _HEADERS}
    return {name: request[key] for name, key in names.items() if key in request}
