"""One client's view of the network: what it knew before decides what it believes next.

docs/protocol/directory.md, "What is remembered". A directory of 0.4 isn't signed, and anybody can
post to it. Nobody can make routes shorter, or choose where they end, just by adding records or by
leaving some out:

- The number of layers is the one that was set, or the first that was seen. Records of other layers
  are left out.
- Where a layer or every provider is missing, the last whole network stays in use for STALE seconds.
  After that there is none, until there is a whole one again.
- A node is known for CLAIM seconds after it was in a whole network last. While it is, records that
  contradict it don't count beside it (nym.judge).
- At first sight nothing is known, and new records that contradict each other are left out. Where
  they are half of a layer or more, whoever posted them could choose what is left: the client waits.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from nym.errors import UnusableNetworkError
from nym.judge import PROVIDERS, Judgement, Rules, Standing, judge
from nym.reports import by_number, describe_left_out, network_details, network_report
from nym.topology import Topology
from nym.wire.addresses import NodeAddress
from nym.wire.directory import Records
from nym.wire.requests import NetworkDetails, NetworkReport

STALE = 600.0  # seconds for which a network stays in use while the directory lists no whole one
CLAIM = 24 * 3600.0  # seconds; an outage of a night costs no node its place
QUIET = 3600.0  # seconds until a sudden change is said again
SALT_LENGTH = 16
MOST_KNOWN = 1 << 16  # nodes; beyond, those that were seen last longest ago are forgotten


class Seen(NamedTuple):
    """The network to use, the records that it is made of, and what is to be said of it once."""

    topology: Topology
    judgement: Judgement
    warnings: list[str]


class _Known(NamedTuple):
    since: float
    until: float


class NetworkView:
    """The view, and what it rests on.

    `layers` is how many there are, or 0: as first seen. `salt` is this client's own (nym.judge).
    """

    def __init__(self, layers: int = 0, salt: bytes = b"") -> None:
        self.layers = layers
        self.topology: Topology | None = None  # the network to use
        self.judgement: Judgement | None = None  # of what was listed last
        self._digest = ""  # of that, made once: people may ask at any time
        self.stale_since: float | None = None  # no network is used since then, though there was one
        self._known: dict[Standing, _Known] = {}
        self._salt = salt
        self._incomplete_since: float | None = None
        self._said_layers: set[int] = set()
        self._quiet_until = float("-inf")
        self._has_said_lone = False

    def judge(
        self, records: Records, addresses: Mapping[str, NodeAddress], rules: Rules
    ) -> Judgement:
        """Which of the records count, with what is known."""
        known = {node: known.since for node, known in self._known.items()}
        return judge(records, addresses, rules, known, self._salt)

    def is_whole(self, judgement: Judgement) -> bool:
        """Whether its nodes make a network."""
        layers = self._layers(judgement.widths())
        return all(self._is_believed(judgement, layer) for layer in (PROVIDERS, *layers))

    def look(self, judgement: Judgement, now: float) -> Seen:
        """The network is this now. Raises UnusableNetworkError where it isn't whole."""
        self.judgement = judgement
        if not self.is_whole(judgement):
            self._miss(now)
            raise UnusableNetworkError(self._why_unusable(judgement))
        self._incomplete_since = self.stale_since = None
        self.layers = self.layers or max(judgement.widths())
        before = self.topology
        self.topology = judgement.topology(self.layers)
        self._digest = self.topology.digest()
        self._remember(judgement, now)
        warnings = [*self._about_layers(judgement), *self._about_changes(before, now)]
        return Seen(self.topology, judgement, warnings)

    def report(self) -> NetworkReport | None:
        """Its size, or that of what is listed while none is used; None before the first look."""
        if self.judgement is None:
            return None
        if self.topology is not None:
            return network_report(self.topology, self._digest, self.judgement.left_out)
        widths = self.judgement.widths()
        return {
            "layers": [widths[layer] for layer in self._layers(widths)],
            "providers": widths[PROVIDERS],
            "left_out": by_number(self.judgement.left_out),
            "digest": None,
        }

    def details(self) -> NetworkDetails | None:
        """Each node of it; None while none is used."""
        if self.judgement is None or self.topology is None:
            return None
        return network_details(self.topology, self._digest, self.judgement.left_out)

    def _layers(self, widths: Counter[int]) -> range:
        """The numbers of the layers."""
        return range(1, (self.layers or max([1, *widths])) + 1)

    def _is_believed(self, judgement: Judgement, layer: int) -> bool:
        rivals = 0 if self._known else judgement.disputed[layer]
        return judgement.widths()[layer] > rivals

    def _miss(self, now: float) -> None:
        """There is no whole network; the last one does for a while."""
        if self._incomplete_since is None:
            self._incomplete_since = now
        if self.topology is not None and now - self._incomplete_since > STALE:
            self.topology, self.stale_since = None, now

    def _remember(self, judgement: Judgement, now: float) -> None:
        for node in judgement.nodes:
            before = self._known.pop(node, None)
            self._known[node] = _Known(before.since if before else now, now + CLAIM)
        # In the order in which they were seen last.
        room = len(self._known) - MOST_KNOWN
        self._known = {
            node: known
            for number, (node, known) in enumerate(self._known.items())
            if number >= room and known.until > now
        }

    def _about_layers(self, judgement: Judgement) -> Iterator[str]:
        for layer in sorted(judgement.other_layers - self._said_layers):
            self._said_layers.add(layer)
            yield (
                f"there are mixnodes in layer {layer} now, and they are ignored: this network has "
                f"had {self.layers} layers. If it has more, set client.layers, and start again"
            )

    def _about_changes(self, before: Topology | None, now: float) -> Iterator[str]:
        if before is None or self.topology is None:
            return
        if len(before.providers) == 1 < len(self.topology.providers) and not self._has_said_lone:
            self._has_said_lone = True
            yield (
                "there are several providers now, where there was one: messages to recipients that "
                "none of them lists wait until one does, except to those who were written to before"
            )
        if now < self._quiet_until:
            return
        old, new = before.public_keys(), self.topology.public_keys()
        gone, come = len(old - new), len(new - old)
        if 2 * gone > len(old) or 2 * come > len(new):
            self._quiet_until = now + QUIET
            yield (
                f"most of the network has changed at once: {gone} of {len(old)} nodes are gone, "
                f"{come} of {len(new)} are new. If nobody else sees that, the directory deceives "
                "you: compare nym-client network view with others"
            )

    def _why_unusable(self, judgement: Judgement) -> str:
        widths = judgement.widths()
        there = ", ".join(str(layer) for layer in sorted(widths) if layer != PROVIDERS) or "none"
        last = f"to {self.layers}" if self.layers else "on"
        text = (
            f"every layer from 1 {last} needs a mixnode that can be used, and a provider is "
            f"needed: there are mixnodes in layers {there}, and {widths[PROVIDERS]} providers"
        )
        if not self._known and judgement.disputed:
            text += ". New records that contradict each other are at least half of a layer"
        if why := describe_left_out(by_number(judgement.left_out)):
            text += f". Left out are {why}"
        if self.layers > 1:
            text += (
                f". If the network doesn't have {self.layers} layers any more, set client.layers, "
                "and start again"
            )
        return text
