"""Frames: a length, then a message of that length (docs/protocol/sockets.md, "Framed protobuf").

There are two ways to write the length: as 8 bytes, big-endian; or, as an earlier revision of the
published client did, as a signed varint (zig-zag, seven bits per byte, low bits first).
"""

from collections.abc import Iterator
from enum import Enum

from nym.errors import FrameError
from nym.wire.sizes import LONGEST_FRAME

_FIXED_LENGTH = 8
_LONGEST_VARINT = 10  # bytes, which hold 64 bits


class Framing(Enum):
    """How lengths are written."""

    FIXED = "8 bytes, big-endian"
    VARINT = "zig-zag varint"


def encode_frame(framing: Framing, message: bytes) -> bytes:
    """The frame that contains `message`."""
    if framing is Framing.FIXED:
        return len(message).to_bytes(_FIXED_LENGTH, "big") + message
    # Zig-zag encodes a number n that isn't negative as 2n.
    number, head = 2 * len(message), bytearray()
    while number > 0x7F:
        head.append(number & 0x7F | 0x80)
        number >>= 7
    head.append(number)
    return bytes(head) + message


class FrameBuffer:
    """Takes bytes as they come, and gives messages as they are complete."""

    def __init__(self, framing: Framing) -> None:
        self._framing = framing
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The messages that `data` completes.

        Raises FrameError. Then the connection has to end, as nobody can tell where a frame begins.
        """
        self._buffer += data
        while (head := self._head()) is not None:
            begin, length = head
            # Checked before the message has come, so the buffer never grows beyond one frame.
            if not 0 <= length <= LONGEST_FRAME:
                raise FrameError(f"a frame has {length} bytes; the maximum is {LONGEST_FRAME}")
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
            if byte < 0x80:  # the last byte; undo zig-zag, and let `feed` refuse what is negative
                return i + 1, (number >> 1) ^ -(number & 1)
        if len(self._buffer) >= _LONGEST_VARINT:
            raise FrameError(f"a frame's length takes more than {_LONGEST_VARINT} bytes")
        return None
