"""The client's page: answers with its files (docs/protocol/pages.md).

A module of its own, so that nothing of it is loaded before somebody asks for the page.
"""

from http import HTTPStatus

from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from nym.errors import HandshakeError
from nym.web.page import Page

_PAGE = Page(
    "client",
    (
        *("client.css", "client.js", "compose.js", "connection.js", "contacts.js", "content.js"),
        *("conversations.js", "icon.svg", "messages.js", "network.js", "packet.js"),
        *("repeatedly.js", "state.js", "talk.js", "token.js", "traffic.js"),
    ),
)


def answer(request: Request) -> bytes:
    """The answer with the file that is asked for. Raises HandshakeError if there is none."""
    path = request.path.partition("?")[0]
    if path not in _PAGE:
        raise HandshakeError(
            HTTPStatus.NOT_FOUND,
            "there is nothing at this address: the page is at /, and a WebSocket needs the header "
            "Upgrade: websocket",
        )
    known, encodings = (
        ", ".join(request.headers.get_all(name)) for name in ("If-None-Match", "Accept-Encoding")
    )
    status, headers, body = _PAGE[path].answer(known, encodings)
    code, _, reason = status.partition(" ")
    if request.method == "HEAD":
        body = b""
    # Each file has a connection of its own, as each WebSocket has.
    return Response(
        int(code), reason, Headers([*headers, ("Connection", "close")]), body
    ).serialize()
