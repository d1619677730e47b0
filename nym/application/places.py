"""Where a client listens: the control socket in its folder, or where applications connect."""

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from nym.application import arguments
from nym.application.errors import NotRunningError

CONTROL_SOCKET = "client.sock"
UNIX = "unix:"  # in front of a path, as in the setting socket.host
LONGEST_UNIX = 107  # bytes of a UNIX socket's path: the system's limit


class Place(NamedTuple):
    """Where to connect: a path, or a host and a port. `title` and `start` are for errors."""

    address: Path | tuple[str, int]
    title: str
    start: str  # the command that starts the client


def place(id: str | None, host: str | None, port: int | None) -> Place:
    """The place that the arguments of `connect` name.

    Raises NotRunningError, ValueError, TypeError.
    """
    for name, value in (("id", id), ("host", host)):
        if value is not None:
            arguments.text(name, value)
    if port is not None:
        arguments.port("port", port)
    match id, host, port:
        case str(), None, None:
            return _control_socket(id)
        case None, str(), None if host.startswith(UNIX):
            path = Path(host.removeprefix(UNIX)).expanduser()
            return Place(path, f"the client at {path}", _start(f"--id ID --listen {host}"))
        case None, _, int():
            host = host or "127.0.0.1"
            return Place(
                (host, port), f"the client at {host}:{port}", _start(f"--id ID --port {port}")
            )
    raise ValueError("connect takes either the client's id, or a port, perhaps with a host")


def clients_folder() -> Path:
    """The folder with the folders of this user's clients. Raises NotRunningError.

    A relative path in XDG_CONFIG_HOME is ignored, as XDG's specification demands.
    """
    configured = os.environ.get("XDG_CONFIG_HOME", "")
    try:
        folder = Path(configured) if os.path.isabs(configured) else Path.home() / ".config"
    except RuntimeError as error:
        raise NotRunningError("this user has no home folder; set XDG_CONFIG_HOME") from error
    return folder / "nym" / "clients"


@contextmanager
def unix_address(path: Path) -> Iterator[str]:
    """`path` in a form that fits into a UNIX socket's address. Raises OSError.

    A path that is too long is reached through a descriptor of its folder, which is open meanwhile.
    """
    if len(os.fsencode(path)) <= LONGEST_UNIX:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _control_socket(id: str) -> Place:
    folder = clients_folder()
    quoted = shlex.quote(id)
    # isdir also says no where it can't be told, in every version of Python.
    if not id or not os.path.isdir(folder / id):
        raise NotRunningError(
            f'there is no client "{id}" in {folder}; make it with: nym-client init --id {quoted}'
        )
    return Place(folder / id / CONTROL_SOCKET, f'the client "{id}"', _start(f"--id {quoted}"))


def _start(options: str) -> str:
    return f"nym-client tcpsocket {options}"
