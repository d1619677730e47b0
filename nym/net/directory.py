"""Asks a directory and posts to it, by the URL that users give it (docs/protocol/directory.md)."""

import time
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from nym.errors import RemoteFormatError, StatusError
from nym.net.http import http_get, http_post
from nym.net.threads import beside_the_hub
from nym.net.trust import Trust
from nym.reach import Reach, reach_of
from nym.wire.addresses import is_loopback
from nym.wire.clients import Digest, longest_changes
from nym.wire.directory import (
    BY_DIGEST,
    HEALTH_PATH,
    LISTS_PATH,
    SINCE,
    TAKES_HEADER,
    TOPOLOGY_PATH,
    Records,
    parse_topology,
)
from nym.wire.text import visible_url

# Seconds for a list of clients, which may have 32 MB; as long as our directories wait, too.
LIST_PATIENCE = 120.0
MOST_OFF = 300.0  # seconds between this machine's clock and a directory's that are still fine


class Listing(NamedTuple):
    """One answer of a directory: its records, its clock in seconds since 1970, and how near it is.

    `date` is None if the answer has no valid date. `key` is the trusted key that signed the answer,
    or None if no key is.
    """

    records: Records
    date: float | None
    reach: Reach
    directory: str
    key: bytes | None

    def clock_off(self) -> float | None:
        """How many seconds the directory's clock is ahead of this machine's; None if not known."""
        return None if self.date is None else self.date - time.time()


def fetch_topology(
    directory: str, trust: Trust | None = None, *, has_lists: bool = False
) -> Listing:
    """Ask the directory for all nodes. Raises RemoteError.

    With `trust`, an answer that isn't signed as it should be is an UnverifiedError. Lists of
    clients are named by their digests, unless `has_lists`, or the directory is a published one.
    """
    query = "" if has_lists else f"?{BY_DIGEST}"
    answer = http_get(_url(directory, TOPOLOGY_PATH) + query)
    # Before anything is read of it.
    key = beside_the_hub(trust.check, directory, answer) if trust else None
    try:
        # Which addresses a directory may list depends on how near it is. The address at the other
        # end of the connection decides; with a proxy in between, only the URL is left.
        reach = reach_of(answer.peer) if answer.peer else reach_by_url(directory)
        # In a thread: anybody can post to a directory, and reading a long answer would hold up the
        # packets of the stream.
        records = beside_the_hub(parse_topology, answer.body)
        return Listing(records, answer.date, reach, directory, key)
    except RemoteFormatError as error:
        raise RemoteFormatError(
            f"there is no Nym directory at {visible_url(directory)}: {error}"
        ) from error


def reach_by_url(directory: str) -> Reach:
    """How near a directory is, as far as its URL tells.

    A directory whose name would have to be looked up counts as public. That is the safe mistake: a
    public directory may list only public addresses.
    """
    host = urlsplit(directory).hostname or ""
    if is_loopback(host):
        return Reach.LOOPBACK
    try:
        return reach_of(host)
    except ValueError:
        return Reach.PUBLIC


def post(
    directory: str, path: str, body: bytes, headers: Mapping[str, str] | None = None
) -> Mapping[str, str]:
    """Post to the directory, as nodes do; returns the answer's headers. Raises RemoteError."""
    return http_post(_url(directory, path), body, headers)


def takes_digests(directory: str) -> bool:
    """Whether the directory takes lists of clients by their digests. Raises RemoteError."""
    try:
        return announces_digests(http_get(_url(directory, HEALTH_PATH)).headers)
    except StatusError as error:
        return announces_digests(error.headers)


def announces_digests(headers: Mapping[str, str]) -> bool:
    """Whether an answer with these headers says so."""
    return headers.get(TAKES_HEADER) == BY_DIGEST


def post_list(directory: str, digest: Digest, changes: bytes) -> None:
    """Post the list of clients with this digest, as the changes since another one.

    Raises RemoteError.
    """
    headers = {"Content-Type": "application/octet-stream"}
    http_post(_url(directory, f"{LISTS_PATH}/{digest}"), changes, headers, LIST_PATIENCE)


def fetch_list(directory: str, digest: Digest, since: Digest) -> bytes:
    """Ask for the list with this digest; the answer may be the changes since another one.

    Raises RemoteError.
    """
    url = f"{_url(directory, LISTS_PATH)}/{digest}?{SINCE}={since}"
    return http_get(url, longest_changes(since, digest), LIST_PATIENCE).body


def _url(directory: str, path: str) -> str:
    # Not urljoin, which would drop the URL's own path.
    return directory.rstrip("/") + path
