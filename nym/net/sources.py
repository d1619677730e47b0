"""How much of a server each source takes, so that one peer can't take everything.

A source is an IPv4 address, or the 64 bits that all IPv6 addresses of one site have in common.
There are two limits.

Connections at once: one more is closed before anything is read.

Packets per second: so many are certain. A source that sends more is not refused, because many
people can stand behind one address: all who share a line, or a whole layer of mixnodes. What is
more waits until nobody else wants anything, in the order in which it came (`SpareTime`). So a
source that is alone gets all that a node can do, and one that is not takes nothing from others.
Only when too much waits already are new connections of that source closed.

A bad packet costs more of what is certain than a good one. Sources that send hardly anything else
don't wait for spare time: they are closed at once. Nobody is shut out for a time, since a mixnode
can't help forwarding what its clients made for the next node: somebody could shut it out with that.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import gevent
from gevent.lock import Semaphore

from nym.config.nodes import LimitSettings
from nym.net.listening import PatientAccept, Server
from nym.wire.addresses import NodeAddress, machine_at

MOST_SOURCES = 20_000  # that are remembered, some 6 MB; more than connections at once
MOST_WAITING = 256  # connections for which spare time is awaited, before new ones are closed
BURST = 1.0  # seconds: a source that was quiet may send so much at once
BAD_COST = 4.0  # a bad packet counts as so many
# A good packet weighs as much as so many bad ones. Above DISTRUST bad ones that aren't outweighed,
# a source sends hardly anything else.
GOOD_WEIGHT = 9
DISTRUST = 50
REFUSALS = ("connections", "packets", "garbage")  # why connections are closed unread
REFUSALS_IN_TURN = 1  # connections that are closed at once before it is the others' turn
_SENTENCES = {
    "connections": "somebody has as many connections as one source may have; more are closed",
    "packets": "somebody sends more packets than there is time for; new connections are closed",
    "garbage": "somebody sends hardly anything but garbage; new connections are closed",
}
_NEXT_TURN = 1e-6  # seconds; with 0, gevent wouldn't look at any socket in between
MOST_IN_TURN = 8  # packets that use the spare time of one turn

log = logging.getLogger(__name__)


class SourceLimits(NamedTuple):
    """What one source may have: connections at once, and packets per second that are certain."""

    connections: int = LimitSettings.source_connections
    packets: float = LimitSettings.source_packets


class Source:
    """What one source has taken lately."""

    __slots__ = ("_bad", "_credit", "_credited", "_rate", "connections")

    def __init__(self, rate: float, now: float) -> None:
        self.connections = 0
        self._rate = rate
        self._credit = rate * BURST  # packets that are certain now
        self._credited = now
        self._bad = 0

    def spend(self, now: float) -> bool:
        """Take one packet; returns whether it is one of those that are certain."""
        if not self.has_credit(now):
            return False
        self._credit -= 1.0
        return True

    def has_credit(self, now: float) -> bool:
        """Whether the next packet is one of those that are certain."""
        more = (now - self._credited) * self._rate
        self._credit = min(self._credit + more, self._rate * BURST)
        self._credited = now
        return self._credit >= 1.0

    def was_good(self) -> None:
        """Its last packet was a packet."""
        if self._bad:
            self._bad = max(0, self._bad - GOOD_WEIGHT)

    def was_bad(self) -> None:
        """Its last packet wasn't one for this node."""
        self._credit = max(self._credit - BAD_COST, -self._rate * BURST)
        self._bad = min(self._bad + 1, 2 * DISTRUST)

    def is_distrusted(self) -> bool:
        """Whether hardly anything of it was good."""
        return self._bad >= DISTRUST


class Sources:
    """The sources that are connected, and those that were lately."""

    def __init__(self, limits: SourceLimits, refused: dict[str, int] | None = None) -> None:
        self.limits = limits
        # How many connections were closed unread, by reason.
        self.refused = dict.fromkeys(REFUSALS, 0) if refused is None else refused
        self._known: OrderedDict[str, Source] = OrderedDict()  # the latest last

    def __len__(self) -> int:
        return len(self._known)

    def at(self, ip: str) -> Source:
        """The source at this address."""
        key = machine_at(ip)
        source = self._known.get(key)
        if source is None:
            source = self._known[key] = Source(self.limits.packets, time.monotonic())
            self._forget()
        else:
            self._known.move_to_end(key)
        return source

    def _forget(self) -> None:
        # Those that are connected stay. They come to the end, so that none is looked at twice
        # before all others.
        for _ in range(len(self._known)):
            if len(self._known) <= MOST_SOURCES:
                return
            key, source = self._known.popitem(last=False)
            if source.connections:
                self._known[key] = source


class SpareTime:
    """Lets some go on, one after the other, and then everybody else."""

    def __init__(self) -> None:
        self.waiting = 0
        self._turn = Semaphore()
        self._left = 0  # how many more may go on before it is the others' turn

    def wait(self) -> None:
        """Wait until it is time for what can wait."""
        with self._counted(), self._turn:
            if not self._left:
                gevent.sleep(_NEXT_TURN)
                self._left = MOST_IN_TURN
            self._left -= 1

    def is_scarce(self) -> bool:
        """Whether so much waits already that nothing new should."""
        return self.waiting >= MOST_WAITING

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self.waiting += 1
        try:
            yield
        finally:
            self.waiting -= 1


class Guarded(PatientAccept):
    """For gevent's servers: closes connections unread whose source has too much already."""

    sources: Sources
    spare: SpareTime | None = None  # what waits for it, where packets are counted

    def do_read(self) -> Any:
        """See PatientAccept."""
        for _ in range(REFUSALS_IN_TURN):
            accepted = super().do_read()
            if not accepted:
                return None
            source = self.sources.at(accepted[1][0])
            why = self._refusal(source)
            if why is None:
                # gevent handles each connection that is returned, and calls `do_close` for it,
                # whatever happens.
                source.connections += 1
                return accepted
            accepted[0].close()
            self._note(why)
        return None

    def do_close(self, *arguments: Any) -> None:
        """See gevent."""
        self.leave(*arguments)
        super().do_close(*arguments)  # type: ignore[misc]

    def leave(self, _: Any, peer: Any) -> None:
        """Note that a connection is not served any more."""
        self.sources.at(peer[0]).connections -= 1

    def _refusal(self, source: Source) -> str | None:
        """Why this source can't have one more connection, one of REFUSALS; None if it can."""
        if source.connections >= self.sources.limits.connections:
            return "connections"
        if self.spare is None or source.has_credit(time.monotonic()):
            return None
        if source.is_distrusted():
            return "garbage"
        return "packets" if self.spare.is_scarce() else None

    def _note(self, why: str) -> None:
        if not self.sources.refused[why]:
            log.warning("%s; this is logged only once", _SENTENCES[why])
        # Nothing says which source: it may be a client's.
        log.debug("a connection was closed unread: %s", why)
        self.sources.refused[why] += 1


class GuardedServer(Guarded, Server):
    """A TCP server with limits for each source."""

    def __init__(self, place: NodeAddress, handle: Any, sources: Sources, **how: Any) -> None:
        self.sources = sources
        super().__init__((place.ip, place.port), handle, **how)
