"""What a mixnode is measured with: packets for it, who sends them, and the node behind it."""

import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple, Self, TypeVar

from benchmarks import stamps
from nym.identity import generate_identity
from nym.sphinx import Final, Hop, Request, create_packets, process_packet
from nym.wire.addresses import NodeAddress, encode_address
from nym.wire.sizes import PACKET_LENGTH

SILENCE = 5.0  # seconds after which no more packets come
_NUMBER = 4  # bytes of a packet's number

Sent = TypeVar("Sent")


class Arrival(NamedTuple):
    """A packet that came out of the mixnode, and when the kernel had it, as time.time() counts."""

    at: float
    packet: bytes


class Sink:
    """The node behind the mixnode: it takes packets, each on a connection of its own."""

    def __init__(self) -> None:
        self._own = generate_identity()
        self._server = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self._server.settimeout(SILENCE)
        stamps.ask(self._server)
        self._address = NodeAddress(*self._server.getsockname())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def packets(self, mixnode: NodeAddress, key: bytes, count: int) -> list[bytes]:
        """Packets that come here through this mixnode, without delay, numbered from 0 on."""
        own = self._own.public_key
        route = [Hop(encode_address(mixnode), key, 0), Hop(encode_address(self._address), own, 0)]
        return create_packets(
            Request(number.to_bytes(_NUMBER, "big"), route, own) for number in range(count)
        )

    def number(self, packet: bytes) -> int:
        """The number of a packet that came here."""
        final = process_packet(packet, self._own.private_key)
        assert isinstance(final, Final)
        return int.from_bytes(final.message(), "big")

    def take(self, count: int, send: Callable[[], Sent]) -> tuple[Sent, list[Arrival]]:
        """Let `send` send so many packets; returns its result, and those that came, in turn.

        The end is when all have come, or no more come.
        """
        arrived: list[Arrival] = []
        with ThreadPoolExecutor(1) as sender:
            sending = sender.submit(send)
            # A mixnode that is too busy refuses some.
            with suppress(TimeoutError):
                while len(arrived) < count:
                    connection, _ = self._server.accept()
                    with connection:
                        packet, ancillary, _, _ = connection.recvmsg(
                            PACKET_LENGTH, stamps.SPACE, socket.MSG_WAITALL
                        )
                    if len(packet) == PACKET_LENGTH:
                        # The first packet of all can come before the kernel stamps any.
                        at = stamps.stamp(ancillary) or time.time()
                        arrived.append(Arrival(at, packet))
        return sending.result(), arrived


def send(node: NodeAddress, packets: list[bytes], gap: float) -> list[float]:
    """Send these packets, each on a connection of its own, `gap` seconds apart.

    Returns when each was about to be written, once its connection stood, as time.time() counts.
    """
    times: list[float] = []
    due = time.monotonic()
    for packet in packets:
        due += gap
        time.sleep(max(0.0, due - time.monotonic()))
        with socket.create_connection(node) as connection:
            times.append(time.time())
            connection.sendall(packet)
    return times
