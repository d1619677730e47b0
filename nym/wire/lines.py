"""Lines of text, each one request or answer (docs/protocol/sockets.md, "JSON lines")."""

import codecs

from nym.errors import FrameError
from nym.wire.pieces import PIECE
from nym.wire.sizes import LONGEST_LINE

_BEGIN = 1024  # bytes of a line that `is_text` looks at
_CONTROLS = {*range(0x20), 0x7F} - set(b"\t\r")

Line = bytes | list[bytes]  # a list of pieces if the line is long


class LineBuffer:
    """Takes bytes as they come, and gives lines as they are complete. Empty lines are skipped."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []  # the beginning of a long line
        self._buffer = bytearray()  # the rest of it, shorter than a PIECE
        self._length = 0  # of both together

    def feed(self, data: bytes) -> list[Line]:
        """The lines that `data` completes. Raises FrameError if a line is too long."""
        # Only the new bytes are searched for line ends: a line may come byte by byte, and searching
        # all of it each time would take quadratic time.
        lines = []
        for i, part in enumerate(data.split(b"\n")):
            if i > 0:
                lines.append(self.rest())
            self._add(part)
        return [line for line in lines if line]

    def rest(self) -> Line:
        """What came after the last line end, as a line; empty if it is blank."""
        last = bytes(self._buffer)
        line: Line = [*self._pieces, last] if self._pieces else last
        self._pieces, self._length = [], 0
        self._buffer.clear()
        return line if any(piece.strip() for piece in _pieces(line)) else b""

    def _add(self, part: bytes) -> None:
        self._length += len(part)
        if self._length > LONGEST_LINE:
            raise FrameError(f"a line has more than {LONGEST_LINE} bytes")
        self._buffer += part
        if len(self._buffer) >= PIECE:
            self._pieces.append(bytes(self._buffer))
            self._buffer.clear()


def whole(line: Line) -> bytes:
    """The line as one piece, for callers that may copy all of it at once."""
    return b"".join(_pieces(line))


def is_text(line: Line) -> bool:
    """Whether the line's beginning is text: UTF-8, with no control characters except tabs.

    A directory may list this port as a node's, so that packets are sent here. A packet begins with
    32 bytes that look random, and after these it can contain lines that a stranger chose. So if the
    first line isn't text, those after it must not be carried out.
    """
    begin = _pieces(line)[0][:_BEGIN]
    return not _CONTROLS & set(begin) and _is_utf8(begin)


def _is_utf8(begin: bytes) -> bool:
    try:
        # Incremental, because the last character may be cut off.
        codecs.getincrementaldecoder("utf-8")().decode(begin)
    except UnicodeDecodeError:
        return False
    return True


def _pieces(line: Line) -> list[bytes]:
    return [line] if isinstance(line, bytes) else line
