"""What a node and its workers tell each other, over a pair of sockets between two processes.

Orders go from the node to a worker. An order is a head of fixed length, and behind it the private
keys that it names. These never become Python bytes, which can't be wiped, and they are neither in
arguments nor in the environment, where other programs might see them.

Reports come back: JSON objects, one per line. Both ends are the same program, from the same file.
"""

import json
import os
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

from nym._secrets import Secret, wipe
from nym.wire.lines import LineBuffer, whole
from nym.wire.metrics import Family, Sample

_HEAD = struct.Struct("!BBQQ")  # kind, how many of the numbers count, numbers
_KEY = 32  # bytes
_CHUNK = 1 << 16  # bytes


class Kind(IntEnum):
    """What a worker is to do."""

    KEYS = 1  # use these keys from now on, and no others
    LEVEL = 2  # log from this level on
    LEAVE = 3  # take no more packets, forward what is held, and end


class Order(NamedTuple):
    """An order, with the numbers of keys, or one number; and the private keys."""

    kind: Kind
    numbers: Sequence[int] = ()
    keys: Sequence[Secret] = ()

    def send(self, line: socket.socket) -> None:
        """Tell a worker. Raises OSError."""
        padded = [*self.numbers, 0, 0][:2]
        line.sendall(_HEAD.pack(self.kind, len(self.numbers), *padded))
        for key in self.keys:
            line.sendall(key)


def orders(line: socket.socket) -> Iterator[Order]:
    """The orders that come, until the line ends, in whatever way."""
    head = bytearray(_HEAD.size)
    try:
        while _fill(line, head):
            kind, count, *numbers = _HEAD.unpack(head)
            keys = [_key(line) for _ in range(count)] if kind == Kind.KEYS else []
            yield Order(Kind(kind), numbers[:count], keys)
    except ConnectionError:  # the node was killed, in the middle of an order or of a report
        return


class Report(NamedTuple):
    """What a worker has done and seen since its last report, and how it is now."""

    pid: int
    received: int = 0  # packets
    sent: Mapping[str, int] = {}  # packets to each next node
    figures: Sequence[Family] = ()  # of the node, since the start of the worker
    process: Sequence[Family] = ()  # of the process
    log: Sequence[tuple[int, str, str]] = ()  # level, part and text of each line
    needs_key: bool = False

    def encode(self) -> bytes:
        """One line."""
        return json.dumps(self).encode() + b"\n"


def reports(line: socket.socket) -> Iterator[Report]:
    """The reports that come, until the line ends.

    Raises BlockingIOError if none comes for as long as the line has a time-out, OSError.
    """
    lines = LineBuffer()
    while data := _read(line):
        for one in lines.feed(data):
            pid, received, sent, figures, process, log, needs_key = json.loads(whole(one))
            yield Report(
                pid, received, sent, _families(figures), _families(process), log, needs_key
            )


def _read(line: socket.socket) -> bytes:
    try:
        return line.recv(_CHUNK)
    except TimeoutError:
        # This process may have been held up itself. Then something has come meanwhile.
        return os.read(line.fileno(), _CHUNK)


def _families(listed: list[Any]) -> list[Family]:
    return [
        Family(name, kind, about, [Sample(*sample) for sample in samples])
        for name, kind, about, samples in listed
    ]


def _key(line: socket.socket) -> Secret:
    buffer = bytearray(_KEY)
    try:
        if not _fill(line, buffer):
            raise ConnectionResetError
        return Secret(buffer)
    finally:
        wipe(buffer)


def _fill(line: socket.socket, buffer: bytearray) -> bool:
    """Fill the whole buffer with what comes; False at the end of the line."""
    view, filled = memoryview(buffer), 0
    while filled < len(buffer):
        came = line.recv_into(view[filled:])
        if not came:
            return False
        filled += came
    return True
