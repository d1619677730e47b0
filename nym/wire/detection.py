"""Which dialect an application speaks (docs/protocol/sockets.md, "On a TCP port").

The first bytes of a TCP connection decide for all of it. On a WebSocket, each message decides for
itself.

Not only applications connect. A web page can make the user's browser connect here, and a directory
that lists this port as a node's can make clients and mixnodes do so. What these send must not be
carried out as requests, and some of the rules below serve only that.
"""

import re
from enum import Enum
from typing import Any

from nym.wire.framing import Framing
from nym.wire.raw import are_one_byte_requests
from nym.wire.sizes import PACKET_LENGTH


class Unframed(Enum):
    """The dialects on TCP that have no frames with lengths."""

    RAW = "raw bytes"
    JSON = "JSON lines"


UNDECIDED = None
# A first byte 04 can be the raw request for details, or the length of a frame, 2, as a varint. The
# old Go client writes a length apart from its message. So only what follows within a short time
# tells.
LONE_DETAILS = b"\x04"

_RAW_REQUESTS = (1, 2, 3)
# The fields of mix.proto's Request. They are repeated here so that the protobuf library, which is
# slow to load, isn't loaded for connections that don't need it.
PROTOBUF_REQUESTS = frozenset(("send", "fetch", "clients", "details", "flush"))
# The beginning of an HTTP request. A web page can choose its method, or its first bytes. A frame
# never begins with two printable bytes: its second byte is a protobuf tag, and no tag that is
# possible after such a length is printable.
_HTTP = re.compile(rb"[!-~][ -~]")


def detect(data: bytes, *, is_all: bool) -> Framing | Unframed | None:
    """The dialect of a connection whose first bytes are `data`; None if more bytes are needed.

    `is_all` says that nothing more came for a while. More is needed only after a lone 04.
    """
    first = data[0]
    if first == 0:
        return Framing.FIXED
    # A frame can't begin like this: after the length 04, bytes 02, 03 or 04 aren't tags of fields.
    if len(data) > 1 and are_one_byte_requests(data):
        return Unframed.RAW
    if first in _RAW_REQUESTS or (data == LONE_DETAILS and is_all):
        return Unframed.RAW
    if first == ord("{"):
        return Unframed.JSON
    if data == LONE_DETAILS:
        return UNDECIDED
    is_length = first % 2 == 0 or first >= 0x80
    # A mixnode forwards packets to the address that the packet names, so a stranger can make one on
    # this machine send packets here. After its first 32 bytes, a packet can hold frames that the
    # stranger chose. Packets are written whole; published programs with varint lengths write less
    # than one packet at a time.
    is_packets = len(data) % PACKET_LENGTH == 0
    if is_length and not is_packets and not _HTTP.match(data):
        return Framing.VARINT
    return Unframed.RAW  # its parser refuses what it doesn't know


def is_protobuf(body: dict[str, Any], *, is_mix: bool) -> bool:
    """Whether a JSON object on a WebSocket is a protobuf request, instead of one with a "type".

    `is_mix` says that the WebSocket's path is /mix. There, the published Go client takes only
    protobuf requests.
    """
    return "type" not in body and (is_mix or (len(body) == 1 and body.keys() <= PROTOBUF_REQUESTS))
