"""Lines of text, each with a request or an answer (docs/protocol/sockets.md, "JSON lines")."""

from nym.errors import FrameError
from nym.wire.sizes import LONGEST_LINE


class LineBuffer:
    """Bytes in, as they come; lines out, as they are complete. Empty ones are passed over."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes. Raises FrameError for one that is too long."""
        # Only what is new is searched: a line may come byte by byte.
        lines = []
        for i, part in enumerate(data.split(b"\n")):
            if i > 0:
                lines.append(bytes(self._buffer))
                self._buffer.clear()
            self._buffer += part
            if len(self._buffer) > LONGEST_LINE:
                raise FrameError(f"a line of more than {LONGEST_LINE} bytes")
        return [line for line in lines if line.strip()]

    def rest(self) -> bytes:
        """A last line without an end."""
        return bytes(self._buffer)
