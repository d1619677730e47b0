"""Turns what a directory lists into the network to use.

It looks up names, leaves out this client's own sockets, gets the lists of providers' clients, and
has nym.judge and nym.view do the rest.
A directory may list thousands of nodes, so everything that takes long is done in a thread.
"""

import os
import time
from collections.abc import Mapping

from nym.client.kept_lists import KeptLists
from nym.config import Config
from nym.judge import Judgement, Rules, hosts
from nym.net.directories import Directories
from nym.net.directory import Listing
from nym.net.listening import is_here
from nym.net.outward import outward
from nym.net.resolver import Resolver
from nym.net.threads import beside_the_hub
from nym.net.trust import Trust
from nym.reach import Reach, obstacle_to_address
from nym.view import SALT_LENGTH, NetworkView, Seen
from nym.wire.addresses import NodeAddress
from nym.wire.directory import Records


class Judging:
    """Judges the records of directories; `own_port` is where this client's socket listens.

    The lists of providers' clients come from `lists`.
    """

    def __init__(self, lists: KeptLists, *, resolve_names: bool) -> None:
        self.own_port: int | None = None
        self._lists = lists
        self._resolve_names = resolve_names
        self._resolver = Resolver()

    def look(
        self, records: Records, reach: Reach, view: NetworkView, directory: str | None = None
    ) -> Seen:
        """Return what `view` makes of the records of a directory with this reach.

        Waits for lookups of new names, but not for long if there is a whole network without them.
        The lists of clients are asked of `directory`; without one, those that are kept are used.
        Raises UnusableNetworkError, and RemoteError if the lists can't be had.
        """
        judgement = self._judge(records, reach, view)
        if view.is_whole(judgement):
            judgement = self._lists.complete(judgement, directory)
        return beside_the_hub(view.look, judgement, time.monotonic())

    def _judge(self, records: Records, reach: Reach, view: NetworkView) -> Judgement:
        rules = Rules(reach, self._is_vouched(reach), layers=view.layers)

        def is_whole(known: Mapping[str, NodeAddress]) -> bool:
            return view.is_whole(view.judge(records, known, rules))

        addresses = self._resolver.resolve(
            beside_the_hub(hosts, records, rules),
            lambda known: beside_the_hub(is_whole, dict(known)),
            lambda place: not (obstacle_to_address(place.ip, reach) or self._is_own(place)),
        )

        def judge() -> Judgement:
            own = frozenset(place for place in addresses.values() if self._is_own(place))
            return view.judge(records, addresses, rules._replace(own=own))

        return beside_the_hub(judge)

    def _is_vouched(self, reach: Reach) -> bool:
        """Whether names of nodes may be looked up.

        A name server could answer each client differently, and so give it nodes of its own. So
        somebody has to vouch for names: the settings, or a directory on this machine, which is
        taken to be the user's own. With a proxy, nothing is looked up past it.
        """
        return not outward.proxy and (self._resolve_names or reach is Reach.LOOPBACK)

    def _is_own(self, place: NodeAddress) -> bool:
        return place.port == self.own_port and is_here(place.ip)


def first_sight(config: Config) -> tuple[Seen, Listing]:
    """Return what a client without a memory makes of its directories. Raises RemoteError."""
    directories = Directories(config.client.directories, Trust(config.client.directory_keys))
    judging = Judging(KeptLists(), resolve_names=config.client.resolve_names)

    def look(listing: Listing) -> tuple[Seen, Listing]:
        view = NetworkView(config.client.layers, os.urandom(SALT_LENGTH))
        return judging.look(listing.records, listing.reach, view, listing.directory), listing

    return directories.first(look)
