"""What local applications say, in every dialect.

Also what reaches the first byte of each dialect's parser: the detection of the dialect, and the
handshake of WebSockets.
"""

import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from websockets.frames import Frame, Opcode

from nym.errors import HandshakeError, RequestError
from nym.wire import handshake, json_requests, protobuf, raw
from nym.wire.detection import detect, is_protobuf
from nym.wire.framing import FrameBuffer, Framing, encode_frame
from nym.wire.lines import Line, LineBuffer, is_text
from nym.wire.long_json import flat
from nym.wire.mix_pb2 import Request as MixRequest
from nym.wire.successor import binary, texts
from tests.fuzz.targets import Target

VECTORS = Path(__file__).parent.parent.parent / "vectors"
LONG = {"type": "send", "recipient_address": "1" * 32, "message": '"\n\u00e9\U0001f600' * 100}
HEAD = (
    b"GET /mix HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Origin: http://localhost\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def detection(data: bytes) -> None:
    if data:
        assert detect(data, is_all=True) == detect(data, is_all=True)
        detect(data, is_all=False)


def raw_request(data: bytes) -> None:
    for request in raw.split_requests(data):
        raw.decode_request(request)
    raw.ends_connection(data)


def json_object(data: bytes) -> None:
    """The same request comes of a line in one piece and in several."""
    size = 1 + len(data) % 97
    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    body, in_pieces = _parsed(data), _parsed(pieces)
    assert repr(flat(in_pieces)) == repr(body)
    if body is None or in_pieces is None:
        raise RequestError
    if is_protobuf(body, is_mix=True):
        protobuf.decode_json(body)
    else:
        json_requests.decode_request(in_pieces)
        json_requests.decode_request(body)


def _parsed(line: Line) -> dict[str, Any] | None:
    try:
        return json_requests.parse(line)
    except RequestError:
        return None


def json_lines(data: bytes) -> None:
    """The lines are the same however the bytes come."""
    whole, single = LineBuffer(), LineBuffer()
    lines = [*whole.feed(data), whole.rest()]
    assert [*(line for i in data for line in single.feed(bytes([i]))), single.rest()] == lines
    for line in lines:
        if line:
            is_text(line)


def framed(data: bytes) -> None:
    """Both framings, and a frame is written as it was read."""
    framing = Framing.FIXED if data[:1] == b"\0" else Framing.VARINT
    for message in FrameBuffer(framing).feed(data):
        assert next(FrameBuffer(framing).feed(encode_frame(framing, message))) == message
        protobuf.decode_request(message)


def protobuf_request(data: bytes) -> None:
    protobuf.decode_request(data)


def successor_text(data: bytes) -> None:
    body = json_requests.parse(data)
    if not texts.is_request(body):
        raise RequestError
    texts.is_early(body)
    texts.decode(body)


def successor_binary(data: bytes) -> None:
    binary.decode(data)


def early_successor_binary(data: bytes) -> None:
    binary.decode_early(data)


def websocket(data: bytes) -> None:
    """A handshake, and frames behind it: what the socket does with them."""
    head, end, behind = data.partition(handshake.HEAD_END)
    protocol = handshake.new_protocol()
    protocol.receive_data(head + end)
    request = handshake.received_request(protocol)
    if request is None:
        raise HandshakeError(HTTPStatus.REQUEST_TIMEOUT, "it isn't complete")
    handshake.check_caller(request, [], [])
    handshake.wants_file(request)
    handshake.is_of_own_page(request)
    response = handshake.accept(protocol, request)
    protocol.send_response(response)
    if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
        protocol.receive_data(behind)
        assert all(isinstance(event, Frame) for event in protocol.events_received())
        protocol.data_to_send()


def frames(data: bytes) -> None:
    websocket(HEAD + data)


def _objects() -> list[bytes]:
    said = json.loads((VECTORS / "websocket_json.json").read_text())
    more = [
        {"type": "fetch", "format": "base64"},
        {"type": "subscribe", "window": 3, "follow": False},
        {"type": "ack", "id": "ab12"},
        {"type": "outbox", "after": 1},
        {"type": "cancel", "id": "ab12"},
        {"type": "send", "recipient_address": "1" * 32, "message_base64": "aGk=", "reliable": True},
        {"send": {"message": "aGk=", "recipient": {"pubKey": "cA==", "provider": {"layer": "1"}}}},
        LONG,
    ]
    short = [case["request"].encode() for case in said if len(case["request"]) < 1024]
    return short + [json.dumps(body).encode() for body in more]


def _protobuf_frames() -> list[bytes]:
    cases = json.loads((VECTORS / "protobuf_frames.json").read_text())
    return [bytes.fromhex(case["frame"]) for case in cases]


def _requests() -> list[bytes]:
    cases = json.loads((VECTORS / "protobuf_frames.json").read_text())
    requests = [case["json"] for case in cases if case["name"].startswith("request")]
    made: list[bytes] = [
        json_format.ParseDict(r, MixRequest()).SerializeToString() for r in requests
    ]
    return made


def _successor_texts() -> list[bytes]:
    said: list[dict[str, object]] = [
        {"type": "selfAddress"},
        {"type": "send", "recipient": "1" * 32, "message": "hi", "connectionId": 7},
        {"type": "send", "recipient": "1" * 32, "message": "hi", "withReplySurb": True},
        {"type": "sendAnonymous", "recipient": f"{'1' * 32}@{'1' * 32}", "message": "hi"},
        {"type": "send", "recipient": f"{'1' * 32}.{'1' * 32}@{'1' * 32}", "message": "hi"},
        {"type": "reply", "senderTag": "1" * 16, "message": "hi"},
        {"type": "reply", "replySurb": "1" * 16, "message": "hi"},
    ]
    return [json.dumps(body).encode() for body in said]


_LENGTH = (2).to_bytes(8, "big")
_SUCCESSOR_BINARY = [
    b"\0" + bytes(104) + _LENGTH + b"hi",
    b"\1" + bytes(108) + _LENGTH + b"hi",
    b"\2" + bytes(24) + _LENGTH + b"hi",
    b"\3",
    b"\4" + bytes(8),
    b"\5" + bytes(8),
]
_EARLY_SUCCESSOR_BINARY = [
    b"\0\1" + bytes(96) + _LENGTH + b"hi",
    b"\1" + (16).to_bytes(8, "big") + bytes(16) + _LENGTH + b"hi",
    b"\2",
]

TARGETS = {
    "detection": Target(
        detection, (), lambda: [b"\2", b"\4", b"{", b"\0", *_protobuf_frames()], 2048
    ),
    "raw": Target(
        raw_request, RequestError, lambda: [b"\1" + bytes(32) + b"hi", b"\2\3\4", b"\2"], 2048
    ),
    "json": Target(json_object, RequestError, _objects),
    "json_lines": Target(json_lines, (), lambda: [b"\n".join(_objects()), b"a\r\n\n\tb"], 8192),
    "framed": Target(
        framed,
        RequestError,
        lambda: [*_protobuf_frames(), *(encode_frame(Framing.VARINT, r) for r in _requests())],
    ),
    "protobuf": Target(protobuf_request, RequestError, _requests),
    "successor_text": Target(successor_text, RequestError, _successor_texts),
    "successor_binary": Target(successor_binary, RequestError, lambda: _SUCCESSOR_BINARY),
    "early_successor_binary": Target(
        early_successor_binary, RequestError, lambda: _EARLY_SUCCESSOR_BINARY
    ),
    "websocket": Target(
        websocket,
        HandshakeError,
        lambda: [HEAD, HEAD + Frame(Opcode.TEXT, b"{}").serialize(mask=True)],
    ),
    "frames": Target(
        frames,
        (),
        lambda: [
            Frame(opcode, b"hi", fin=fin).serialize(mask=True)
            for opcode in (Opcode.TEXT, Opcode.PING, Opcode.CLOSE)
            for fin in (True, False)
            if fin or opcode is Opcode.TEXT
        ],
    ),
}
