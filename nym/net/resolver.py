"""Names of nodes to IP addresses, beforehand: a Sphinx header holds addresses, not names.

A round takes what is known when it has waited long enough. Lookups go on meanwhile, in threads of
their own, and what they find is there for the next round: a name server that never answers costs a
round its time-out, at most, and nobody else anything.
"""

import _socket
import logging
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import gevent
from gevent.event import Event
from gevent.lock import BoundedSemaphore

from nym.errors import UnreachableError
from nym.net.localhost import ADDRESSES, NameThreads
from nym.net.places import Places, experience
from nym.net.threads import beside_the_hub
from nym.net.transport import try_connection
from nym.wire.addresses import (
    NodeAddress,
    is_localhost,
    is_loopback,
    parse_numeric,
    split_host,
)

LIFETIME = 600.0  # seconds that an answer is used
LIFETIME_HERE = 60.0  # of this machine's own addresses, which cost nobody anything
RETRY = 30.0  # seconds until a name that has no address is asked for again
TIMEOUT = 5.0  # seconds for a whole round
GRACE = 1.0  # of these, for new names that the network can do without
AT_ONCE = 16
MOST_WAITING = 4000  # names that are asked for and wait for their turn
MOST_NAMED = 3  # in one line of the log

log = logging.getLogger(__name__)


class _Known(NamedTuple):
    places: Places  # none where it has no address
    until: float


class Resolver:
    """Looks up names, and remembers the answers until there are newer ones."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._wanted: frozenset[str] = frozenset()
        self._pending: set[str] = set()
        self._late: frozenset[str] = frozenset()  # had no address at the end of the last round
        self._allows: Callable[[NodeAddress], bool] = lambda _: True
        self._free = BoundedSemaphore(AT_ONCE)
        self._threads: NameThreads | None = None
        self._came = Event()

    def resolve(
        self,
        hosts: Iterable[str],
        is_enough: Callable[[Mapping[str, NodeAddress]], bool] = lambda _: False,
        allows: Callable[[NodeAddress], bool] = lambda _: True,
    ) -> dict[str, NodeAddress]:
        """The addresses of those `host:port` texts that have one, after at most TIMEOUT seconds.

        `is_enough` says whether some of them will do: then no name is waited for that had its
        chance already, and a new one only for GRACE seconds. A name's addresses that aren't allowed
        are passed over, unless it has no others.
        """
        self._allows = allows
        numeric = beside_the_hub(_numeric, hosts)
        self._wanted = frozenset(hosts) - numeric.keys()
        self._known = {host: known for host, known in self._known.items() if host in self._wanted}
        self._begin()
        self._wait(lambda: is_enough(numeric | self._addresses()))
        self._say()
        return numeric | self._addresses()

    def _addresses(self) -> dict[str, NodeAddress]:
        return {
            host: experience.best(known.places)
            for host, known in self._known.items()
            if known.places
        }

    def _begin(self) -> None:
        """Ask for those whose answers are missing or old."""
        now = time.monotonic()
        for host in sorted(self._wanted - self._pending):
            known = self._known.get(host)
            if (known is None or known.until <= now) and len(self._pending) < MOST_WAITING:
                self._pending.add(host)
                gevent.spawn(self._look_up, host)

    def _wait(self, is_enough: Callable[[], bool]) -> None:
        grace, end = time.monotonic() + GRACE, time.monotonic() + TIMEOUT
        while missing := self._without_address() & self._pending:
            now = time.monotonic()
            is_graceful = now < grace and not missing <= self._late
            if now >= end or (not is_graceful and is_enough()):
                break
            self._came.clear()
            self._came.wait((grace if is_graceful else end) - now)

    def _without_address(self) -> frozenset[str]:
        return self._wanted - self._addresses().keys()

    def _say(self) -> None:
        """Which names have no address, and which have one now: once."""
        missing = self._without_address()
        if new := missing - self._late:
            log.warning(
                "%s: no address yet; it is skipped until it can be resolved (%d of %d names)",
                _named(new),
                len(missing),
                len(self._wanted),
            )
        if found := (self._late & self._wanted) - missing:
            log.info("%s: the address is there now, and is used", _named(found))
        self._late = missing

    def _look_up(self, host: str) -> None:
        try:
            with self._free:
                if host in self._wanted:
                    self._note(host, self._find(*split_host(host)))
        finally:
            self._pending.discard(host)
            self._came.set()

    def _find(self, name: str, port: int) -> Places:
        """All of a name's addresses."""
        if is_localhost(name):
            return tuple(NodeAddress(ip, port) for ip in ADDRESSES)
        if self._threads is None:
            self._threads = NameThreads(AT_ONCE)
        try:
            found = self._threads.apply(
                _socket.getaddrinfo, (name, port), {"type": socket.SOCK_STREAM}
            )
        except OSError as error:
            log.debug("%s has no address: %s", name, error)
            return ()
        # IPv4 first: most of those that announce a name of both families listen there.
        found.sort(key=lambda entry: entry[0] != socket.AF_INET)
        ips = dict.fromkeys(str(entry[4][0]) for entry in found if "%" not in str(entry[4][0]))
        return tuple(NodeAddress(ip, port) for ip in ips)

    def _note(self, host: str, places: Places) -> None:
        now = time.monotonic()
        if not places:
            before = self._known.get(host)  # an address stays until there is another one
            self._known[host] = _Known(before.places if before else (), now + RETRY)
            return
        places = tuple(filter(self._allows, places)) or places[:1]
        is_here = all(is_loopback(place.ip) for place in places)
        if len(places) > 1:
            experience.note(places)
            if is_here:
                _try_all(places)
        self._known[host] = _Known(places, now + (LIFETIME_HERE if is_here else LIFETIME))


def _numeric(hosts: Iterable[str]) -> dict[str, NodeAddress]:
    return {host: at for host in hosts if (at := parse_numeric(host)) is not None}


def _try_all(places: Places) -> None:
    for place in places:
        try:
            try_connection(place)
        except UnreachableError as error:
            log.debug("nothing listens there: %s", error)


def _named(hosts: Iterable[str]) -> str:
    first = sorted(hosts)
    more = f" and {len(first) - MOST_NAMED} more" if len(first) > MOST_NAMED else ""
    return ", ".join(first[:MOST_NAMED]) + more
