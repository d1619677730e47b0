"""What directories list, as a client sees it that has never seen the network before."""

import os
from typing import NamedTuple

from nym.client.judging import Judging
from nym.errors import ListsError, OwnFaultError, RemoteError, UnusableNetworkError
from nym.judge import PROVIDERS, Judgement
from nym.net.directory import fetch_topology
from nym.net.trust import Trust
from nym.network.check.report import DirectoryReport
from nym.topology import Topology
from nym.view import SALT_LENGTH, NetworkView
from nym.wire.directory import Records
from nym.wire.text import visible_url


class Sight(NamedTuple):
    """What one directory lists. `obstacle` says why clients can't use that network, or is ""."""

    report: DirectoryReport
    records: Records
    judgement: Judgement
    topology: Topology
    obstacle: str

    @property
    def versions(self) -> dict[bytes, str | None]:
        """The version that each node announces, by its key."""
        nodes = self.judgement.nodes.items()
        return {node.public_key: record.version for node, record in nodes}


def look(url: str, trust: Trust, judging: Judging, layers: int) -> Sight:
    """Ask one directory. The network is known to have `layers`, or more. Raises RemoteError."""
    listing = fetch_topology(url, trust)
    clock_off = listing.clock_off()
    view = NetworkView(salt=os.urandom(SALT_LENGTH))
    obstacle = ""
    try:
        judging.look(listing.records, listing.reach, view, url)
    except UnusableNetworkError:
        obstacle = "records contradict each other, and nobody can tell which of them count"
    except OwnFaultError:
        raise
    except RemoteError as error:
        raise ListsError(f"clients can't get the lists of clients from it: {error}") from error
    judgement = view.judgement
    if judgement is None:
        raise AssertionError("a view that has looked has a judgement")
    widths = judgement.widths()
    layers = max([1, layers, *widths])
    needed = (*range(1, layers + 1), PROVIDERS)
    if missing := [_nothing_in(layer) for layer in needed if not widths[layer]]:
        obstacle = " and ".join(missing)
    topology = judgement.topology(layers)
    report = DirectoryReport(
        visible_url(url),
        trouble=None,
        verified=listing.key is not None if trust.keys else None,
        clock_off=clock_off and round(clock_off, 1),
        digest=None if obstacle else topology.digest(),
    )
    return Sight(report, listing.records, judgement, topology, obstacle)


def _nothing_in(layer: int) -> str:
    return "there is no provider" if layer == PROVIDERS else f"layer {layer} has no mixnode"
