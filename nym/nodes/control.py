"""The control socket of a node: commands such as `status` ask the running node over it.

Requests and answers are JSON objects, one per line, as on a client's control socket.
"""

import json
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gevent.pool import Pool

from nym.errors import RequestError, UnknownRequestError
from nym.net.listening import Server, UnixListener
from nym.net.peers import OwnerOnly
from nym.wire.lines import LineBuffer, whole

MOST_CONNECTIONS = 16
SILENCE = 60.0  # seconds
_CHUNK = 1 << 12  # bytes

log = logging.getLogger(__name__)

Report = Callable[[], dict[str, Any]]


class NodeControl:
    """Answers {"type": "status"} with a report. Only this user and root may ask.

    It is also what keeps two processes from running the node of one folder: only one can have it.
    """

    def __init__(self, path: Path) -> None:
        """Listen; commands wait for `serve`. Raises ListenError, LockedError."""
        self._listener = UnixListener(path)
        self._server = Server(self._listener.socket, self._serve, spawn=Pool(MOST_CONNECTIONS))
        self._guard = OwnerOnly(path)
        self._report: Report = dict

    def serve(self, report: Report) -> None:
        """Answer from now on."""
        self._report = report
        self._server.start()

    def stop(self) -> None:
        """Stop listening, and remove the socket's file."""
        self._server.stop(timeout=0)
        self._listener.close()

    def _serve(self, connection: socket.socket, _: Any) -> None:
        with connection:
            try:
                connection.settimeout(SILENCE)
                if refusal := self._guard.refusal(connection):
                    connection.sendall(_line(_error(refusal)))
                    return
                lines = LineBuffer()
                while data := connection.recv(_CHUNK):
                    for line in lines.feed(data):
                        connection.sendall(_line(self._answer(whole(line))))
            except (OSError, RequestError) as error:
                log.debug("a command's connection ended: %s", error)
            except Exception:
                log.exception("a command's connection was ended")

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
        except ValueError:
            request = None
        if not isinstance(request, dict) or request.get("type") != "status":
            return _error(UnknownRequestError("a node answers status"))
        return {"type": "status", **self._report()}


def _error(error: RequestError) -> dict[str, Any]:
    return {"type": "error", "code": error.code, "message": str(error)}


def _line(answer: dict[str, Any]) -> bytes:
    return json.dumps(answer).encode() + b"\n"
