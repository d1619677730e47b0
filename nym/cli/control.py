"""The connection from a command to the running client: JSON objects, one per line, over a socket.

A client that is stopped (SIGSTOP), or hangs, doesn't answer. A command that waits for an answer
says so after SILENCE seconds. A command that only asks gives up after PATIENCE seconds. One that
has handed over messages keeps waiting, because only the client knows whether it has taken them.
"""

import json
import select
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from math import inf
from typing import Any

import gevent

from nym.cli.homes import CLIENT, CLIENTS, Home, Role, existing
from nym.cli.output import complain, watched_output
from nym.errors import ConfigError, NotRunningError, NymError, refusal
from nym.net.listening import unix_address
from nym.wire.lines import LineBuffer, whole

SILENCE = 3.5  # seconds without an answer, after which the command says that it waits
PATIENCE = 30.0  # seconds until a command gives up a question
ALIVE = 1.0  # seconds without news until the client is asked whether it is still there
STARTING = 5.0  # seconds that a client may take to start, on a slow machine, too
RETRY = 0.1  # seconds between two attempts to connect
LONGEST_READ = 1 << 16  # bytes of one read


class RefusedError(NymError):
    """The client refused a request; `code` is the word that says why (docs/protocol/sockets.md)."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.code: str = answer["code"]
        kind = refusal(self.code)
        self.exit_code = kind.exit_code
        super().__init__(kind.for_people or answer["message"])


class Control:
    """One connection to a running client. A request that the client refuses raises RefusedError.

    If one of the `watched` descriptors becomes readable while it waits, it raises BrokenPipeError,
    because nobody reads the output any more. It doesn't do so while `owes_word` is true: then the
    client must still be told of something that has already happened.
    """

    def __init__(self, connection: socket.socket, place: Home, watched: list[int]) -> None:
        self._connection = connection
        self._place = place
        self._watched = watched
        self._lines = LineBuffer()
        self._heard: deque[bytes] = deque()
        self._is_silent = False
        self._asked_at: float | None = None  # when `news` asked whether the client is there
        self.owes_word = False

    def say(self, **request: object) -> None:
        """Send one request; don't wait for its answer. Raises NotRunningError, RefusedError."""
        left = memoryview(json.dumps(request).encode() + b"\n")
        began = time.monotonic()
        while left:
            if self._wait(SILENCE, is_writing=True):
                try:
                    left = left[self._connection.send(left) :]
                except OSError as error:
                    raise self._last_word() from error
                began = time.monotonic()  # it took some of the bytes, so it isn't silent
            self._note_silence(began)

    def hear(self, patience: float = inf) -> dict[str, Any]:
        """The answer to a request, within `patience` seconds.

        Raises NotRunningError, and RefusedError if the client refused the request.
        """
        return _unless_refused(self.outcome(patience))

    def outcome(self, patience: float = inf) -> "dict[str, Any] | RefusedError":
        """Like `hear`, but returns a refusal instead of raising it."""
        began = time.monotonic()
        while not self._heard:
            if self._wait(SILENCE):
                self._read()
            elif time.monotonic() - began >= patience:
                raise NotRunningError(f"the {self._place} does not answer; it is stopped, or hangs")
            self._note_silence(began)
        return self._next()

    def news(self, until: float = inf, beside: Sequence[int] = ()) -> dict[str, Any] | None:
        """The next object from the client, whether it answers a request or not.

        None if there is none before `until` (as time.monotonic counts), or as soon as one of the
        files `beside` can be read. Raises what `hear` raises.
        """
        while True:
            while not self._heard:
                now = time.monotonic()
                if now >= until:
                    return None
                ready = self._wait(min(ALIVE, until - now), beside=beside)
                if self._connection in ready:
                    self._read()
                elif ready:
                    return None
                elif self._asked_at is None:
                    # If a client was killed, its connection is closed. If it hangs, the connection
                    # stays open, and only the missing answer to a question shows it.
                    self.say(type="ownDetails")
                    self._asked_at = now
                if self._asked_at is not None:
                    self._note_silence(self._asked_at)
            said = _unless_refused(self._next())
            if said["type"] != "ownDetails":
                return said
            self._asked_at = None

    def ask(self, **request: object) -> dict[str, Any]:
        """One request, and its answer within PATIENCE seconds. Raises what `hear` raises."""
        self.say(**request)
        return self.hear(PATIENCE)

    def _next(self) -> "dict[str, Any] | RefusedError":
        answer: dict[str, Any] = json.loads(self._heard.popleft())
        return RefusedError(answer) if answer["type"] == "error" else answer

    def _wait(
        self, seconds: float, *, is_writing: bool = False, beside: Sequence[int] = ()
    ) -> list[Any]:
        """What becomes ready within `seconds`: the connection, files `beside` it, or nothing."""
        watched = [] if self.owes_word else self._watched
        reading: list[Any] = [] if is_writing else [self._connection]
        writing: list[Any] = [self._connection] if is_writing else []
        readable, writable, _ = select.select([*watched, *reading, *beside], writing, [], seconds)
        if any(file in readable for file in watched):
            raise BrokenPipeError
        return [*readable, *writable]

    def _read(self) -> None:
        try:
            data = self._connection.recv(LONGEST_READ)
        except OSError as error:
            raise self._gone() from error
        if not data:
            raise self._gone()
        self._heard += map(whole, self._lines.feed(data))

    def _note_silence(self, began: float) -> None:
        """Tell the user once when a silence has become long, and once when it ends."""
        is_silent = not self._heard and time.monotonic() - began >= SILENCE
        if is_silent != self._is_silent:
            how = "does not answer; waiting for it" if is_silent else "answers again"
            complain(f"the {self._place} {how}")
        self._is_silent = is_silent

    def _last_word(self) -> NymError:
        """The error to raise when the client has closed the connection.

        The client may have said why before it did, as when it has too many connections.
        """
        try:
            while not self._heard:
                self._read()
            answer = self.outcome()
        except NymError as gone:
            return gone
        return answer if isinstance(answer, RefusedError) else self._gone()

    def _gone(self) -> NotRunningError:
        return NotRunningError(
            f"the {self._place} has stopped"
            + "; it sends what it accepted at its next start" * (self._place.role is CLIENT)
        )


def _unless_refused(answer: "dict[str, Any] | RefusedError") -> dict[str, Any]:
    if isinstance(answer, RefusedError):
        raise answer
    return answer


@contextmanager
def control(
    name: str,
    *,
    is_reader: bool = False,
    patience: float = 0.0,
    roles: Sequence[Role] = CLIENTS,
) -> Iterator[Control]:
    """A connection to the program with this id. Raises NotRunningError, IdentityError, ConfigError.

    With `is_reader`, answers go to standard output. When nobody reads that any more, waiting ends
    with BrokenPipeError. If the client doesn't run, it may be starting, so this waits for it for
    `patience` seconds.
    """
    with connected(existing(name, roles), is_reader=is_reader, patience=patience) as program:
        yield program


@contextmanager
def connected(place: Home, *, is_reader: bool = False, patience: float = 0.0) -> Iterator[Control]:
    """See `control`; for a program whose folder is known."""
    with ExitStack() as stack:
        connection = stack.enter_context(socket.socket(socket.AF_UNIX))
        watched = stack.enter_context(watched_output(is_reader))
        _reach(connection, place, patience)
        yield Control(connection, place, watched)


def is_running(place: Home) -> bool:
    """Whether this program runs. Raises ConfigError."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            _reach(connection, place, 0.0)
        except NotRunningError:
            return False
    return True


def _reach(connection: socket.socket, place: Home, patience: float) -> None:
    """Connect to a running program. Raises NotRunningError, ConfigError."""
    began = time.monotonic()
    while True:
        try:
            with unix_address(place.socket) as address:
                _connect(connection, address, place)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            # A program that was killed leaves a socket behind, which refuses connections.
            if time.monotonic() - began >= patience:
                raise NotRunningError(
                    f"the {place} doesn't run; start it with: {place.start}"
                ) from error
            gevent.sleep(RETRY)
        except OSError as error:
            raise ConfigError(f"{place.socket} can't be used: {error.strerror}") from error
        else:
            return


def _connect(connection: socket.socket, address: str, place: Home) -> None:
    """Raises OSError; NotRunningError if the program accepts no connection for PATIENCE seconds."""
    began, is_said = time.monotonic(), False
    connection.setblocking(False)
    while True:
        try:
            connection.connect(address)
        except BlockingIOError as error:
            # The queue of new connections is full. A program that is stopped doesn't empty it.
            waited = time.monotonic() - began
            if waited >= PATIENCE:
                raise NotRunningError(
                    f"the {place} takes no more connections; it is stopped, or hangs"
                ) from error
            if waited >= SILENCE and not is_said:
                complain(f"the {place} does not answer; waiting for it")
                is_said = True
            gevent.sleep(RETRY)
        else:
            return
