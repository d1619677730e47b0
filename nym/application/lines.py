"""JSON lines: what is written to a client, and what comes from it (docs/protocol/sockets.md)."""

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from nym.application.errors import ProtocolError

Request = Mapping[str, object]

# More than any answer has: the addresses of two million clients.
LONGEST_LINE = 100 << 20  # bytes


class Answer(dict[str, Any]):
    """What a client says. Raises ProtocolError for a field that it leaves out."""

    def __missing__(self, field: str) -> NoReturn:
        raise ProtocolError(
            f'"{self.get("type")}" came without "{field}": the client is of another version than '
            "this library"
        )


def encode(request: Request) -> bytes:
    """A request as a line. Texts are escaped, so halves of surrogate pairs are refused there."""
    return json.dumps(request).encode() + b"\n"


class LineBuffer:
    """Takes bytes as they come, and gives the objects in lines that are complete."""

    def __init__(self) -> None:
        self._begun: list[bytes] = []  # pieces of a line whose end hasn't come
        self._length = 0  # of all of them

    def feed(self, data: bytes) -> list[Answer]:
        """The objects in the lines that `data` completes. Raises ProtocolError."""
        # Only new bytes are searched for line ends: a message of 16 MiB comes in hundreds of reads.
        *ends, rest = data.split(b"\n")
        answers = []
        for end in ends:
            answers.append(_decode(b"".join([*self._begun, end])))
            self._begun, self._length = [], 0
        self._length += len(rest)
        if self._length > LONGEST_LINE:
            raise ProtocolError(f"a line has more than {LONGEST_LINE} bytes")
        self._begun.append(rest)
        return answers


def _decode(line: bytes) -> Answer:
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(_not_json(line)) from error
    if not isinstance(answer, dict) or not isinstance(answer.get("type"), str):
        raise ProtocolError(_not_json(line))
    return Answer(answer)


def _not_json(line: bytes) -> str:
    return (
        f"what listens there doesn't speak JSON lines, but says {line[:40]!r}. Take the port of "
        "`nym-client tcpsocket`, or the client's id"
    )
