"""Looks up the names of nodes before they are needed: a Sphinx header holds addresses, not names.

One call of `resolve` is a round. A round waits for a limited time and returns the addresses that
are known by then. Lookups that take longer go on in threads of their own, and the next round has
their results. So a name server that never answers delays a round by TIMEOUT at most, and delays
nothing else.
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

LIFETIME = 600.0  # seconds for which an answer is used
LIFETIME_HERE = 60.0  # the same for names of this machine, whose lookup asks no name server
RETRY = 30.0  # seconds until a name without an address is looked up again
TIMEOUT = 5.0  # seconds for a whole round
GRACE = 1.0  # seconds of these for new names, if the network is whole without them
AT_ONCE = 16  # lookups at the same time, each in its thread
# Lookups that run or wait for a thread. Anybody can post names to a directory, and each waiting
# lookup is a greenlet.
MOST_WAITING = 4000
MOST_NAMED = 3  # names in one line of the log

log = logging.getLogger(__name__)


class _Known(NamedTuple):
    places: Places  # empty if the name has no address
    until: float  # the monotonic time at which it is looked up again


class Resolver:
    """Looks up names, and remembers each answer until a newer lookup finds another."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._wanted: frozenset[str] = frozenset()
        self._pending: set[str] = set()
        self._late: frozenset[str] = frozenset()  # had no address at the end of the last round
        self._allows: Callable[[NodeAddress], bool] = lambda _: True
        self._free = BoundedSemaphore(AT_ONCE)
        self._threads: NameThreads | None = None  # made for the first name; most networks have none
        self._came = Event()  # set when a lookup ends

    def resolve(
        self,
        hosts: Iterable[str],
        is_enough: Callable[[Mapping[str, NodeAddress]], bool] = lambda _: False,
        allows: Callable[[NodeAddress], bool] = lambda _: True,
    ) -> dict[str, NodeAddress]:
        """The addresses of those `host:port` texts that have one, after at most TIMEOUT seconds.

        `is_enough` says whether the addresses so far make a whole network. If they do, a name that
        had no address in the last round isn't waited for, and a new name only for GRACE seconds.
        Addresses that `allows` refuses are used only for a name that has no others.
        """
        self._allows = allows
        # In a thread: reading thousands of addresses takes the hub's time for 150 ms.
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
        """Start lookups of the names whose answers are missing or old."""
        now = time.monotonic()
        # `_pending` has lookups of earlier rounds, too, that haven't ended.
        for host in sorted(self._wanted - self._pending):
            known = self._known.get(host)
            if (known is None or known.until <= now) and len(self._pending) < MOST_WAITING:
                self._pending.add(host)
                gevent.spawn(self._look_up, host)

    def _wait(self, is_enough: Callable[[], bool]) -> None:
        grace, end = time.monotonic() + GRACE, time.monotonic() + TIMEOUT
        while True:
            # Cleared first: `is_enough` may let other greenlets run, and what a lookup finds
            # meanwhile must wake this one.
            self._came.clear()
            missing = self._without_address() & self._pending
            now = time.monotonic()
            # There is a new name among those that are missing, and its second isn't over.
            is_new_in_time = now < grace and not missing <= self._late
            if not missing or now >= end or (not is_new_in_time and is_enough()):
                break
            self._came.wait((grace if is_new_in_time else end) - now)

    def _without_address(self) -> frozenset[str]:
        return self._wanted - self._addresses().keys()

    def _say(self) -> None:
        """Log the names that have no address, and those that have one again, once each."""
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
                # While it waited for its turn, the directory may have stopped listing the name.
                if host in self._wanted:
                    self._note(host, self._find(*split_host(host)))
        finally:
            # Whatever was raised, the round must not wait for it, and the next one may try again.
            self._pending.discard(host)
            self._came.set()

    def _find(self, name: str, port: int) -> Places:
        """All addresses of a name; none if it has none or can't be looked up."""
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
        # IPv4 first: most nodes whose name has addresses of both families listen on IPv4. The sort
        # is stable, so within a family the system's order stays.
        found.sort(key=lambda entry: entry[0] != socket.AF_INET)
        # An address with a scope, such as fe80::1%eth0, has no place in a Sphinx header.
        ips = dict.fromkeys(str(entry[4][0]) for entry in found if "%" not in str(entry[4][0]))
        return tuple(NodeAddress(ip, port) for ip in ips)

    def _note(self, host: str, places: Places) -> None:
        now = time.monotonic()
        if not places:
            # A name server that is down for a while must not remove a node: its address stays until
            # another one is found.
            before = self._known.get(host)
            self._known[host] = _Known(before.places if before else (), now + RETRY)
            return
        # If none is allowed, one is kept all the same, so that the judge can say why it isn't.
        places = tuple(filter(self._allows, places)) or places[:1]
        is_here = all(is_loopback(place.ip) for place in places)
        if len(places) > 1:
            experience.note(places)
            if is_here:  # elsewhere, a trial would show who uses the node (nym.net.places)
                _try_all(places)
        self._known[host] = _Known(places, now + (LIFETIME_HERE if is_here else LIFETIME))


def _numeric(hosts: Iterable[str]) -> dict[str, NodeAddress]:
    return {host: at for host in hosts if (at := parse_numeric(host)) is not None}


def _try_all(places: Places) -> None:
    """Connect to each; try_connection notes for `experience` which of them takes connections."""
    for place in places:
        try:
            try_connection(place)
        except UnreachableError as error:
            log.debug("nothing listens there: %s", error)


def _named(hosts: Iterable[str]) -> str:
    first = sorted(hosts)
    more = f" and {len(first) - MOST_NAMED} more" if len(first) > MOST_NAMED else ""
    return ", ".join(first[:MOST_NAMED]) + more
