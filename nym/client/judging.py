"""From what a directory lists to the nodes that count: names looked up, own sockets left out.

A directory may list thousands, so all that takes long is done beside the hub.
"""

import os
import time
from collections.abc import Mapping

from nym.config import Config
from nym.judge import Judgement, Rules, hosts
from nym.net.directory import Listing, fetch_topology
from nym.net.listening import is_here
from nym.net.resolver import Resolver
from nym.net.threads import beside_the_hub
from nym.reach import Reach, obstacle_to_address
from nym.view import SALT_LENGTH, NetworkView, Seen
from nym.wire.addresses import NodeAddress
from nym.wire.directory import Records


class Judging:
    """Judges the records of directories; `own_port` is where this client's socket listens."""

    def __init__(self, *, resolve_names: bool) -> None:
        self.own_port: int | None = None
        self._resolve_names = resolve_names
        self._resolver = Resolver()

    def look(self, records: Records, reach: Reach, view: NetworkView) -> Seen:
        """What `view` makes of the records of a directory of this reach.

        New names are waited for until there is a network. Raises UnusableNetworkError.
        """
        judgement = self._judge(records, reach, view)
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
        """Whether somebody vouches for names, which a name server could give each client anew."""
        # A directory on this machine is taken to be its user's own.
        return self._resolve_names or reach is Reach.LOOPBACK

    def _is_own(self, place: NodeAddress) -> bool:
        return place.port == self.own_port and is_here(place.ip)


def first_sight(config: Config) -> tuple[Seen, Listing]:
    """What a client that remembers nothing makes of the directory. Raises RemoteError."""
    listing = fetch_topology(config.client.directory_url)
    view = NetworkView(config.client.layers, os.urandom(SALT_LENGTH))
    judging = Judging(resolve_names=config.client.resolve_names)
    return judging.look(listing.records, listing.reach, view), listing
