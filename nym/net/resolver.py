"""Names of nodes to IP addresses, beforehand: a Sphinx header holds addresses, not names."""

import logging
import socket
import time
from collections.abc import Iterable

import gevent
from gevent.pool import Pool

from nym.wire.addresses import NodeAddress, parse_numeric, split_host

LIFETIME = 600.0  # seconds that an answer is used
TIMEOUT = 5.0  # seconds for all lookups of one round together
AT_ONCE = 16

log = logging.getLogger(__name__)


class Resolver:
    """Looks up names, and remembers the answers until there are newer ones."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[NodeAddress, float]] = {}
        self._failed: set[str] = set()

    def resolve(self, hosts: Iterable[str]) -> dict[str, NodeAddress]:
        """The addresses of those `host:port` texts that have one."""
        numeric: dict[str, NodeAddress] = {}
        names: set[str] = set()
        for host in hosts:
            address = parse_numeric(host)
            if address is not None:
                numeric[host] = address
            else:
                names.add(host)
        self._look_up(names)
        known = {host: self._known[host][0] for host in names if host in self._known}
        return numeric | known

    def _look_up(self, names: set[str]) -> None:
        self._known = {host: entry for host, entry in self._known.items() if host in names}
        now = time.monotonic()
        due = {host for host in names if host not in self._known or self._known[host][1] < now}
        pool = Pool(AT_ONCE)
        lookups = {host: pool.spawn(_look_up, host) for host in due}
        gevent.joinall(list(lookups.values()), timeout=TIMEOUT)
        pool.kill(block=False)
        failed = set()
        for host, lookup in lookups.items():
            if lookup.value is not None:
                self._known[host] = (lookup.value, now + LIFETIME)
            else:
                failed.add(host)
        for host in sorted(failed - self._failed):
            log.warning("%s has no address now; it is not used before it has one", host)
        self._failed = failed


def _look_up(host: str) -> NodeAddress | None:
    name, port = split_host(host)
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        log.debug("%s has no address: %s", name, error)
        return None
    # IPv4 first: the nodes of 0.4 listen on one address, most of them on that one.
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    return NodeAddress(str(found[0][4][0]), port)
