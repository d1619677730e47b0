"""How a directory hands out lists of clients, and takes them.

docs/protocol/directory.md, "Lists by digest":

    GET  /api/presence/clients/DIGEST[?since=DIGEST]   the list, as the changes since another one
    POST /api/presence/clients/DIGEST                  by the provider that was asked for it

A list isn't signed: its digest is, in the topology and in the provider's post.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs

from nym.errors import RemoteFormatError
from nym.net.resource import body_of, said
from nym.net.threads import beside_the_hub
from nym.net.web import Answer, Environment, answer_with
from nym.nodes.lists import ClientLists
from nym.wire.clients import EMPTY, AddressList, Digest, longest_changes, parse_digest, read_list
from nym.wire.directory import SINCE

KEEP = 600  # seconds for which others may keep a list, which never changes
MOST_UPLOADING = 256 << 20  # bytes of all lists that come in at the same time

_BINARY = "application/octet-stream"


class ListService:
    """Answers requests for and with lists. Its methods raise RemoteFormatError for a bad one."""

    def __init__(self, lists: ClientLists, *, hands_out: bool) -> None:
        self._lists = lists
        self._hands_out = hands_out
        self._uploading = 0

    def hand_out(self, name: str, query: str) -> Answer:
        """The answer to GET for the list with this name, its digest."""
        digest = parse_digest(name)
        clients = self._lists.find(digest) if self._hands_out else None
        if clients is None:
            return said("404 Not Found", {"error": "no provider has this list of clients any more"})
        body = self._body(clients, _since(query))
        answer = answer_with("200 OK", _BINARY, body)
        keep = ("Cache-Control", f"public, max-age={KEEP}, immutable")
        return answer._replace(headers=[*answer.headers, keep])

    def take(self, name: str, environ: Environment) -> Answer:
        """The answer to POST of the list with this name, which somebody has asked for."""
        digest = parse_digest(name)
        if self._lists.find(digest) is not None:
            # Another provider with the same clients was asked for its list, too, and was faster.
            return said("201 Created", {"ok": True})
        since = self._lists.wanted(digest)
        longest = longest_changes(since.digest, digest)
        with self._room_for(longest):
            body = body_of(environ, longest)
            changes, clients = beside_the_hub(read_list, body, since, digest)
        self._lists.take(clients, changes, time.monotonic())
        return said("201 Created", {"ok": True})

    def _body(self, clients: AddressList, since: Digest) -> bytes:
        if since != EMPTY.digest:
            changes = beside_the_hub(self._lists.changes, since, clients.digest)
            if changes and len(changes.removed) + len(changes.added) < len(clients):
                return changes.encode()
        return clients.whole

    @contextmanager
    def _room_for(self, size: int) -> Iterator[None]:
        if self._uploading + size > MOST_UPLOADING:
            raise RemoteFormatError("too many lists of clients at once: post it again later")
        self._uploading += size
        try:
            yield
        finally:
            self._uploading -= size


def _since(query: str) -> Digest:
    values = parse_qs(query).get(SINCE)
    return parse_digest(values[0]) if values else EMPTY.digest
