"""Bytes over TCP and HTTP, each exchange with a limit on its length and a time for all of it."""

import logging
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import gevent
import requests

from nym.errors import RemoteFormatError, UnreachableError
from nym.wire.addresses import NodeAddress, is_loopback

TIMEOUT = 10.0  # seconds, for a whole exchange
PACKET_TIMEOUT = 5.0
LONGEST_HTTP_ANSWER = 16 << 20
_CHUNK = 1 << 16

log = logging.getLogger(__name__)


def send_packet(address: NodeAddress, packet: bytes) -> None:
    """Hand one packet to a node: one connection, one write (docs/protocol/mixnode.md).

    Raises UnreachableError.
    """
    with _connection(address, PACKET_TIMEOUT) as connection:
        # A node takes what its first read() brings for the whole packet.
        sent = connection.send(packet)
        if sent != len(packet):
            raise UnreachableError(f"{address} took {sent} of {len(packet)} bytes")


def exchange(address: NodeAddress, request: bytes, longest: int) -> bytes:
    """One request, the writing half shut down, and the answer: at most `longest` bytes of it.

    An answer that breaks off, or doesn't end, is what there is of it: a provider has deleted it
    already. Raises UnreachableError where there is nothing.
    """
    answer = bytearray()
    try:
        with _connection(address, TIMEOUT) as connection:
            connection.sendall(request)
            with suppress(OSError):  # a peer that has hung up already may have answered before
                connection.shutdown(socket.SHUT_WR)
            for chunk in read_to_end(connection, longest):
                answer += chunk
    except UnreachableError as error:
        if not answer:
            raise
        log.debug("an answer of which only %d bytes came: %s", len(answer), error)
    return bytes(answer)


def read_to_end(connection: socket.socket, longest: int) -> Iterator[bytes]:
    """What comes until the peer shuts down, or until there are `longest` bytes."""
    missing = longest
    while missing and (chunk := connection.recv(min(missing, _CHUNK))):
        missing -= len(chunk)
        yield chunk


def http_get(url: str) -> bytes:
    """The body of a 200 answer. Raises UnreachableError, RemoteFormatError."""
    with _http("GET", url, None) as answer:
        if answer.status_code != 200:
            raise RemoteFormatError(f"HTTP status {answer.status_code}")
        body = b""
        for chunk in answer.iter_content(_CHUNK):
            body += chunk
            if len(body) > LONGEST_HTTP_ANSWER:
                raise RemoteFormatError(f"more than {LONGEST_HTTP_ANSWER} bytes")
        return body


def http_clock(url: str) -> float | None:
    """The time at an HTTP server, in seconds since 1970, if it tells. Raises UnreachableError."""
    with _http("GET", url, None) as answer:
        try:
            return parsedate_to_datetime(answer.headers["Date"]).timestamp()
        except (KeyError, ValueError):
            return None


def http_post(url: str, body: bytes) -> None:
    """Post JSON; 200 and 201 are success. Raises UnreachableError, RemoteFormatError."""
    with _http("POST", url, body) as answer:
        if answer.status_code not in (200, 201):
            raise RemoteFormatError(f"{url} answers with HTTP status {answer.status_code}")


@contextmanager
def _http(method: str, url: str, body: bytes | None) -> Iterator[requests.Response]:
    with requests.Session() as session, _deadline(url, TIMEOUT):
        # A proxy from the environment is for the world, not for this machine.
        is_here = is_loopback(urlsplit(url).hostname or "")
        try:
            with session.request(
                method,
                url,
                data=body,
                headers={"Content-Type": "application/json"} if body else None,
                proxies={"no_proxy": "*"} if is_here else None,
                timeout=TIMEOUT,
                stream=True,
            ) as answer:
                yield answer
        except OSError as error:  # all of requests', and a REQUESTS_CA_BUNDLE that isn't there
            raise UnreachableError(f"{url} can't be reached: {_cause(error)}") from error


@contextmanager
def _connection(address: NodeAddress, seconds: float) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in address.ip else socket.AF_INET
    with _deadline(str(address), seconds), socket.socket(family, socket.SOCK_STREAM) as connection:
        try:
            connection.connect((address.ip, address.port))
            yield connection
        except OSError as error:
            raise UnreachableError(f"{address} can't be reached: {error}") from error


def _deadline(peer: str, seconds: float) -> gevent.Timeout:
    # Of the whole exchange: a socket's own time-out begins anew with each byte that drips in.
    return gevent.Timeout(seconds, UnreachableError(f"{peer} did not answer within {seconds:g} s"))


def _cause(error: BaseException) -> str:
    # requests wraps what happened several times; the innermost says it shortest.
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"its certificate isn't trusted: {error.verify_message}; "
            "REQUESTS_CA_BUNDLE can name a file with other authorities"
        )
    return str(error) or type(error).__name__
