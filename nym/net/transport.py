"""Exchanges bytes with nodes over TCP; each exchange has a limit on its length and on its time."""

import logging
import socket
import time
from collections.abc import Iterator
from contextlib import closing, suppress

from nym.errors import UnreachableError
from nym.net.bare import BareSocket
from nym.net.boundary import deadline, translated
from nym.net.descriptors import lack_of_descriptors
from nym.net.outward import outward
from nym.net.places import experience
from nym.net.streams import CHUNK, closed_on_error
from nym.wire.addresses import NodeAddress

TIMEOUT = 10.0  # seconds for a whole exchange
PACKET_TIMEOUT = 5.0  # seconds to connect and hand over one packet
TRIAL_TIMEOUT = 1.0  # seconds to connect; trials stay on this machine, where this takes no time

log = logging.getLogger(__name__)


def send_packet(address: NodeAddress, packet: bytes) -> None:
    """Hand one packet to a node: one connection, one write (docs/protocol/mixnode.md).

    Raises UnreachableError.
    """
    # No deadline for the whole, which would be a timer for each packet: only connecting takes time,
    # and that has a limit of its own.
    with translated(address):
        connection = connect_to_any(address, PACKET_TIMEOUT)
        try:
            # A node of 0.4 takes what its first read() returns as the whole packet. So this is
            # `send`, not `sendall`, which would write the rest later: the node would see two broken
            # packets. The system holds it for a moment: with the end of the connection, it is one
            # segment.
            sent = connection.send(packet, socket.MSG_MORE)
        finally:
            connection.close()
    if sent != len(packet):
        raise UnreachableError(f"{address} took {sent} of {len(packet)} bytes")


def exchange(address: NodeAddress, request: bytes, longest: int) -> bytes:
    """Write a request, shut down the writing half, and read at most `longest` bytes of the answer.

    An answer that breaks off, or doesn't end in time, is returned as far as it came: the provider
    has already deleted the messages in it. Raises UnreachableError if not a single byte came, and
    through a proxy: many proxies, Tor among them, end a connection when one half of it is shut, so
    the answer would be lost, with the messages in it.
    """
    if proxy := outward.proxy_to(address.ip):
        raise UnreachableError(
            f"{address} is not asked without a sealed line, since {proxy} could lose the answer"
        )
    answer, until = bytearray(), time.monotonic() + TIMEOUT
    try:
        with translated(address), closing(connect_to_any(address, TIMEOUT)) as connection:
            connection.send(request)
            # A peer may answer and close before this. Its answer can still be read.
            with suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
            for chunk in arriving(connection, address, longest, until):
                answer += chunk
    except UnreachableError as error:
        if not answer:
            raise
        log.debug("only %d bytes of an answer arrived: %s", len(answer), error)
    return bytes(answer)


def try_connection(address: NodeAddress) -> None:
    """Connect, and send nothing. Raises UnreachableError."""
    with translated(address):
        _connect(address, TRIAL_TIMEOUT).close()


def try_place(place: NodeAddress) -> None:
    """Connect to a place whose host may be a name, and send nothing. Raises UnreachableError."""
    with deadline(place, PACKET_TIMEOUT), translated(place):
        socket.create_connection(place).close()


def connect_to_any(address: NodeAddress, seconds: float) -> BareSocket:
    """A connection to `address`, or to another address of the same name.

    Each address has its share of `seconds`, so that a silent one leaves time for the others. There
    is room for what is sent first, if it is short. Raises OSError, and UnreachableError through a
    proxy, with which no names are looked up.
    """
    if proxy := outward.proxy_to(address.ip):
        with deadline(address, seconds):
            return _bare(proxy.connect(*address))
    *others, last = experience.in_turn(address)
    share = seconds / (len(others) + 1)
    for place in others:
        try:
            return _connect(place, share)
        except OSError as error:
            # Without descriptors the other addresses fail in the same way.
            if lack_of_descriptors(error):
                raise
            log.debug("%s doesn't answer, trying another address of its name: %s", place, error)
    return _connect(last, share)


def arriving(
    connection: BareSocket, address: NodeAddress, longest: int, until: float
) -> Iterator[bytes]:
    """Yield what arrives until the peer shuts down its side, or `longest` bytes are there.

    Raises OSError, and UnreachableError at the monotonic time `until`, TIMEOUT seconds after the
    exchange began.
    """
    late = f"{address} did not answer within {TIMEOUT:g} s"
    while longest:
        if (left := until - time.monotonic()) <= 0:  # also if there is always another byte
            raise UnreachableError(late)
        try:
            chunk = connection.recv_within(left, min(longest, CHUNK))
        except TimeoutError as error:
            raise UnreachableError(late) from error
        if not chunk:
            return
        longest -= len(chunk)
        yield chunk


def _bare(connection: socket.socket) -> BareSocket:
    with closed_on_error(connection):
        bare = BareSocket(connection.family, connection.fileno())
    connection.detach()
    return bare


def _connect(place: NodeAddress, seconds: float) -> BareSocket:
    connection = BareSocket(socket.AF_INET6 if ":" in place.ip else socket.AF_INET)
    try:
        connection.connect_within(seconds, place)
    except BaseException as error:
        connection.close()
        # The deadline of the whole exchange, which is no OSError, is nothing against this address.
        if isinstance(error, OSError):
            experience.refused(place)
        raise
    experience.took(place)
    return connection
