"""The running client, as the commands beside it see it: JSON objects in lines, over its socket.

A client that is stopped, or hangs, answers nothing. A command that waits for it says so after
SILENCE seconds. What only asks gives up after PATIENCE; where messages are on their way, the
client is waited for.
"""

import json
import select
import shlex
import socket
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gevent

from nym.cli.options import client_folder
from nym.cli.output import complain, watched_output
from nym.errors import ConfigError, IdentityError, NotRunningError, NymError, refusal
from nym.net.listening import unix_address
from nym.sockets import CONTROL_SOCKET
from nym.wire.lines import LineBuffer, whole

SILENCE = 3.5  # seconds without an answer until it is said
PATIENCE = 30.0  # seconds until a question is given up
ALIVE = 1.0  # seconds without news until the client is asked whether it is there
RETRY = 0.1  # seconds until another try where too many commands wait already
LONGEST_READ = 1 << 16


class RefusedError(NymError):
    """The client refused a request; `code` is its word for why."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.code: str = answer["code"]
        kind = refusal(self.code)
        self.exit_code = kind.exit_code
        super().__init__(kind.for_people or answer["message"])


class Control:
    """One connection to a running client. What it can't carry out raises RefusedError.

    While it waits, `watched` descriptors that become readable raise BrokenPipeError, unless
    `owes_word`: the client is then to be told of something that has happened already.
    """

    def __init__(self, connection: socket.socket, client_id: str, watched: list[int]) -> None:
        self._connection = connection
        self._client_id = client_id
        self._watched = watched
        self._lines = LineBuffer()
        self._heard: deque[bytes] = deque()
        self._is_silent = False
        self._is_asked = False  # whether it is there
        self.owes_word = False

    def say(self, **request: object) -> None:
        """One request. Raises NotRunningError."""
        left = memoryview(json.dumps(request).encode() + b"\n")
        began = time.monotonic()
        while left:
            if self._is_ready(SILENCE, is_writing=True):
                try:
                    left = left[self._connection.send(left) :]
                except OSError as error:
                    raise self._last_word() from error
                began = time.monotonic()
            self._note_silence(began)

    def hear(self, patience: float | None = None) -> dict[str, Any]:
        """The answer to what was said, within `patience` seconds.

        Raises NotRunningError, RefusedError.
        """
        answer = self.outcome(patience)
        if isinstance(answer, RefusedError):
            raise answer
        return answer

    def outcome(self, patience: float | None = None) -> "dict[str, Any] | RefusedError":
        """The same, but for the refusal in it. Raises NotRunningError."""
        began = time.monotonic()
        while not self._heard:
            if self._is_ready(SILENCE):
                self._read()
            elif patience is not None and time.monotonic() - began >= patience:
                raise NotRunningError(
                    f'the client "{self._client_id}" does not answer; it is stopped, or hangs'
                )
            self._note_silence(began)
        answer: dict[str, Any] = json.loads(self._heard.popleft())
        return RefusedError(answer) if answer["type"] == "error" else answer

    def news(self) -> dict[str, Any]:
        """The next object, asked for or not, however long it takes. Raises as `hear` does."""
        while True:
            if not (self._heard or self._is_asked or self._is_ready(ALIVE)):
                self.say(type="ownDetails")
                self._is_asked = True
            said = self.hear()
            if said["type"] != "ownDetails":
                return said
            self._is_asked = False

    def ask(self, **request: object) -> dict[str, Any]:
        """One request, and its answer, within PATIENCE seconds."""
        self.say(**request)
        return self.hear(PATIENCE)

    def _is_ready(self, seconds: float, *, is_writing: bool = False) -> bool:
        """Whether it can be read, or written, within so many seconds."""
        wanted: list[Any] = [self._connection]
        watched = [] if self.owes_word else self._watched
        readable, writable, _ = select.select(
            [*watched, *([] if is_writing else wanted)],
            wanted if is_writing else [],
            [],
            seconds,
        )
        if any(file in readable for file in watched):
            raise BrokenPipeError
        return bool(readable or writable)

    def _read(self) -> None:
        try:
            data = self._connection.recv(LONGEST_READ)
        except OSError as error:
            raise self._gone() from error
        if not data:
            raise self._gone()
        self._heard += map(whole, self._lines.feed(data))

    def _note_silence(self, began: float) -> None:
        """Say when it begins, and when it ends."""
        is_silent = not self._heard and time.monotonic() - began >= SILENCE
        if is_silent != self._is_silent:
            how = "does not answer; waiting for it" if is_silent else "answers again"
            complain(f'the client "{self._client_id}" {how}')
        self._is_silent = is_silent

    def _last_word(self) -> NymError:
        """Why nothing can be said any more: what the client said before it hung up, else that."""
        try:
            while not self._heard:
                self._read()
            answer = self.outcome()
        except NymError as gone:
            return gone
        return answer if isinstance(answer, RefusedError) else self._gone()

    def _gone(self) -> NotRunningError:
        return NotRunningError(
            f'the client "{self._client_id}" has stopped; it sends what it accepted at its next '
            "start"
        )


@contextmanager
def control(client_id: str, *, is_reader: bool = False) -> Iterator[Control]:
    """A connection to the client with this id. Raises NotRunningError, IdentityError.

    Where what it says goes to standard output, `is_reader`, nothing is waited for any longer than
    somebody reads there: BrokenPipeError.
    """
    folder = existing_folder(client_id)
    with socket.socket(socket.AF_UNIX) as connection, watched_output(is_reader) as watched:
        try:
            with unix_address(folder / CONTROL_SOCKET) as address:
                _connect(connection, address, client_id)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise NotRunningError(
                f'the client "{client_id}" doesn\'t run; start it with: '
                f"nym-client tcpsocket --id {shlex.quote(client_id)}"
            ) from error
        except OSError as error:
            raise ConfigError(
                f"{folder / CONTROL_SOCKET} can't be used: {error.strerror}"
            ) from error
        yield Control(connection, client_id, watched)


def _connect(connection: socket.socket, address: str, client_id: str) -> None:
    """Raises OSError; NotRunningError where the client takes nobody for PATIENCE seconds."""
    began, is_said = time.monotonic(), False
    connection.setblocking(False)
    while True:
        try:
            connection.connect(address)
        except BlockingIOError as error:  # so many wait already that the kernel takes no more
            waited = time.monotonic() - began
            if waited >= PATIENCE:
                raise NotRunningError(
                    f'the client "{client_id}" takes no more connections; it is stopped, or hangs'
                ) from error
            if waited >= SILENCE and not is_said:
                complain(f'the client "{client_id}" does not answer; waiting for it')
                is_said = True
            gevent.sleep(RETRY)
        else:
            return


def existing_folder(client_id: str) -> Path:
    """The folder of a client that was made. Raises IdentityError."""
    folder = client_folder(client_id)
    try:
        is_there = folder.is_dir()
    except OSError as error:
        raise ConfigError(f"{folder} can't be used: {error.strerror}") from error
    if not is_there:
        try:
            others = sorted(other.name for other in folder.parent.iterdir() if other.is_dir())
        except OSError:
            others = []
        there = f" (there are: {', '.join(others)})" if others else ""
        raise IdentityError(
            f'there is no client "{client_id}"{there}; make it with: '
            f"nym-client init --id {shlex.quote(client_id)}"
        )
    return folder
