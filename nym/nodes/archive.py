"""The file that holds a whole provider, to move it to another machine.

It doesn't depend on the database in which inboxes are. It begins with a line that names its format,
followed by records: `kind 1 | length 4 | body`, with big-endian numbers. The last record is the
SHA-256 of all before it, and nothing follows. So a file that was cut or changed on its way is
refused as a whole, before anything of it is used.

| kind | body |
| --- | --- |
| `F` | the path of a file in the provider's folder |
| `D` | a part of the last file that was named |
| `C` | a client: address 32, silent for so many seconds 8 |
| `P` | an address that was proven, 32 |
| `M` | a message: number 8, client 32, waits for so many seconds 8, and itself |
| `N` | the highest number that a message has had, 8 |
| `E` | SHA-256, 32 |
"""

import hashlib
from collections.abc import Iterator
from struct import Struct
from struct import error as StructError  # noqa: N812 - it is a class
from typing import BinaryIO, NamedTuple

from nym.errors import ArchiveError
from nym.nodes.inboxes.transfer import Client, Last, Proven, Waiting

LONGEST = 1 << 20  # bytes of a record's body

_MAGIC = b"nym-client provider 1\n"
_END = b"E"
_HEAD = Struct(">cI")
_CLIENT = Struct(">32sQ")
_PROVEN = Struct(">32s")
_MESSAGE = Struct(">Q32sQ")
_LAST = Struct(">Q")


class File(NamedTuple):
    """The path of a file, whose parts follow."""

    path: str


class Part(NamedTuple):
    """A part of the last file that was named."""

    data: bytes


Record = File | Part | Client | Proven | Waiting | Last


class Writer:
    """Writes records to a file. Raises OSError."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._put(_MAGIC)

    def write(self, record: Record) -> None:
        """Add a record."""
        kind, body = _encoded(record)
        self._put(_HEAD.pack(kind, len(body)) + body)

    def end(self) -> None:
        """Say that this is all."""
        digest = self._digest.digest()
        self._put(_HEAD.pack(_END, len(digest)) + digest)

    def _put(self, data: bytes) -> None:
        self._digest.update(data)
        self._file.write(data)


def read(file: BinaryIO) -> Iterator[Record]:
    """Yield all records. Raises OSError, and ArchiveError if the file isn't whole.

    The end of the file says whether it is. So read it once before anything in it is used.
    """
    digest = hashlib.sha256(_MAGIC)
    if file.read(len(_MAGIC)) != _MAGIC:
        raise ArchiveError("it isn't one of a provider, or is of a newer version of the program")
    kind, head, body = _next(file)
    while kind != _END:
        digest.update(head + body)
        yield _decoded(kind, body)
        kind, head, body = _next(file)
    if body != digest.digest() or file.read(1):
        raise ArchiveError("it is damaged: its checksum is wrong")


def _next(file: BinaryIO) -> tuple[bytes, bytes, bytes]:
    head = _exactly(file, _HEAD.size)
    kind, length = _HEAD.unpack(head)
    if length > LONGEST:
        raise ArchiveError("it is damaged: a record is too long")
    return kind, head, _exactly(file, length)


def _exactly(file: BinaryIO, length: int) -> bytes:
    data = file.read(length)
    if len(data) < length:
        raise ArchiveError("it is not complete")
    return data


def _encoded(record: Record) -> tuple[bytes, bytes]:
    match record:
        case File(path):
            return b"F", path.encode()
        case Part(data):
            return b"D", data
        case Client(address, age):
            return b"C", _CLIENT.pack(address, age)
        case Proven(address):
            return b"P", _PROVEN.pack(address)
        case Waiting(number, client, age, body):
            return b"M", _MESSAGE.pack(number, client, age) + body
        case Last(number):
            return b"N", _LAST.pack(number)


def _decoded(kind: bytes, body: bytes) -> Record:
    try:
        match kind:
            case b"F":
                return File(body.decode())
            case b"D":
                return Part(body)
            case b"C":
                return Client(*_CLIENT.unpack(body))
            case b"P":
                return Proven(*_PROVEN.unpack(body))
            case b"M":
                number, client, age = _MESSAGE.unpack(body[: _MESSAGE.size])
                return Waiting(number, client, age, body[_MESSAGE.size :])
            case b"N":
                return Last(*_LAST.unpack(body))
    except (StructError, ValueError) as error:
        raise ArchiveError(f"it is damaged: {error}") from error
    raise ArchiveError("it is damaged, or is of a newer version of the program")
