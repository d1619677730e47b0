"""Bytes over TCP, each exchange with a limit on its length and a time for all of it."""

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from nym.errors import UnreachableError
from nym.net.boundary import deadline, translated
from nym.net.descriptors import lack_of_descriptors
from nym.net.places import experience
from nym.wire.addresses import NodeAddress

TIMEOUT = 10.0  # seconds, for a whole exchange
PACKET_TIMEOUT = 5.0
TRIAL_TIMEOUT = 1.0
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


def try_connection(address: NodeAddress) -> None:
    """Connect, and say nothing. Raises UnreachableError."""
    with deadline(str(address), TRIAL_TIMEOUT), translated(str(address)):
        _connect(address, None).close()


@contextmanager
def _connection(address: NodeAddress, seconds: float) -> Iterator[socket.socket]:
    with (
        deadline(str(address), seconds),
        translated(str(address)),
        _connect_to_any(address, seconds) as connection,
    ):
        yield connection


def _connect_to_any(address: NodeAddress, seconds: float) -> socket.socket:
    """A connection to it, or to another address of the same name; none may take all the time."""
    *others, last = experience.in_turn(address)
    for place in others:
        try:
            return _connect(place, seconds / (len(others) + 1))
        except OSError as error:
            if lack_of_descriptors(error):
                raise
            log.debug("%s doesn't answer, another address of its name may: %s", place, error)
    return _connect(last, None)


def _connect(place: NodeAddress, seconds: float | None) -> socket.socket:
    family = socket.AF_INET6 if ":" in place.ip else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.settimeout(seconds)
        connection.connect((place.ip, place.port))
        connection.settimeout(None)
    except BaseException as error:  # gevent's time-outs, too
        connection.close()
        if isinstance(error, OSError):
            experience.refused(place)
        raise
    experience.took(place)
    return connection
