"""A directory, by the URL that people name it with (docs/protocol/directory.md)."""

from typing import NamedTuple
from urllib.parse import urlsplit

from nym.errors import RemoteFormatError
from nym.net.http import http_get, http_post
from nym.net.threads import beside_the_hub
from nym.reach import Reach, reach_of
from nym.wire.addresses import is_loopback
from nym.wire.directory import Records, parse_topology
from nym.wire.text import visible_url

TOPOLOGY_PATH = "/api/presence/topology"


class Listing(NamedTuple):
    """What it says of the network, and of the time (seconds since 1970), and how near it is."""

    records: Records
    date: float | None
    reach: Reach


def fetch_topology(directory: str) -> Listing:
    """Ask for all nodes. Raises RemoteError."""
    answer = http_get(_url(directory, TOPOLOGY_PATH))
    try:
        reach = reach_of(answer.peer) if answer.peer else reach_by_url(directory)
        return Listing(beside_the_hub(parse_topology, answer.body), answer.date, reach)
    except RemoteFormatError as error:
        raise RemoteFormatError(f"no Nym directory at {visible_url(directory)}: {error}") from error


def reach_by_url(directory: str) -> Reach:
    """How near a directory is, as far as that can be told without a connection to it.

    One whose name would have to be looked up is taken to be as far away as can be.
    """
    host = urlsplit(directory).hostname or ""
    if is_loopback(host):
        return Reach.LOOPBACK
    try:
        return reach_of(host)
    except ValueError:
        return Reach.PUBLIC


def post(directory: str, path: str, body: bytes) -> None:
    """Tell it something, as nodes do. Raises RemoteError."""
    http_post(_url(directory, path), body)


def _url(directory: str, path: str) -> str:
    return directory.rstrip("/") + path
