"""The running client, as the commands beside it see it: JSON objects in lines, over its socket."""

import json
import shlex
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nym.cli.options import client_folder
from nym.errors import ConfigError, IdentityError, NotRunningError, NymError
from nym.net.listening import unix_address
from nym.sockets import CONTROL_SOCKET

PATIENCE = 30.0  # seconds for an answer


class RefusedError(NymError):
    """The client refused a request; `code` is its word for why."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.code: str = answer["code"]
        if self.code == "no_network":
            self.exit_code = 4
            super().__init__("no network is known yet; nym-client check says what is missing")
        else:
            super().__init__(answer["message"])


class Control:
    """One connection to a running client. What it can't carry out raises RefusedError."""

    def __init__(self, connection: socket.socket, client_id: str) -> None:
        self._connection = connection
        self._file = connection.makefile("rb")
        self._client_id = client_id

    def say(self, **request: object) -> None:
        """One request. Raises NotRunningError."""
        try:
            self._connection.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise self._gone() from error

    def hear(self) -> dict[str, Any]:
        """The next object. Raises NotRunningError, RefusedError."""
        answer = self.outcome()
        if isinstance(answer, RefusedError):
            raise answer
        return answer

    def outcome(self) -> "dict[str, Any] | RefusedError":
        """The next object, or the refusal in it. Raises NotRunningError."""
        try:
            line = self._file.readline()
        except TimeoutError as error:
            raise NotRunningError(
                f'the client "{self._client_id}" does not answer; has it too many connections?'
            ) from error
        except OSError as error:
            raise self._gone() from error
        if not line.endswith(b"\n"):
            raise self._gone()
        answer: dict[str, Any] = json.loads(line)
        return RefusedError(answer) if answer["type"] == "error" else answer

    def ask(self, **request: object) -> dict[str, Any]:
        """One request, and its answer, within PATIENCE seconds."""
        self._connection.settimeout(PATIENCE)
        self.say(**request)
        answer = self.hear()
        self._connection.settimeout(None)
        return answer

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self._connection.close()

    def _gone(self) -> NotRunningError:
        return NotRunningError(
            f'the client "{self._client_id}" has stopped; it sends what it accepted at its next '
            "start"
        )


@contextmanager
def control(client_id: str) -> Iterator[Control]:
    """A connection to the client with this id. Raises NotRunningError, IdentityError."""
    folder = existing_folder(client_id)
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            with unix_address(folder / CONTROL_SOCKET) as address:
                connection.connect(address)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise NotRunningError(
                f'the client "{client_id}" doesn\'t run; start it with: '
                f"nym-client tcpsocket --id {shlex.quote(client_id)}"
            ) from error
        except OSError as error:
            raise ConfigError(
                f"{folder / CONTROL_SOCKET} can't be used: {error.strerror}"
            ) from error
        talk = Control(connection, client_id)
        try:
            yield talk
        finally:
            talk.close()


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
