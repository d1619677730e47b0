"""Frames: a length, then a message of that length (docs/protocol/sockets.md, "Framed protobuf").

Two ways to write the length: 8 bytes, big-endian; or, as an earlier revision did, a signed varint
(zig-zag, seven bits a byte, the low ones first).
"""

from collections.abc import Iterator
from enum import Enum

from nym.errors import FrameError
from nym.wire.sizes import LONGEST_FRAME

_FIXED_LENGTH = 8
_LONGEST_VARINT = 10


class Framing(Enum):
    """How lengths are written."""

    FIXED = "8 bytes, big-endian"
    VARINT = "zig-zag varint"


def encode_frame(framing: Framing, message: bytes) -> bytes:
    """A frame with `message`."""
    if framing is Framing.FIXED:
        return len(message).to_bytes(_FIXED_LENGTH, "big") + message
    number, head = 2 * len(message), bytearray()
    while number > 0x7F:
        head.append(number & 0x7F | 0x80)
        number >>= 7
    head.append(number)
    return bytes(head) + message


class FrameBuffer:
    """Bytes in, as they come; messages out, as they are complete."""

    def __init__(self, framing: Framing) -> None:
        self._framing = framing
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The messages that `data` completes. Raises FrameError, after which nothing follows."""
        self._buffer += data
        while (head := self._head()) is not None:
            begin, length = head
            if not 0 <= length <= LONGEST_FRAME:
                raise FrameError(f"a frame of {length} bytes; the maximum is {LONGEST_FRAME}")
            if len(self._buffer) < begin + length:
                return
            message = bytes(self._buffer[begin : begin + length])
            del self._buffer[: begin + length]
            yield message

    def _head(self) -> tuple[int, int] | None:
        """(where the message begins, its length), once the length is complete."""
        if self._framing is Framing.FIXED:
            if len(self._buffer) < _FIXED_LENGTH:
                return None
            return _FIXED_LENGTH, int.from_bytes(self._buffer[:_FIXED_LENGTH], "big")
        number = 0
        for i, byte in enumerate(self._buffer[:_LONGEST_VARINT]):
            number |= (byte & 0x7F) << (7 * i)
            if byte < 0x80:
                return i + 1, (number >> 1) ^ -(number & 1)
        if len(self._buffer) >= _LONGEST_VARINT:
            raise FrameError(f"a length of more than {_LONGEST_VARINT} bytes")
        return None
