"""Lines of text, each with a request or an answer (docs/protocol/sockets.md, "JSON lines")."""

import codecs

from nym.errors import FrameError
from nym.wire.pieces import PIECE
from nym.wire.sizes import LONGEST_LINE

_BEGIN = 1024  # bytes
_CONTROLS = {*range(0x20), 0x7F} - set(b"\t\r")

Line = bytes | list[bytes]  # a long one in pieces


class LineBuffer:
    """Bytes in, as they come; lines out, as they are complete. Empty ones are passed over."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []  # of a long line
        self._buffer = bytearray()
        self._length = 0

    def feed(self, data: bytes) -> list[Line]:
        """The lines that `data` completes. Raises FrameError for one that is too long."""
        # Only what is new is searched: a line may come byte by byte.
        lines = []
        for i, part in enumerate(data.split(b"\n")):
            if i > 0:
                lines.append(self.rest())
            self._add(part)
        return [line for line in lines if line]

    def rest(self) -> Line:
        """A last line without an end; nothing where it is empty."""
        last = bytes(self._buffer)
        line: Line = [*self._pieces, last] if self._pieces else last
        self._pieces, self._length = [], 0
        self._buffer.clear()
        return line if any(piece.strip() for piece in _pieces(line)) else b""

    def _add(self, part: bytes) -> None:
        self._length += len(part)
        if self._length > LONGEST_LINE:
            raise FrameError(f"a line of more than {LONGEST_LINE} bytes")
        self._buffer += part
        if len(self._buffer) >= PIECE:
            self._pieces.append(bytes(self._buffer))
            self._buffer.clear()


def whole(line: Line) -> bytes:
    """The line, for callers that need no rest."""
    return b"".join(_pieces(line))


def is_text(line: Line) -> bool:
    """Whether somebody wrote it: its begin is UTF-8, without control characters but tabs.

    A packet for a node that somebody says is here begins with 32 bytes that look random; a
    stranger's lines can be behind them.
    """
    begin = _pieces(line)[0][:_BEGIN]
    return not _CONTROLS & set(begin) and _is_utf8(begin)


def _is_utf8(begin: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(begin)  # its last character may be cut
    except UnicodeDecodeError:
        return False
    return True


def _pieces(line: Line) -> list[bytes]:
    return [line] if isinstance(line, bytes) else line
