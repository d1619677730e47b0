"""kill -9 of a provider at random moments, while packets come: what it answered is kept."""

import os
import random
import socket
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import gevent
import pytest

from nym.identity import load_identity
from nym.net.transport import exchange
from nym.sphinx import Hop, create_packet
from nym.wire.addresses import NodeAddress, encode_address, parse_numeric
from nym.wire.provider import ACKNOWLEDGED, DUMMY, Pull, Register, decode_messages
from tests.faults.test_inboxes import KILLS
from tests.harness import PATIENCE, Program

pytestmark = pytest.mark.no_cover  # a program that is killed can't say which lines it has entered

CLIENT = bytes(range(32))
SENDERS = 4
LONGEST = 20_000  # bytes of an answer
LONGEST_LIFE = 0.4  # seconds from when the provider listens until it is killed
OPTIONS = ("--listen", "127.0.0.1:0", "--clients", "127.0.0.1:0", "--directory", "http://[::1]:1")


class Victim:
    """A provider in a process of its own that is killed again and again."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._program: Program | None = None

    def start(self) -> tuple[NodeAddress, NodeAddress]:
        """Start it; returns where it takes packets, and where clients pull."""
        self._program = Program(self._home, "provider", "--id", "victim", *OPTIONS)
        packets, clients = (
            parse_numeric(self._program.line(rf"^{what} +(.*)$")[1])
            for what in ("packets", "clients")
        )
        assert packets
        assert clients
        return packets, clients

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        assert self._program
        self._program.__exit__()

    def packet_maker(self, place: NodeAddress) -> Callable[[bytes], bytes]:
        """A function that makes a packet for the client with a message."""
        identity = load_identity(self._home / "nym" / "providers" / "victim" / "keys" / "1")
        hop = Hop(encode_address(place), identity.public_key, 0)
        return lambda message: create_packet(message, [hop], CLIENT)


def send(place: NodeAddress, packet: Callable[[bytes], bytes], answered: set[bytes]) -> None:
    """Send one packet after the other, until the connection ends."""
    with suppress(OSError), socket.create_connection(place, PATIENCE) as connection:
        while True:
            message = os.urandom(16)
            connection.sendall(packet(message))
            if connection.recv(len(ACKNOWLEDGED), socket.MSG_WAITALL) != ACKNOWLEDGED:
                return
            answered.add(message)


def test_what_a_provider_answered_survives_its_death(tmp_path: Path) -> None:
    victim = Victim(tmp_path)
    answered: set[bytes] = set()
    for _ in range(KILLS):
        packets, clients = victim.start()
        token = exchange(clients, Register(CLIENT).encode(), LONGEST)
        packet = victim.packet_maker(packets)
        senders = [gevent.spawn(send, packets, packet, answered) for _ in range(SENDERS)]
        gevent.sleep(random.uniform(0, LONGEST_LIFE))
        victim.kill()
        gevent.joinall(senders, timeout=PATIENCE, raise_error=True)
    _, clients = victim.start()
    kept: Counter[bytes] = Counter()
    try:
        while pulled := [
            message
            for message in decode_messages(exchange(clients, Pull(CLIENT, token).encode(), LONGEST))
            if message != DUMMY
        ]:
            kept.update(pulled)
    finally:
        victim.kill()
    assert kept.keys() >= answered
    assert set(kept.values()) == {1}
    assert len(answered) > KILLS
