"""Keeps the client's view of the network up to date.

While no directory can be used, the last network stays in use, also after a restart of the client.
If a directory lists something that is no whole network, nym.view decides for how long the last one
stays.
"""

import logging
import time
from collections.abc import Callable
from math import inf
from random import Random

import gevent

from nym.client.judging import Judging
from nym.client.remembered import RememberedNetwork
from nym.errors import RemoteError, UnreachableError
from nym.net.directories import Directories
from nym.net.directory import Listing
from nym.net.threads import beside_the_hub
from nym.net.watch import Outage
from nym.reports import by_number, describe_left_out
from nym.store.clock import since_boot
from nym.timing import Backoff
from nym.topology import Topology
from nym.view import SALT_LENGTH, NetworkView, Seen

FIRST_RETRY = 0.5
LONGEST_RETRY = 10.0
# Seconds between writes of the network to disk if only clients come and go, which they do often.
KEEP_EVERY = 60.0

# Seconds between two answers of the directory, besides the period, after which the machine must
# have slept. It is less than the overlap of nodes' keys, and more than any answer takes.
LONGEST_GAP = 600.0

log = logging.getLogger(__name__)


class Refresher:
    """Asks a directory every `period` seconds, counted from the end of the last answer.

    `follow` is called with each network to use. `revive` is called when nothing answers at the
    directory's address. If it returns True, it has started a directory there, which is asked at
    once. `layers` is the configured number of layers; 0 means the number that was seen first.
    """

    def __init__(
        self,
        directories: Directories,
        period: float,
        random: Random,
        follow: Callable[[Topology], None],
        revive: Callable[[], bool] | None,
        judging: Judging,
        remembered: RememberedNetwork,
        layers: int = 0,
    ) -> None:
        self.view = NetworkView(layers or remembered.layers, random.randbytes(SALT_LENGTH))
        self.known_since: float | None = None
        self.directories = directories
        self.is_verified = False  # whether a trusted key signed what was listed last
        self._period = period
        self._follow = follow
        self._revive = revive
        self._judging = judging
        self._remembered = remembered
        self._is_recalled = False  # whether the network from the last run was taken up
        self._in_use: Topology | None = None  # what all of the client follows
        # The network as it was listed last.
        self._whole: tuple[Seen, Listing] | None = None
        self._kept: Topology | None = None  # the network that is on disk
        self._kept_at = -KEEP_EVERY
        self._asked_at = -inf  # by a clock that goes on while the machine sleeps
        self._backoff = Backoff(FIRST_RETRY, LONGEST_RETRY, random)
        self.outage = Outage(log, "directory")

    @property
    def topology(self) -> Topology | None:
        """The network to use, or None while there is none.

        After a start, and when the machine has slept, nodes may have other keys, and packets would
        be lost. So the directory is asked first. If it doesn't answer, the network from before is
        used.
        """
        is_old = since_boot() - self._asked_at > self._period + LONGEST_GAP
        return None if is_old else self._in_use

    def run(self) -> None:
        """Refresh for ever."""
        while True:
            gevent.sleep(self.tick())

    def keep(self) -> None:
        """Write the network to disk for the next start, if it has changed."""
        if self._whole and self._whole[0].topology != self._kept:
            self._keep(*self._whole, self._whole[0].judgement.encode())

    def tick(self) -> float:
        """Refresh the view once. Returns the seconds until the next time."""
        try:
            self._refresh()
            self._asked_at = since_boot()
        except RemoteError as error:
            self._asked_at = since_boot()
            if self.view.topology is None:  # it was incomplete for too long
                self._in_use = None
            if isinstance(error, UnreachableError) and self._revive and self._revive():
                return 0.0
            # Noted before `_recall`, because `follow`, which that calls, looks at the outage.
            self.outage.begins(error)
            if self._remembered.is_of_these_directories and self._recall():
                log.warning("using the network from the last run")
            return self._backoff.wait()
        self.outage.ends()
        self._backoff.reset()
        return self._period

    def _refresh(self) -> None:
        try:
            seen, listing = self.directories.first(self._look)
        finally:
            # Also if the list can't be used otherwise: no older one counts from now on.
            self._remembered.keep_newest(self.directories.trust.newest)
        self.is_verified = listing.key is not None
        for warning in seen.warnings:
            log.warning("network: %s", warning)
        self._use(seen.topology)
        self._whole = seen, listing
        if nodes := beside_the_hub(self._renewed, seen, time.monotonic()):
            self._keep(seen, listing, nodes)
        log.debug(
            "the network's layers have %s mixnodes, and it has %d providers; left out: %s",
            [len(layer) for layer in seen.topology.layers],
            len(seen.topology.providers),
            describe_left_out(by_number(seen.judgement.left_out)) or "none",
        )

    def _look(self, listing: Listing) -> tuple[Seen, Listing]:
        # First the network of the last run: the session has to know whether this is the network in
        # which it chose its provider.
        self._recall()
        had_layers = self.view.layers
        seen = self._judging.look(listing.records, listing.reach, self.view, listing.directory)
        if not had_layers:
            log.info("network: it has %d layers; this number is remembered", self.view.layers)
        return seen, listing

    def _use(self, topology: Topology) -> None:
        if self.known_since is None:
            self.known_since = time.monotonic()
        # Only now: no route may have mixnodes of this network and a provider's record of the last.
        self._follow(topology)
        self._in_use = topology

    def _renewed(self, seen: Seen, now: float) -> bytes | None:
        """Return the network as bytes if it is to be written now, or None.

        A change of keys or addresses is written at once, because packets on routes through the
        network on disk would be lost. Other changes are written every KEEP_EVERY seconds.
        """
        kept = self._kept
        is_urgent = kept is None or seen.topology.places() != kept.places()
        is_due = now - self._kept_at >= KEEP_EVERY and seen.topology != kept
        return seen.judgement.encode() if is_urgent or is_due else None

    def _keep(self, seen: Seen, listing: Listing, nodes: bytes) -> None:
        self._kept, self._kept_at = seen.topology, time.monotonic()
        self._remembered.keep(nodes, self.view.layers, listing.reach, listing.key)

    def _recall(self) -> bool:
        """Begin with the network of the last run, unless one is known. Returns whether it did.

        If that network belongs to other directories, only `follow` gets it: the session has to
        compare it with the new network, but nothing may send packets through it.
        """
        if self.known_since is not None or self._is_recalled:
            return False
        is_ours = self._remembered.is_of_these_directories
        # A view of its own for the network of other directories. It must not decide what the view
        # of these directories believes.
        view = self.view if is_ours else NetworkView()
        try:
            records = self._remembered.records()
            if records is None:
                return False
            seen = self._judging.look(records, self._remembered.reach, view)
        except RemoteError as error:
            log.debug("the network from the last run can't be used: %s", error)
            return False
        self._is_recalled = True
        if is_ours:
            self._use(seen.topology)
        else:
            self._follow(seen.topology)
        return True
