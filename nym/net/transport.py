"""Exchanges bytes with nodes over TCP; each exchange has a limit on its length and on its time."""

import logging
import socket
from contextlib import suppress

from nym.errors import UnreachableError
from nym.net.bare import BareSocket
from nym.net.boundary import deadline, translated
from nym.net.descriptors import lack_of_descriptors
from nym.net.outward import outward
from nym.net.places import experience
from nym.net.streams import closed_on_error, read_to_end
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
        connection = _connect_to_any(address, PACKET_TIMEOUT)
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
    answer = bytearray()
    try:
        with (
            deadline(address, TIMEOUT),
            translated(address),
            connect_to_any(address, TIMEOUT) as connection,
        ):
            connection.sendall(request)
            # A peer may answer and close before this. Its answer can still be read.
            with suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
            for chunk in read_to_end(connection, longest):
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


def connect_to_any(address: NodeAddress, seconds: float) -> socket.socket:
    """A connection to `address`, or to another address of the same name, for an exchange.

    Each address has its share of `seconds`, so that a silent one leaves time for the others. Raises
    OSError, and UnreachableError through a proxy, with which no names are looked up.
    """
    connection = _connect_to_any(address, seconds)
    if isinstance(connection, socket.socket):
        return connection
    with closed_on_error(connection):
        patient = socket.socket(connection.family, fileno=connection.fileno())
    connection.detach()
    return patient


def _connect_to_any(address: NodeAddress, seconds: float) -> BareSocket | socket.socket:
    if proxy := outward.proxy_to(address.ip):
        with deadline(address, seconds):
            return proxy.connect(*address)
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
