"""A directory, by the URL that people name it with (docs/protocol/directory.md)."""

from nym.net.http import Answer, http_get, http_post

TOPOLOGY_PATH = "/api/presence/topology"


def fetch_topology(directory: str) -> Answer:
    """What it says of the network. Raises RemoteError."""
    return http_get(_url(directory, TOPOLOGY_PATH))


def post(directory: str, path: str, body: bytes) -> None:
    """Tell it something, as nodes do. Raises RemoteError."""
    http_post(_url(directory, path), body)


def _url(directory: str, path: str) -> str:
    return directory.rstrip("/") + path
