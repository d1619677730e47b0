"""Keeps the client's view of the network up to date.

The last one stays when no new one comes, also from one start to the next.
"""

import logging
import time
from collections.abc import Callable
from random import Random

import gevent

from nym.errors import RemoteError, UnreachableError
from nym.net.directory import fetch_topology
from nym.net.resolver import Resolver
from nym.net.watch import Outage
from nym.store.state import State
from nym.timing import Backoff
from nym.topology import Topology, build_topology, hosts, is_usable, left_out
from nym.wire.addresses import NodeAddress
from nym.wire.directory import Records, parse_topology

FIRST_RETRY = 0.5
LONGEST_RETRY = 10.0
KEEP_EVERY = 60.0  # seconds between networks that are kept, where only clients come and go
_STATE = "topology"

log = logging.getLogger(__name__)


class Refresher:
    """Asks the directory every `period` seconds, counted from the end of the last answer.

    `revive` is called when nothing answers at the directory's address; it says whether it
    brought a directory up there, which is then asked at once.
    """

    def __init__(
        self,
        directory: str,
        period: float,
        random: Random,
        follow: Callable[[Topology], None],
        revive: Callable[[], bool] | None,
        state: State,
    ) -> None:
        self.topology: Topology | None = None
        self.known_since: float | None = None
        self._directory = directory
        self._period = period
        self._follow = follow
        self._revive = revive
        self._state = state
        self._answer: tuple[Topology, bytes] | None = None  # the last good one, and its text
        self._kept: Topology | None = None
        self._kept_at = -KEEP_EVERY
        self._resolver = Resolver()
        self._backoff = Backoff(FIRST_RETRY, LONGEST_RETRY, random)
        self.outage = Outage(log, "directory")

    def run(self) -> None:
        """Refresh for ever."""
        while True:
            gevent.sleep(self.tick())

    def keep(self) -> None:
        """Keep the network for the next start."""
        if self._answer and self._answer[0] != self._kept:
            self._kept, body = self._answer
            self._kept_at = time.monotonic()
            self._state.set(_STATE, body)

    def tick(self) -> float:
        """One refresh; returns the seconds until the next."""
        try:
            self._refresh()
        except RemoteError as error:
            if isinstance(error, UnreachableError) and self._revive and self._revive():
                return 0.0
            self.outage.begins(error)
            if self.topology is None and (last := self._last()):
                log.warning("going on with the network as it was before this start")
                self._use(last)
            return self._backoff.wait()
        self.outage.ends()
        self._backoff.reset()
        return self._period

    def _refresh(self) -> None:
        records, body, _ = fetch_topology(self._directory)
        addresses = self._addresses(records)
        topology = build_topology(records, addresses)
        if self.topology is None and (last := self._last()):
            self._use(last)  # whoever chose a node then has to know whether this is its network
        self._use(topology)
        self._answer = topology, body
        if self._has_moved(topology) or time.monotonic() - self._kept_at >= KEEP_EVERY:
            self.keep()
        log.debug(
            "the network has layers of %s mixnodes, and %d providers; left out: %s",
            [len(layer) for layer in topology.layers],
            len(topology.providers),
            left_out(records, addresses) or "none",
        )

    def _addresses(self, records: Records) -> dict[str, NodeAddress]:
        """Those that are known, as soon as they make a network."""
        return self._resolver.resolve(hosts(records), lambda known: is_usable(records, known))

    def _use(self, topology: Topology) -> None:
        if self.known_since is None:
            self.known_since = time.monotonic()
        self.topology = topology.after(self.topology)
        self._follow(self.topology)

    def _has_moved(self, topology: Topology) -> bool:
        """Whether packets on routes of the kept network would be lost."""
        return self._kept is None or topology.places() != self._kept.places()

    def _last(self) -> Topology | None:
        body = self._state.get(_STATE)
        if body is None:
            return None
        try:
            records = parse_topology(body)
            return build_topology(records, self._addresses(records))
        except RemoteError as error:
            log.debug("the last start's network can't be used: %s", error)
            return None
