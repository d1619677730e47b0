"""Random and mutated inputs to both local sockets do the program no harm.

Afterwards, an honest request is answered as before, memory has not grown, and no traceback was
logged.
"""

import json
import random
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from gevent.pool import Pool
from websockets.frames import Frame, Opcode

from nym.wire import mix_pb2
from nym.wire.framing import Framing, encode_frame
from nym.wire.keys import encode_base58
from tests.harness import OTHER, PATIENCE, Program, run_program

INPUTS = 10_000
WARM = 2_000  # inputs before memory is measured for the first time
GROWTH = 8 << 20  # bytes by which memory may grow; a leak of a kilobyte per input would add as much
OBJECTS: list[dict[str, object]] = [
    {"type": "ownDetails"},
    {"type": "fetch", "format": "base64"},
    {"type": "send", "recipient_address": encode_base58(OTHER), "message": "hi \ud83d\ude00"},
    {"type": "subscribe"},
    {"type": "ack", "id": "ab12"},
    {"type": "status"},
    {"type": "selfAddress"},
    {"type": "send", "recipient": encode_base58(OTHER), "message": "hi", "connectionId": 7},
    {"type": "sendAnonymous", "recipient": encode_base58(OTHER), "message": "hi"},
    {"type": "reply", "senderTag": "1" * 16, "message": "hi"},
    {"fetch": {}},
    {"details": {}},
    {"send": {"message": "aGk=", "recipient": {"pubKey": "cA==", "provider": {"layer": "1"}}}},
]
JSON = [json.dumps(body).encode() for body in OBJECTS]
NOTHING = mix_pb2.Nothing()
PROTOBUF = [
    request.SerializeToString()
    for request in (
        mix_pb2.Request(details=NOTHING),
        mix_pb2.Request(fetch=NOTHING),
        mix_pb2.Request(clients=NOTHING),
        mix_pb2.Request(flush=NOTHING),
        mix_pb2.Request(send=mix_pb2.Send(message=b"hi", recipient=mix_pb2.Client(pub_key=OTHER))),
    )
]
SUCCESSOR = [
    b"\0" + bytes(32) + OTHER + bytes(40) + (2).to_bytes(8, "big") + b"hi",
    b"\2" + bytes(24) + (2).to_bytes(8, "big") + b"hi",
    b"\2",
    b"\3",
    b"\5" + bytes(8),
]
HEAD = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Origin: http://localhost\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def tcp_input(chance: random.Random) -> bytes:
    """Valid requests in one of the dialects of the TCP socket, to be mutated."""
    kind = chance.randrange(4)
    if kind == 0:
        return chance.choice([b"\x01" + OTHER + b"hi", b"\x02", b"\x03", b"\x04"])
    if kind == 1:
        return b"".join(line + b"\n" for line in chance.choices(JSON, k=3))
    framing = chance.choice([Framing.FIXED, Framing.VARINT])
    return b"".join(encode_frame(framing, m) for m in chance.choices(PROTOBUF, k=3))


def websocket_frame(chance: random.Random) -> bytes:
    """One valid WebSocket frame, which may or may not make sense where it stands."""
    opcode = chance.choice([*[Opcode.TEXT] * 4, Opcode.BINARY, *Opcode])
    data = chance.choice(PROTOBUF + SUCCESSOR if opcode is Opcode.BINARY else JSON)
    if opcode in (Opcode.PING, Opcode.PONG, Opcode.CLOSE):
        return Frame(opcode, data[:100]).serialize(mask=True)
    return Frame(opcode, data, fin=chance.random() < 0.9).serialize(mask=True)


def websocket_input(chance: random.Random) -> bytes:
    """A handshake and three frames, mutated."""
    head = HEAD.format(path=chance.choice(["/", "/mix"])).encode()
    frames = b"".join(websocket_frame(chance) for _ in range(3))
    # Mostly the handshake stays as it is: with a broken one, the frames are never read.
    if chance.random() < 0.7:
        return head + mutated(frames, chance)
    return mutated(head + frames, chance)


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The data with up to three changes: cut, bytes inserted, changed, repeated, or replaced."""
    changed = bytearray(data)
    for _ in range(chance.randrange(4)):
        at = chance.randrange(len(changed) + 1)
        match chance.randrange(6):
            case 0:
                del changed[at:]
            case 1:
                changed[at:at] = chance.randbytes(chance.randrange(1, 9))
            case 2:
                changed[at : at + 1] = chance.randbytes(1)
            case 3:
                changed += changed[at:]
            case 4:
                del changed[at : at + chance.randrange(1, 9)]
            case 5:
                changed[:] = chance.randbytes(chance.randrange(200))
    return bytes(changed)


def say(port: int, data: bytes) -> bytes:
    """Open a connection, send all of the data, and return everything that is answered."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(1 << 16):
                received += part
        except ConnectionError:
            pass  # the program may close the connection in the middle of such an input
    return received


def memory(process: int) -> int:
    """Bytes of memory that belong to the process alone, without files that it maps."""
    (line,) = (
        line
        for line in Path(f"/proc/{process}/status").read_text().splitlines()
        if line.startswith("RssAnon")
    )
    return int(line.split()[1]) << 10


@pytest.mark.parametrize(
    ("command", "make", "honest"),
    [
        ("tcpsocket", lambda chance: mutated(tcp_input(chance), chance), JSON[0]),
        (
            "websocket",
            websocket_input,
            HEAD.format(path="/").encode() + Frame(Opcode.TEXT, JSON[0]).serialize(mask=True),
        ),
    ],
)
def test_no_input_does_any_harm(
    tmp_path: Path, command: str, make: Callable[[random.Random], bytes], honest: bytes
) -> None:
    run_program(tmp_path, "init", "--id", "alice", "--directory", "http://127.0.0.1:1")
    chance = random.Random(command)
    with Program(tmp_path, command, "--id", "alice", "-p", "0") as program:
        port = int(program.line(r"on port: (\d+)$")[1])
        address = program.line(r"^Public key: (\w+)$")[1].encode()

        def say_some(count: int) -> int:
            pool = Pool(16)
            for _ in range(count):
                pool.spawn(say, port, make(chance))
            pool.join(raise_error=True)
            return memory(program.process.pid)

        before = say_some(WARM)
        after = say_some(INPUTS - WARM)
        assert address in say(port, honest)
        assert after - before < GROWTH
        code, _, err = program.end(signal.SIGTERM)
    assert code == 0
    assert "Traceback" not in err
