"""Where packets arrive at a node: cuts what peers send into packets, and answers each one in turn.

A peer may send any number of packets on one connection, and TCP may cut them anywhere. Each packet
is taken as soon as its last byte is there, so the delays of packets on one connection run side by
side. The answers keep the order of the packets (docs/protocol/mixnode.md).

Connections are cheap for a peer, so there are limits. A peer that stops in the middle of a packet
loses its connection after PACKET_TIME. If all places are taken, the connection that has been silent
for the longest time makes room for a new one. A source that sends or connects more than its share
takes nothing from others (nym.net.sources). And a node that can't keep up accepts no more than it
serves (nym.net.listening): connections wait in the system's queue, which refuses what is too much
without any work here.
"""

import logging
import os
import socket
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

import gevent

from nym.errors import DescriptorsError, RemoteError, StoreError
from nym.net.crew import Crew
from nym.net.descriptors import are_scarce
from nym.net.listening import listen
from nym.net.sources import REFUSALS, GuardedServer, SourceLimits, Sources, SpareTime
from nym.nodes.counts import BAD, REASONS, Counts, reason_of
from nym.wire.addresses import NodeAddress
from nym.wire.provider import ACKNOWLEDGED
from nym.wire.sizes import PACKET_LENGTH

MOST_CONNECTIONS = 10_000
IDLE_TIME = 60.0  # seconds for which a connection may be silent between two packets
PACKET_TIME = 10.0  # seconds from the first byte of a packet to its last
SILENT, SLOW, CROWDED = "silent", "slow", "crowded"  # why connections are closed
MOST_NEW = 8  # connections that are accepted before one of them is served
IN_TURN = 8  # packets that one connection may bring before it is the others' turn

log = logging.getLogger(__name__)


class Answer:
    """What a peer is told about one packet: `foomp` once it was dealt with, or nothing."""

    __slots__ = ("_visit", "is_due", "is_refused")

    def __init__(self, visit: "_Visit") -> None:
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


# Called with a packet and the way to answer it. Raises RemoteError or StoreError to drop it.
Take = Callable[[bytes, Answer], None]


class Door:
    """A server for packets. `take` gets each packet; `say` is told why one was dropped."""

    def __init__(
        self,
        place: NodeAddress,
        take: Take,
        say: Callable[[str], None],
        counts: Counts,
        limits: SourceLimits,
    ) -> None:
        self.address = place  # once it listens, with the port that the system has chosen for 0
        refused = counts.kinds(
            "nym_node_connections_refused_total",
            "Connections for packets that were closed unread, because their source had too many, "
            "sent too many packets, or sent hardly anything but garbage.",
            "reason",
            REFUSALS,
        )
        self._sources = Sources(limits, refused)
        self._spare = SpareTime()
        self._crew = Crew()
        self._server = _Server(place, self._visit, self._sources, spawn=self._crew.spawn)
        self._server.spare = self._spare
        self._take = take
        self._say = say
        # In the order in which they last said something.
        self._visits: OrderedDict[_Visit, None] = OrderedDict()
        self._has_stopped = False
        self._received = counts.count("nym_node_packets_received_total", "Packets that came.")
        self.dropped = counts.kinds(
            "nym_node_packets_dropped_total",
            "Packets that were dropped, by reason.",
            "reason",
            REASONS,
        )
        self._deferred = counts.count(
            "nym_node_packets_deferred_total",
            "Packets that waited until nobody else wanted anything, because their source sent more "
            "than its share.",
        )
        self._opened = counts.count(
            "nym_node_connections_opened_total", "Connections that were accepted, for packets."
        )
        self._closed = counts.kinds(
            "nym_node_connections_closed_total",
            "Connections that the node closed because the peer was silent, was too slow in the "
            "middle of a packet, or had to make room.",
            "reason",
            (SILENT, SLOW, CROWDED),
        )
        counts.gauge(
            "nym_node_connections",
            "Connections for packets that are open, or on which an answer is owed.",
            lambda: len(self._visits),
        )

    def listen(self) -> None:
        """Begin. Raises ListenError."""
        self.address = listen(self._server, "--listen")

    def close(self) -> None:
        """Accept no more connections; those that are open stay."""
        # Not `stop`, which also ends the greenlets that read.
        self._server.close()

    def stop(self) -> None:
        """Stop accepting, and close all connections."""
        self._has_stopped = True
        self._server.stop(timeout=0)
        self._crew.dismiss()
        for visit in list(self._visits):
            visit.close()

    def _visit(self, connection: socket.socket, peer: Any) -> None:
        if self._has_stopped:  # after this connection was accepted
            connection.close()
            return
        # With few descriptors left, nothing could be forwarded.
        if self._visits and (
            len(self._visits) >= MOST_CONNECTIONS or are_scarce(connection.fileno())
        ):
            self._closed[CROWDED] += 1
            next(iter(self._visits)).close()
        visit, source = _Visit(connection, self._visits), self._sources.at(peer[0])
        self._opened.add()
        try:
            while packet := visit.read():
                self._received.add()
                if not source.spend(time.monotonic()):
                    self._deferred.add()
                    self._spare.wait()
                self._take(packet, visit.owe())
                source.was_good()
                visit.taken += 1
                if visit.taken % IN_TURN == 0:
                    gevent.sleep(0)
        except TimeoutError:
            self._closed[SLOW if visit.has_begun else SILENT] += 1
            visit.close()
        except (DescriptorsError, OSError) as error:
            # Not a warning: anybody can end a connection, and senders of one packet per connection
            # close it before the answer is written. nym.net.descriptors has logged a lack of
            # descriptors.
            log.debug("%s lost a connection: %s", self.address, error)
            visit.close()
        except (RemoteError, StoreError) as error:
            reason = reason_of(error)
            self.dropped[reason] += 1
            if reason in BAD:
                source.was_bad()
            self._say(f"dropped a packet: {error}")
            visit.refuse_last()
        except Exception as error:
            self.dropped[reason_of(error)] += 1
            log.exception("%s lost a packet", self.address)
            visit.refuse_last()
        except BaseException:  # the node stops
            visit.close()
            raise
        else:
            visit.ends()


class _Server(GuardedServer):
    """Leaves open what it has accepted, and accepts a few at a time."""

    # Each brings a packet, mostly. What is to be sent on meanwhile waits for all of them.
    most_new = MOST_NEW

    def do_close(self, *arguments: Any) -> None:
        """Not when the greenlet of a connection ends, as in gevent: _Visit closes it.

        Answers may be owed on it for as long as packets are delayed. A greenlet that waits for
        that, for each connection, would take more memory than the packets. What only waits for an
        answer doesn't count as a connection of its source: a mixnode that sends one packet on each
        can't know how long the delays are.
        """
        self.leave(*arguments)


class _Visit:
    """One connection: what was read of it, and the answers that are owed on it."""

    def __init__(self, connection: socket.socket, visits: "OrderedDict[_Visit, None]") -> None:
        self._connection = connection
        self._visits = visits
        self._owed: deque[Answer] = deque()
        self._is_over = False  # no more packets are read
        self.taken = 0  # packets
        self.has_begun = False  # to send a packet that isn't complete
        visits[self] = None

    def read(self) -> bytes:
        """The next packet; empty at the end of the stream. Raises OSError."""
        packet, until, self.has_begun = b"", 0.0, False
        while (missing := PACKET_LENGTH - len(packet)) > 0:
            self._connection.settimeout(
                max(until - time.monotonic(), 0.001) if packet else IDLE_TIME
            )
            chunk = self._connection.recv(missing)
            if not chunk:
                return b""
            if not packet:
                until, self.has_begun = time.monotonic() + PACKET_TIME, True
            packet += chunk
        self._visits.move_to_end(self)
        return packet

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
        if (self._owed and self._owed[0].is_refused) or (self._is_over and not self._owed):
            self.close()

    def refuse_last(self) -> None:
        """The packet that was read last is lost, and no more are read."""
        self._is_over = True
        if self._owed:
            self._owed[-1].is_refused = True
        self.answer()

    def ends(self) -> None:
        """Read no more. The connection is closed once all answers are given."""
        self._is_over = True
        self.answer()

    def close(self) -> None:
        """Close the connection, whatever is owed on it."""
        self._visits.pop(self, None)
        self._owed.clear()
        self._connection.close()

    def _write(self, data: bytes) -> None:
        # Not the socket's `send`, which waits: nothing here may wait for a peer that doesn't read.
        try:
            is_written = os.write(self._connection.fileno(), data) == len(data)
        except OSError as error:
            log.debug("an answer was lost: %s", error)
            is_written = False
        if not is_written:
            self.close()
