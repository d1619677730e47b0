"""Which dialect is spoken (docs/protocol/sockets.md).

A TCP connection keeps to the dialect of its first bytes; on a WebSocket each message tells its own.
"""

import re
from enum import Enum
from typing import Any

from nym.wire.framing import Framing
from nym.wire.raw import are_one_byte_requests
from nym.wire.sizes import PACKET_LENGTH


class Unframed(Enum):
    """The dialects without lengths."""

    RAW = "raw bytes"
    JSON = "JSON lines"


UNDECIDED = None
# A length of 2 bytes, or the raw request for details: the old client writes a length apart from
# its message, so only what follows shortly can tell.
LONE_DETAILS = b"\x04"

_RAW_REQUESTS = (1, 2, 3)
# The fields of mix.proto's Request, here so that nobody loads protobuf who doesn't speak it.
PROTOBUF_REQUESTS = frozenset(("send", "fetch", "clients", "details", "flush"))
# A page can choose the method of a request, or its first bytes; a frame's second byte is a tag, and
# of the tags that go with such a length none is printable.
_HTTP = re.compile(rb"[!-~][ -~]")


def detect(data: bytes, *, is_all: bool) -> Framing | Unframed | None:
    """The dialect of a connection whose first bytes are `data`; None for a lone 04 as yet.

    `is_all` says that nothing else came for a while.
    """
    first = data[0]
    if first == 0:
        return Framing.FIXED
    # Behind a length of 2 bytes, another such byte would be no tag of a field.
    if len(data) > 1 and are_one_byte_requests(data):
        return Unframed.RAW
    if first in _RAW_REQUESTS or (data == LONE_DETAILS and is_all):
        return Unframed.RAW
    if first == ord("{"):
        return Unframed.JSON
    if data == LONE_DETAILS:
        return UNDECIDED
    is_length = first % 2 == 0 or first >= 0x80
    # A mixnode on this machine forwards what strangers made to where they say, and behind its first
    # 32 bytes, a packet can hold frames of theirs. Packets are written whole, and published
    # programs with such lengths write less than one at a time.
    is_packets = len(data) % PACKET_LENGTH == 0
    if is_length and not is_packets and not _HTTP.match(data):
        return Framing.VARINT
    return Unframed.RAW  # which refuses what it doesn't know


def is_protobuf(body: dict[str, Any], *, is_mix: bool) -> bool:
    """Whether a JSON object on a WebSocket is a protobuf request; else it is one with a type.

    `is_mix` says that the WebSocket is /mix, where the published Go client has nothing else.
    """
    return "type" not in body and (is_mix or (len(body) == 1 and body.keys() <= PROTOBUF_REQUESTS))
