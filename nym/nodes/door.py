"""Where packets arrive at a node: what connections bring is dealt with, some packets at once.

The products on the curve are most of what a packet costs, and eight at once cost little more than
one (docs/protocol/sphinx.md). So the packets that come in one turn of the event loop are unwrapped
together. None waits for others: a node that has little to do takes each by itself.

Connections are cheap for a peer, so there are limits. If all places are taken, the connection that
has been silent for the longest time makes room for a new one. A source that sends or connects more
than its share takes nothing from others (nym.net.sources). And a node that can't keep up accepts no
more than it serves (nym.net.listening): connections wait in the system's queue, which refuses what
is too much without any work here.
"""

import logging
import socket
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import gevent

from nym.errors import DescriptorsError, NymError, ReplayedError
from nym.net.bare import BareServer, BareSocket
from nym.net.crew import Crew
from nym.net.descriptors import are_scarce
from nym.net.listening import listen
from nym.net.sources import REFUSALS, GuardedServer, SourceLimits, Sources, SpareTime
from nym.nodes.counts import BAD, REASONS, STOPPED, Counts, reason_of
from nym.nodes.visits import Answer, Visit
from nym.sphinx import AT_ONCE
from nym.wire.addresses import NodeAddress

MOST_CONNECTIONS = 10_000
SILENT, SLOW, CROWDED = "silent", "slow", "crowded"  # why connections are closed
MOST_NEW = AT_ONCE  # connections that are accepted before one of them is served
IN_TURN = 8  # packets that one connection may bring before it is the others' turn

log = logging.getLogger(__name__)

Task = TypeVar("Task")


class _Arrival(NamedTuple):
    """A packet that nobody has looked at yet."""

    packet: bytes
    answer: Answer
    visit: Visit


class Door(Generic[Task]):
    """A server for packets.

    `unwrap` gets some packets, and returns for each what has to be done with it, or why it is
    dropped. `handle` does that, or raises why not. `say` is told why a packet was dropped.
    """

    def __init__(
        self,
        place: NodeAddress,
        unwrap: Callable[[list[bytes]], list[Task | NymError]],
        handle: Callable[[bytes, Task, Answer], None],
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
        self._server.welcome = self._welcome
        self._unwrap = unwrap
        self._handle = handle
        self._say = say
        self._visits: OrderedDict[Visit, None] = OrderedDict()
        self._came: list[_Arrival] = []  # in this turn
        self._brief = 0  # connections that brought some of them, and ended already
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

    def listen(self, listener: socket.socket | None = None) -> None:
        """Begin; with a socket that listens already, there. Raises ListenError."""
        if listener is not None:
            self._server.set_listener(listener)
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

    def _welcome(self, connection: BareSocket, peer: Any) -> Visit | None:
        """Take what a new connection has brought already; None if that is all.

        This is so for nearly all, and saves them a greenlet. It runs in the hub: nothing here waits
        or logs.
        """
        # With few descriptors left, nothing could be forwarded.
        if self._visits and (
            len(self._visits) >= MOST_CONNECTIONS or are_scarce(connection.fileno())
        ):
            self._closed[CROWDED] += 1
            next(iter(self._visits)).close()
        source = self._sources.at(peer[0])
        visit = Visit(connection, source, self._visits)
        self._opened.add()
        try:
            if not (visit.has_packet() and source.spend(time.monotonic())):
                return visit
            self._received.add()
            self._take(visit, visit.read())
            if visit.has_ended():
                visit.is_over = True
                self._brief += 1
                return None
        except OSError:  # the greenlet finds that nothing more comes
            pass
        except BaseException:
            visit.close()
            raise
        return visit

    def _visit(self, visit: Visit, _: Any) -> None:
        if visit.is_closed:  # before its first turn
            return
        source = visit.source
        try:
            while (packet := visit.read()) and not visit.is_over:
                self._received.add()
                if not source.spend(time.monotonic()):
                    self._deferred.add()
                    self._spare.wait()
                self._take(visit, packet)
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
        except Exception as error:
            self.dropped[reason_of(error)] += 1
            log.exception("%s lost a packet", self.address)
            visit.close()
        except BaseException:  # the node stops
            visit.close()
            raise
        else:
            visit.ends()

    def _take(self, visit: Visit, packet: bytes) -> None:
        if not self._came:  # first, because it can fail: what came must not wait for nobody
            self._crew.spawn(self._deal_with_all)
        self._came.append(_Arrival(packet, visit.owe(), visit))
        visit.taken += 1

    def _deal_with_all(self) -> None:
        # Once for each turn: what comes later spawns this again.
        came, self._came = self._came, []
        if self._brief:
            self._server.served(self._brief)
            self._brief = 0
        for first in range(0, len(came), AT_ONCE):
            self._deal_with(came[first : first + AT_ONCE])

    def _deal_with(self, arrivals: list[_Arrival]) -> None:
        if self._has_stopped:
            self.dropped[STOPPED] += len(arrivals)
            return
        found: Sequence[Task | Exception]
        try:
            found = self._unwrap([arrival.packet for arrival in arrivals])
        except Exception as error:  # noqa: BLE001 - all of them are dropped for it
            found = [error] * len(arrivals)
        for arrival, one in zip(arrivals, found, strict=True):
            if isinstance(one, Exception):
                self._refuse(arrival, one)
                continue
            try:
                self._handle(arrival.packet, one, arrival.answer)
            except Exception as error:  # noqa: BLE001 - the packet is dropped for it
                self._refuse(arrival, error)
            else:
                arrival.visit.source.was_good()

    def _refuse(self, arrival: _Arrival, error: Exception) -> None:
        if reason_of(error) in BAD:
            arrival.visit.source.was_bad()
            arrival.visit.is_over = True
        self.drop(arrival.answer, error)

    def drop(self, answer: Answer, error: Exception, why: str = "") -> None:
        """Drop a packet because of this error. The log has `why`, or else the error's text."""
        self.dropped[reason_of(error)] += 1
        if isinstance(error, ReplayedError):
            log.debug("%s dropped a packet that it has had before", self.address)
        elif isinstance(error, NymError):
            self._say(f"dropped a packet: {why or error}")
        else:
            log.error("%s lost a packet", self.address, exc_info=error)
        answer.refuse()


class _Server(GuardedServer, BareServer):
    """Leaves open what it has accepted, and accepts a few at a time."""

    # Each brings a packet, mostly. What is to be sent on meanwhile waits for all of them.
    most_new = MOST_NEW
    # Gets each connection and its peer; what it returns is served in a greenlet, unless it is None.
    welcome: Callable[[BareSocket, Any], Visit | None]

    def do_handle(self, *arguments: Any) -> None:
        """See gevent."""
        try:
            visit = self.welcome(*arguments)
        except BaseException:
            self.leave(*arguments)
            arguments[0].close()
            raise
        if visit is not None:
            super().do_handle(visit, *arguments[1:])
        else:
            self.leave(*arguments)
            self._new += 1  # until its packet is dealt with

    def do_close(self, *arguments: Any) -> None:
        """Not when the greenlet of a connection ends, as in gevent: Visit closes it.

        Answers may be owed on it for as long as packets are delayed. A greenlet that waits for
        that, for each connection, would take more memory than the packets. What only waits for an
        answer doesn't count as a connection of its source: a mixnode that sends one packet on each
        can't know how long the delays are.
        """
        self.leave(*arguments)
