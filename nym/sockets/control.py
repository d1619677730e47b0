"""The client's own socket, in its folder: commands of this user talk to the running client here."""

import socket

from nym.sockets.conversation import Conversation, LinesConversation
from nym.sockets.local import LocalSocket


class ControlSocket(LocalSocket):
    """JSON objects in lines, whatever the socket for applications speaks."""

    kind = "control socket"

    def _begin(self, connection: socket.socket) -> tuple[bytes, Conversation]:
        return b"", LinesConversation(self._service)
