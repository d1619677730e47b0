"""The control socket in the client's folder, over which commands talk to the running client."""

import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from nym.errors import NoPageError, RequestError
from nym.net.peers import OwnerOnly
from nym.onlookers import Onlooker, Onlookers
from nym.service import Service
from nym.sockets.conversation import Asked, Conversation
from nym.sockets.local import LocalSocket
from nym.sockets.objects import LinesConversation
from nym.wire import json_answers, sightings
from nym.wire.answers import PageLink, Response, Room
from nym.wire.requests import Observe, Page, Request


class ControlSocket(LocalSocket):
    """Always speaks JSON lines, whatever the socket for applications speaks.

    Only this user can connect to it, because it is a UNIX socket (nym.net.listening). Whoever
    connects all the same is refused. `page` returns the link to the client's page; None if there is
    none.
    """

    kind = "control socket"

    def __init__(
        self,
        service: Service,
        onlookers: Onlookers,
        page: Callable[[], str | None],
        path: Path,
        most_connections: int,
    ) -> None:
        super().__init__(service, path, most_connections)
        self._onlookers = onlookers
        self._page = page
        self._guard = OwnerOnly(path)

    def _refusal(self, connection: socket.socket) -> RequestError | None:
        # First, so that a stranger never takes anybody's place.
        return self._guard.refusal(connection) or super()._refusal(connection)

    def _begin(self, connection: socket.socket) -> tuple[bytes, Conversation]:
        return b"", ControlConversation(self._service, self._onlookers, self._page)


class ControlConversation(LinesConversation):
    """JSON lines, with requests that applications don't have.

    One tells real packets from cover. The other gives the link to the page, which may do more than
    applications may.
    """

    def __init__(
        self, service: Service, onlookers: Onlookers, page: Callable[[], str | None]
    ) -> None:
        super().__init__(service)
        self._onlookers = onlookers
        self._page = page
        self._onlooker: Onlooker | None = None

    @property
    def is_listening(self) -> bool:
        """See Conversation."""
        return super().is_listening or self._onlooker is not None

    def unasked(self) -> Iterator[bytes]:
        """See Conversation. Raises TimeoutError if an observer is too slow."""
        yield from super().unasked()
        if self._onlooker is not None and not self.is_over:
            for seen in self._onlooker.news():
                yield from self._pack([sightings.encode(seen)])

    def end(self) -> None:
        """See Conversation."""
        try:
            super().end()
        finally:
            if self._onlooker is not None:
                self._onlookers.remove(self._onlooker)
                self._onlooker = None

    def _asked_object(self, body: dict[str, Any]) -> Asked:
        request: Request
        match body.get("type"):
            case "observe":
                request = Observe()
            case "page":
                request = Page()
            case _:
                return super()._asked_object(body)
        return Asked(request, partial(self._encode, json_answers.TEXT), self.encode_error)

    def _perform(self, request: Request, room: Room) -> Response:
        match request:
            case Page():
                if (link := self._page()) is None:
                    raise NoPageError
                return PageLink(link)
            case Observe():
                if self._onlooker is None:
                    self._check_room_to_listen()
                    self._onlooker = self._onlookers.add(self.news.set)
                return self._onlookers.rates
            case _:
                return super()._perform(request, room)
