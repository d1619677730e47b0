"""One connection at a node's door: what a peer sends is cut into packets, and each is answered.

A peer may send any number of packets on one connection, and TCP may cut them anywhere. Each packet
is taken as soon as its last byte is there, so the delays of packets on one connection run side by
side. The answers keep the order of the packets (docs/protocol/mixnode.md).

A peer that stops in the middle of a packet loses its connection after PACKET_TIME.
"""

import logging
import socket
import time
from collections import OrderedDict, deque

from nym.net.bare import BareSocket
from nym.net.sources import Source
from nym.wire.provider import ACKNOWLEDGED
from nym.wire.sizes import PACKET_LENGTH

IDLE_TIME = 60.0  # seconds for which a connection may be silent between two packets
PACKET_TIME = 10.0  # seconds from the first byte of a packet to its last

log = logging.getLogger(__name__)


class Answer:
    """What a peer is told about one packet: `foomp` once it was dealt with, or nothing."""

    __slots__ = ("_visit", "is_due", "is_refused")

    def __init__(self, visit: "Visit") -> None:
        self._visit = visit
        self.is_due = False
        self.is_refused = False

    def give(self) -> None:
        """The packet has been forwarded or kept."""
        self.is_due = True
        self._visit.answer()

    def refuse(self) -> None:
        """The packet is lost. Its peer can only see that from the end of the connection."""
        self.is_refused = True
        self._visit.answer()


class Visit:
    """One connection: what was read of it, and the answers that are owed on it.

    Until it is closed, it is one of `visits`, in the order in which they last said something.
    """

    def __init__(
        self, connection: BareSocket, source: Source, visits: "OrderedDict[Visit, None]"
    ) -> None:
        self._connection = connection
        self.source = source
        self._visits = visits
        self._owed: deque[Answer] = deque()
        self.is_over = False  # no more packets are read
        self.taken = 0  # packets
        self._begun = b""  # of a packet that isn't complete
        self._until = 0.0  # the monotonic time by which it has to be
        visits[self] = None

    @property
    def is_closed(self) -> bool:
        """Whether the connection was closed here."""
        return self not in self._visits

    @property
    def has_begun(self) -> bool:
        """Whether the peer is in the middle of a packet."""
        return bool(self._begun)

    def read(self) -> bytes:
        """The next packet; empty at the end of the stream. Raises OSError."""
        while missing := PACKET_LENGTH - len(self._begun):
            left = max(self._until - time.monotonic(), 0.001) if self._begun else IDLE_TIME
            chunk = self._connection.recv_within(left, missing)
            if not chunk:
                return b""
            self._add(chunk)
        packet, self._begun = self._begun, b""
        self._visits.move_to_end(self)
        return packet

    def has_packet(self) -> bool:
        """Whether the whole first packet is there, so that `read` won't wait. Raises OSError."""
        try:
            self._add(self._connection.recv(PACKET_LENGTH))
        except BlockingIOError:
            return False
        return len(self._begun) == PACKET_LENGTH

    def has_ended(self) -> bool:
        """Whether it is known already that the peer sends nothing more. Raises OSError."""
        try:
            return not self._connection.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False

    def owe(self) -> Answer:
        """The answer to the packet that was just read."""
        answer = Answer(self)
        self._owed.append(answer)
        return answer

    def answer(self) -> None:
        """Write the answers to the first packets, up to one whose packet is still delayed."""
        due = 0
        while self._owed and self._owed[0].is_due:
            self._owed.popleft()
            due += 1
        if due:
            self._write(ACKNOWLEDGED * due)
        # After a packet that is lost nothing is answered: each `foomp` stands for the next packet.
        if (self._owed and self._owed[0].is_refused) or (self.is_over and not self._owed):
            self.close()

    def ends(self) -> None:
        """Read no more. The connection is closed once all answers are given."""
        self.is_over = True
        self.answer()

    def close(self) -> None:
        """Close the connection, whatever is owed on it."""
        self._visits.pop(self, None)
        self._owed.clear()
        self._connection.close()

    def _add(self, chunk: bytes) -> None:
        if not self._begun:
            self._until = time.monotonic() + PACKET_TIME
        self._begun += chunk

    def _write(self, data: bytes) -> None:
        try:
            is_written = self._connection.send(data) == len(data)
        except OSError as error:
            log.debug("an answer was lost: %s", error)
            is_written = False
        if not is_written:
            self.close()
