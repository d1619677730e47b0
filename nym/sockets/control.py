"""The control socket in the client's folder, over which commands talk to the running client."""

import socket
from pathlib import Path

from nym.errors import RequestError
from nym.net.peers import OwnerOnly
from nym.service import Service
from nym.sockets.conversation import Conversation, LinesConversation
from nym.sockets.local import LocalSocket


class ControlSocket(LocalSocket):
    """Always speaks JSON lines, whatever the socket for applications speaks.

    Only this user can connect to it, because it is a UNIX socket (nym.net.listening). Whoever
    connects all the same is refused.
    """

    kind = "control socket"

    def __init__(self, service: Service, path: Path, most_connections: int) -> None:
        super().__init__(service, path, most_connections)
        self._guard = OwnerOnly(path)

    def _refusal(self, connection: socket.socket) -> RequestError | None:
        # First, so that a stranger never takes anybody's place.
        return self._guard.refusal(connection) or super()._refusal(connection)

    def _begin(self, connection: socket.socket) -> tuple[bytes, Conversation]:
        return b"", LinesConversation(self._service)
