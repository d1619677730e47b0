"""Packets and requests of the mix network that reach a local socket must change nothing there.

A directory can list this machine as a node or a provider, so that clients send packets and pulls
here. A mixnode on this machine forwards strangers' packets to any place that they name. A stranger
can choose all bytes of a packet except the first 32, and a few of those by trying many packets.
"""

import os
import random
import socket
from collections.abc import Callable, Iterator

import pytest

from nym.identity import generate_identity
from nym.sockets.http import WebSocket
from nym.sockets.local import ApplicationSocket
from nym.sockets.tcp import TcpSocket
from nym.sphinx import Hop, create_packet
from nym.wire import mix_pb2
from nym.wire.framing import Framing, encode_frame
from nym.wire.provider import Pull, Register
from nym.wire.sizes import PACKET_LENGTH
from tests.harness import OTHER, OWN, PATIENCE, Served, contents

WAITING = [b"one", b"two"]
PEER = generate_identity().public_key
ROUTE = [Hop(bytes(32), PEER, 0)] * 4
FETCHES = b'\n{"type":"fetch"}\n{"type":"cancel","all":true}\n'
FRAMES = b"".join(
    encode_frame(Framing.VARINT, request.SerializeToString())
    for request in (
        mix_pb2.Request(fetch=mix_pb2.Nothing()),
        mix_pb2.Request(flush=mix_pb2.Nothing()),
        mix_pb2.Request(send=mix_pb2.Send(message=b"x", recipient=mix_pb2.Client(pub_key=OTHER))),
    )
)


def packet(chance: random.Random) -> bytes:
    return create_packet(b"", ROUTE, OTHER)


def chosen(begin: bytes, rest: bytes) -> Callable[[random.Random], bytes]:
    """Packets as a stranger can make them: `begin` found by trying, `rest` chosen after byte 32."""

    def make(chance: random.Random) -> bytes:
        head = (begin + chance.randbytes(32))[:32]
        return (head + rest).ljust(PACKET_LENGTH, chance.choice([b"\0", b"\n", b"\x04"]))

    return make


# The beginning of a frame that takes the rest of the first 32 bytes: a send without a recipient.
# Such a request is answered with an error, and the connection goes on to what follows.
SEND = b"\x3e\x12\x1d\x0a\x1b"

KINDS: dict[str, Callable[[random.Random], bytes]] = {
    "packets": packet,
    "two packets": lambda chance: packet(chance) + packet(chance),
    **{
        f"packets that begin with {begin.hex()}": chosen(begin, b"")
        for begin in (b"\x01", b"\x02", b"\x03", b"\x04", b"\x04\x1a\0", b"\x04\x1a\0\x04\x32\0")
    },
    "lines in a packet": chosen(b"{", FETCHES),
    "lines behind what looks like an object": chosen(b'{"', FETCHES),
    "frames in a packet": chosen(SEND, FRAMES),
    "frames that begin a packet": chosen(FRAMES[:6], FRAMES),
    "frames of 8 bytes' length": chosen(bytes(7), FRAMES),
    "registrations": lambda chance: Register(chance.randbytes(32)).encode(),
    "own registrations": lambda chance: Register(OWN).encode(),
    "own pulls": lambda chance: Pull(OWN, chance.randbytes(32)).encode(),
    "answers of a node": lambda chance: b"foomp",
    "answers of a provider": lambda chance: b"bad foomp",
}


@pytest.fixture(params=[TcpSocket, WebSocket])
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    kind: type[ApplicationSocket] = request.param
    with Served(kind) as served:
        for message in WAITING:
            served.deliver(message)
        yield served


def say(served: Served, data: bytes) -> None:
    with served.connect() as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(PATIENCE)
        try:
            while connection.recv(1 << 16):
                pass
        except ConnectionError:
            pass


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_mixnet_says_changes_nothing(served: Served, kind: str) -> None:
    chance = random.Random(kind)
    for _ in range(60):
        say(served, KINDS[kind](chance))
    assert contents(served.inbox.take()) == WAITING
    assert len(served.outbox) == 0


def test_random_packets_change_nothing(served: Served) -> None:
    for first in range(256):
        say(served, bytes([first]) + os.urandom(PACKET_LENGTH - 1))
    assert contents(served.inbox.take()) == WAITING
    assert len(served.outbox) == 0


def test_somebodys_slip_in_the_first_line_ends_nothing() -> None:
    with Served(TcpSocket) as served, served.connect() as connection:
        for line in ("{oops é", '{"type":"nonsense"}', "{", "{" + "é" * 2000):
            connection.sendall(line.encode() + b"\n")
            assert b"unknown_request" in connection.recv(1 << 16)
