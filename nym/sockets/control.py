"""The control socket in the client's folder, over which commands talk to the running client."""

import socket

from nym.sockets.conversation import Conversation, LinesConversation
from nym.sockets.local import LocalSocket


class ControlSocket(LocalSocket):
    """Always speaks JSON lines, whatever the socket for applications speaks.

    Only this user can connect to it, because it is a UNIX socket (nym.net.listening).
    """

    kind = "control socket"

    def _begin(self, connection: socket.socket) -> tuple[bytes, Conversation]:
        return b"", LinesConversation(self._service)
