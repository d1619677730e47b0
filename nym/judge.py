"""Which of a directory's records the client uses (docs/protocol/directory.md, "What is used").

Anyone can post to a directory of 0.4. So each record is first judged by itself: by its version,
layer, address and key. Then no two nodes may have the same key, or the same place (a `host:port`):

- A record that repeats another one is the same node.
- A node that this client knew before wins against records that contradict it, which have its key at
  another place, or another key at its place. Of two known nodes, the one known first wins. If a
  node moves or gets a new key, the client uses its new record as soon as the old one is gone.
- New records that contradict each other are all left out, because nobody can tell who is right.

A record that is left out contradicts no other record. Otherwise, anyone could push good nodes out
by posting unusable records.

The client uses at most MOST_NODES nodes of each layer, and as many providers. The nodes known first
come first. Among new ones, each client makes its own random choice: first one node of each machine,
then a second one of each, and so on.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from hashlib import blake2b
from itertools import chain
from math import inf
from typing import NamedTuple

from nym import PROTOCOL_VERSION
from nym.reach import Reach, obstacle_to_address
from nym.sphinx import can_share_secret
from nym.topology import Mix, ProviderNode, Topology, machine
from nym.wire.addresses import NodeAddress, is_localhost, parse_numeric, split_host
from nym.wire.clients import AddressList
from nym.wire.directory import Lists, MixNode, Provider, Records, encode_topology
from nym.wire.text import visible
from nym.wire.versions import identity_in, offers_line

_OURS = PROTOCOL_VERSION.rpartition(".")[0]
PROVIDERS = 0  # providers count as a layer, with this number
MOST_NODES = 1000  # per layer; whatever is listed, a client remembers and follows no more
_LONGEST_VERSION = 20  # characters of a foreign version that texts show

# Semantic Versioning 2.0.0, sections 2, 9 and 10: three numbers, pre-release, build.
_IDENTIFIERS = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_NUMBER = r"(0|[1-9][0-9]*)"
_SEMVER = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-{_IDENTIFIERS})?(?:\+{_IDENTIFIERS})?", re.ASCII
)

# Reasons why records are left out. Each follows "3 nodes" in a sentence.
_UNREADABLE = "whose record can't be read"
_NAMED = (
    "with a host name instead of an IP address (names are looked up only if the directory is on "
    "this machine, or with client.resolve_names = true, and never with a proxy)"
)
_REPEATED = "listed more than once"
_LATE = "with the key or the address of a node that was known before"
_DISPUTED = "with a key or an address that several records have"
_TOO_MANY = f"beyond the {MOST_NODES} that a client uses in each layer, or as providers"


class Rules(NamedTuple):
    """What the judgement of a record depends on, besides the record itself.

    `reach` is that of the directory. `is_vouched` says whether host names may be looked up. `own`
    has the addresses of this client's sockets: a packet sent there would reach this client as a
    request. `layers` is the number of layers, or 0 while it isn't known.
    """

    reach: Reach
    is_vouched: bool
    own: frozenset[NodeAddress] = frozenset()
    layers: int = 0


class Standing(NamedTuple):
    """What identifies a node. Providers have the layer PROVIDERS, and an address for clients."""

    layer: int
    public_key: bytes
    address: NodeAddress
    client_address: NodeAddress | None = None

    def marks(self) -> set[bytes | NodeAddress]:
        """The key and the places that no other node may have."""
        places = {self.address, self.client_address or self.address}
        return {self.public_key, *places}

    def place(self) -> "Standing":
        """The same without its key, which nodes change at their places."""
        return self._replace(public_key=b"")


class Judgement(NamedTuple):
    """The nodes to use, with their records, and how many records are left out for each reason.

    `disputed` is how many nodes of each layer new records may be about that contradict each other.
    `other_layers` are the layers in records that this network doesn't have.
    """

    nodes: dict[Standing, MixNode | Provider]
    left_out: Counter[str]
    disputed: Counter[int]
    other_layers: frozenset[int]

    def widths(self) -> Counter[int]:
        """How many nodes each layer has."""
        return Counter(node.layer for node in self.nodes)

    def topology(self, layers: int) -> Topology:
        """The network with this number of layers. The order of the records doesn't change it."""
        mixnodes: list[list[Mix]] = [[] for _ in range(layers)]
        providers = []
        for node, record in sorted(self.nodes.items(), key=lambda item: item[0]):
            if isinstance(record, MixNode):
                mixnodes[node.layer - 1].append(Mix(node.address, node.public_key))
            else:
                providers.append(
                    ProviderNode(
                        node.address,
                        node.client_address or node.address,
                        node.public_key,
                        record.clients,
                        identity_in(record.version),
                        offers_line(record.version),
                    )
                )
        return Topology.of(mixnodes, providers)

    def encode(self) -> bytes:
        """The records of the nodes to use, as a directory would list them, with lists by digest."""
        records = self.nodes.values()
        return encode_topology(
            Records(
                tuple(record for record in records if isinstance(record, MixNode)),
                tuple(record for record in records if isinstance(record, Provider)),
            ),
            Lists.BY_DIGEST,
        )


@lru_cache(maxsize=1 << 14)  # with an identity in it, each node's version is another one
def is_compatible(version: str | None) -> bool:
    """Whether nodes of this version are used: same major and minor; those of 2019 have none."""
    if version is None:
        return True
    theirs, ours = _SEMVER.fullmatch(version), _SEMVER.fullmatch(PROTOCOL_VERSION)
    return bool(theirs and ours and theirs.group(1, 2) == ours.group(1, 2))


def hosts(records: Records, rules: Rules) -> set[str]:
    """Every `host:port` that needs an IP address and may be looked up.

    Records that are left out at first sight cause no lookups.
    """
    return {
        host
        for record in _all(records)
        if not _obstacle_at_sight(record, rules)
        for host in _hosts(record)
    }


def judge(
    records: Records,
    addresses: Mapping[str, NodeAddress],
    rules: Rules,
    known: Mapping[Standing, float],
    salt: bytes = b"",
    places: Mapping[Standing, float] | None = None,
) -> Judgement:
    """Judge all of a directory's records.

    `addresses` has the IP address of each `host:port` that could be resolved. `known` has the nodes
    of earlier networks, with the time since which each is known; `places` has the same for their
    places (Standing.place). `salt` is this client's own: with it, each client chooses differently
    among too many nodes.
    """
    left_out = Counter({_UNREADABLE: records.skipped})
    here: dict[Standing, MixNode | Provider] = {}
    for record in _all(records):
        if obstacle := _obstacle(record, addresses, rules):
            left_out[obstacle] += 1
            continue
        node = _standing(record, addresses)
        if other := here.get(node):
            left_out[_REPEATED] += 1
            record = _merged(record, other)
        here[node] = record
    # Known nodes first; then new ones that contradict neither a known node nor each other.
    kept = _first_known(here, known)
    marks = set(chain.from_iterable(node.marks() for node in kept))
    new = [node for node in here if node not in kept and marks.isdisjoint(node.marks())]
    left_out[_LATE] = len(here) - len(kept) - len(new)
    uses = Counter(chain.from_iterable(node.marks() for node in new))
    rivals = {mark for mark, count in uses.items() if count > 1}
    disputed = [node for node in new if not rivals.isdisjoint(node.marks())]
    left_out[_DISPUTED] = len(disputed)
    kept |= set(new) - set(disputed)
    used = _used(kept, places or {node.place(): known[node] for node in known}, salt)
    left_out[_TOO_MANY] = len(kept) - len(used)
    return Judgement(
        {node: record for node, record in here.items() if node in used},
        +left_out,  # without reasons that apply to no record
        _count_disputed(disputed),
        frozenset(record.layer for record in records.mixnodes if _is_of_other_layer(record, rules)),
    )


def _first_known(here: Iterable[Standing], known: Mapping[Standing, float]) -> set[Standing]:
    """The nodes known before, without those that contradict a node that was known earlier."""
    kept: set[Standing] = set()
    marks: set[bytes | NodeAddress] = set()
    for node in sorted((node for node in here if node in known), key=lambda node: known[node]):
        if marks.isdisjoint(node.marks()):
            kept.add(node)
            marks |= node.marks()
    return kept


def _used(nodes: set[Standing], places: Mapping[Standing, float], salt: bytes) -> set[Standing]:
    """At most MOST_NODES nodes of each layer; see the module's docstring for which ones."""
    if len(nodes) <= MOST_NODES:
        return nodes

    # Nodes known for longest come first. New ones come in an order that is this client's own. What
    # counts is the place: a node that has taken another key must not come behind the nodes of
    # somebody who never changes keys.
    def since(node: Standing) -> float:
        return places.get(node.place(), inf) if places else inf

    def lot(node: Standing) -> bytes:
        return blake2b(node.public_key, key=salt).digest()

    in_order = sorted((since(node), lot(node), node) for node in nodes)
    # Of each node: since when it is known, and which one of its machine's nodes it is.
    turns: list[tuple[float, int, int]] = []
    on_machine = defaultdict[tuple[int, str], int](int)
    for number, (at, _, node) in enumerate(in_order):
        where = node.layer, machine(node.address)
        turns.append((at, on_machine[where], number))
        on_machine[where] += 1
    used: set[Standing] = set()
    widths = Counter[int]()
    for _, _, number in sorted(turns):
        node = in_order[number][2]
        if widths[node.layer] < MOST_NODES:
            widths[node.layer] += 1
            used.add(node)
    return used


def _count_disputed(disputed: list[Standing]) -> Counter[int]:
    """How many nodes of each layer the disputed records can be about.

    Each node needs its own key and its own place, so it is the smaller number of these.
    """
    return Counter(
        {
            layer: min(
                len({node.public_key for node in disputed if node.layer == layer}),
                len({node.address for node in disputed if node.layer == layer}),
            )
            for layer in {node.layer for node in disputed}
        }
    )


def _merged(record: MixNode | Provider, other: MixNode | Provider) -> MixNode | Provider:
    """Two records of one node as one. A provider gets the clients of both.

    So the result doesn't depend on the records' order, which whoever posts them may influence.
    """
    if isinstance(record, Provider) and isinstance(other, Provider):
        clients = AddressList.of(chain(record.clients, other.clients))
        # Lists that aren't here can't be put together. No directory that has digests repeats nodes.
        digest = max((node.digest for node in (record, other) if node.digest), default=None)
        return record._replace(clients=clients, digest=digest)
    return record


def _obstacle(
    record: MixNode | Provider, addresses: Mapping[str, NodeAddress], rules: Rules
) -> str:
    """Why this record can't be used, whatever the others say; empty if it can."""
    if obstacle := _obstacle_at_sight(record, rules):
        return obstacle
    for host in _hosts(record):
        if (address := addresses.get(host)) is None:
            return "without an address"
        if not address.port:
            return "at port 0"
        if obstacle := obstacle_to_address(address.ip, rules.reach):
            return obstacle
        if address in rules.own:
            return "at this client's own socket"
    return "" if can_share_secret(record.public_key) else "with a key of low order"


def _obstacle_at_sight(record: MixNode | Provider, rules: Rules) -> str:
    """The same, as far as it can be told without looking up names."""
    if not is_compatible(record.version):
        return f"of version {visible(record.version or '', _LONGEST_VERSION)}, not {_OURS}"
    if isinstance(record, MixNode) and _is_of_other_layer(record, rules):
        return f"in layer {record.layer}, while the network has {rules.layers} layers"
    if not rules.is_vouched and any(map(_needs_lookup, _hosts(record))):
        return _NAMED
    return ""


def _is_of_other_layer(record: MixNode, rules: Rules) -> bool:
    return is_compatible(record.version) and 0 < rules.layers < record.layer


def _needs_lookup(host: str) -> bool:
    return parse_numeric(host) is None and not is_localhost(split_host(host)[0])


def _all(records: Records) -> Iterator[MixNode | Provider]:
    yield from records.mixnodes
    yield from records.providers


def _hosts(record: MixNode | Provider) -> tuple[str, ...]:
    if isinstance(record, MixNode):
        return (record.host,)
    return record.mixnet_listener, record.client_listener


def _standing(record: MixNode | Provider, addresses: Mapping[str, NodeAddress]) -> Standing:
    if isinstance(record, MixNode):
        return Standing(record.layer, record.public_key, addresses[record.host])
    mixnet, client = addresses[record.mixnet_listener], addresses[record.client_listener]
    return Standing(PROVIDERS, record.public_key, mixnet, client)
