"""One client's view of the network: what it knew before decides which records it believes next.

docs/protocol/directory.md, "What is remembered". A directory of 0.4 isn't signed, and anyone can
post to it. These rules keep anyone from shortening routes, or from choosing where they end, just by
adding records or leaving some out:

- The number of layers is the one in the settings, or the first one seen. Records of other layers
  are left out.
- If a layer or every provider is missing, the last whole network stays in use for STALE seconds.
  After that, the client uses no network until the directory lists a whole one again.
- A node stays known for CLAIM seconds after it was last in a whole network. During that time,
  records that contradict it are left out while its own record is there (nym.judge).
- At first, no node is known, and new records that contradict each other are left out. If these may
  be half of a layer or more, whoever posted them could choose which nodes remain, so the client
  waits.
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
from nym.wire.reports import NetworkDetails, NetworkReport

STALE = 600.0  # seconds for which a network stays in use while the directory lists no whole one
CLAIM = 24 * 3600.0  # seconds; so a node that is down overnight keeps its key and its place
QUIET = 3600.0  # seconds until the next warning about a sudden change
SALT_LENGTH = 16  # bytes
MOST_KNOWN = 1 << 16  # nodes, to bound memory; beyond, those not seen for longest are forgotten


class Seen(NamedTuple):
    """The network to use, the judgement that it is made from, and warnings to log once."""

    topology: Topology
    judgement: Judgement
    warnings: list[str]


class _Known(NamedTuple):
    since: float
    until: float
    place_since: float  # since when a node has been known at its place, whatever keys it had


class NetworkView:
    """The view of one client, and what the client remembers for it.

    `layers` is the number of layers; 0 means the number in the first whole network. `salt` is this
    client's own (nym.judge).
    """

    def __init__(self, layers: int = 0, salt: bytes = b"") -> None:
        self.layers = layers
        self.topology: Topology | None = None  # the network to use
        self.judgement: Judgement | None = None  # of the directory's latest answer
        self._digest = ""  # of `topology`, kept because reports need it often
        self.stale_since: float | None = None  # when the last network became too old to use
        self._known: dict[Standing, _Known] = {}
        self._places: dict[Standing, float] = {}  # since when each place in `_known` is known
        self._salt = salt
        self._incomplete_since: float | None = None
        self._said_layers: set[int] = set()
        self._quiet_until = float("-inf")
        self._has_said_lone = False

    def judge(
        self, records: Records, addresses: Mapping[str, NodeAddress], rules: Rules
    ) -> Judgement:
        """Judge the records, given the nodes that are known."""
        known = {node: known.since for node, known in self._known.items()}
        return judge(records, addresses, rules, known, self._salt, self._places)

    def is_whole(self, judgement: Judgement) -> bool:
        """Whether its nodes make a whole network: each layer is there, and a provider."""
        layers = self._layers(judgement.widths())
        return all(self._is_believed(judgement, layer) for layer in (PROVIDERS, *layers))

    def look(self, judgement: Judgement, now: float) -> Seen:
        """Use this judgement's network. Raises UnusableNetworkError if it isn't whole."""
        self.judgement = judgement
        if not self.is_whole(judgement):
            self._miss(now)
            raise UnusableNetworkError(self._why_unusable(judgement))
        self._incomplete_since = self.stale_since = None
        # The first whole network decides the number of layers, if the settings don't.
        self.layers = self.layers or max(judgement.widths())
        before = self.topology
        self.topology = judgement.topology(self.layers)
        self._digest = self.topology.digest()
        self._remember(judgement, now)
        warnings = [*self._about_layers(judgement), *self._about_changes(before, now)]
        return Seen(self.topology, judgement, warnings)

    def report(self) -> NetworkReport | None:
        """The size of the network in use, or else of what is listed; None before the first look."""
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
        """Every node of the network in use; None while there is none."""
        if self.judgement is None or self.topology is None:
            return None
        return network_details(self.topology, self._digest, self.judgement.left_out)

    def _layers(self, widths: Counter[int]) -> range:
        """The numbers of the layers that a whole network needs."""
        return range(1, (self.layers or max([1, *widths])) + 1)

    def _is_believed(self, judgement: Judgement, layer: int) -> bool:
        # At first sight, a layer counts only if less than half of it is in dispute; see above.
        rivals = 0 if self._known else judgement.disputed[layer]
        return judgement.widths()[layer] > rivals

    def _miss(self, now: float) -> None:
        """The directory lists no whole network. The last one stays in use for STALE seconds."""
        if self._incomplete_since is None:
            self._incomplete_since = now
        if self.topology is not None and now - self._incomplete_since > STALE:
            self.topology, self.stale_since = None, now

    def _remember(self, judgement: Judgement, now: float) -> None:
        for node in judgement.nodes:
            before = self._known.pop(node, None)
            place_since = self._places.get(node.place(), now)
            self._known[node] = _Known(before.since if before else now, now + CLAIM, place_since)
        # `pop` above puts the nodes in the order in which they were last seen: the first ones go.
        room = len(self._known) - MOST_KNOWN
        self._known = {
            node: known
            for number, (node, known) in enumerate(self._known.items())
            if number >= room and known.until > now
        }
        self._places = {}
        for node, known in self._known.items():
            since = self._places.get(node.place(), known.place_since)
            self._places[node.place()] = min(since, known.place_since)

    def _about_layers(self, judgement: Judgement) -> Iterator[str]:
        for layer in sorted(judgement.other_layers - self._said_layers):
            self._said_layers.add(layer)
            yield (
                f"the directory now lists mixnodes in layer {layer}. They are ignored, because "
                f"this network has had {self.layers} layers. If it has more now, set client.layers "
                "and start the client again"
            )

    def _about_changes(self, before: Topology | None, now: float) -> Iterator[str]:
        if before is None or self.topology is None:
            return
        if len(before.providers) == 1 < len(self.topology.providers) and not self._has_said_lone:
            self._has_said_lone = True
            yield (
                "the directory now lists several providers, after a single one. Messages to "
                "recipients that no provider lists now wait until one does, except to recipients "
                "that this client wrote to before"
            )
        if now < self._quiet_until:
            return
        old, new = len(before.public_keys()), len(self.topology.public_keys())
        gone, come = before.missing_in(self.topology), self.topology.missing_in(before)
        if 2 * gone > old or 2 * come > new:
            self._quiet_until = now + QUIET
            yield (
                f"most of the network has changed at once: {gone} of {old} nodes are gone, "
                f"{come} of {new} are new. If others don't see this change, the directory "
                "deceives you: compare your digest from nym-client network view with theirs"
            )

    def _why_unusable(self, judgement: Judgement) -> str:
        widths = judgement.widths()
        there = ", ".join(str(layer) for layer in sorted(widths) if layer != PROVIDERS) or "none"
        last = f"to {self.layers}" if self.layers else "on"
        text = (
            f"a network needs a usable mixnode in every layer from 1 {last}, and a usable "
            f"provider. Layers with usable mixnodes: {there}; usable providers: {widths[PROVIDERS]}"
        )
        if not self._known and judgement.disputed:
            text += ". At least half of a layer is in dispute: its records contradict each other"
        if why := describe_left_out(by_number(judgement.left_out)):
            text += f". Left out are {why}"
        if self.layers > 1:
            text += (
                f". If the network no longer has {self.layers} layers, set client.layers and start "
                "the client again"
            )
        return text
