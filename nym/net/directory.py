"""A directory, by the URL that people name it with (docs/protocol/directory.md)."""

from typing import NamedTuple

from nym.errors import RemoteFormatError
from nym.net.http import http_get, http_post
from nym.wire.directory import Records, parse_topology
from nym.wire.text import visible_url

TOPOLOGY_PATH = "/api/presence/topology"


class Listing(NamedTuple):
    """What it says of the network, read and as it came, and of the time (seconds since 1970)."""

    records: Records
    body: bytes
    date: float | None


def fetch_topology(directory: str) -> Listing:
    """Ask for all nodes. Raises RemoteError."""
    answer = http_get(_url(directory, TOPOLOGY_PATH))
    try:
        return Listing(parse_topology(answer.body), answer.body, answer.date)
    except RemoteFormatError as error:
        raise RemoteFormatError(f"no Nym directory at {visible_url(directory)}: {error}") from error


def post(directory: str, path: str, body: bytes) -> None:
    """Tell it something, as nodes do. Raises RemoteError."""
    http_post(_url(directory, path), body)


def _url(directory: str, path: str) -> str:
    return directory.rstrip("/") + path
