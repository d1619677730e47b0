"""The view: what a client remembers of the network, and how that decides what it uses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nym.errors import UnusableNetworkError
from nym.judge import hosts
from nym.topology import Topology
from nym.view import CLAIM, QUIET, STALE, NetworkView
from nym.wire.addresses import parse_numeric
from nym.wire.directory import Records
from tests.test_judge import HERE, RECORDS, key, mixnode, provider


def network(*layers: int, width: int = 1, providers: int = 1) -> Records:
    """Records with `width` mixnodes in each of these layers, and this many providers."""
    return Records(
        tuple(mixnode(10 * layer + number, layer) for layer in layers for number in range(width)),
        tuple(provider(100 + 2 * number) for number in range(providers)),
    )


class Client:
    """A client's view, and a clock that goes on with each look."""

    def __init__(self, layers: int = 0) -> None:
        self.view = NetworkView(layers)
        self.now = 0.0
        self.warnings: list[str] = []

    def look(self, records: Records, after: float = 10.0) -> Topology | None:
        """Look at what the directory lists, so many seconds later; return what is in use then."""
        self.now += after
        rules = HERE._replace(layers=self.view.layers)
        addresses = {host: at for host in hosts(records, rules) if (at := parse_numeric(host))}
        try:
            seen = self.view.look(self.view.judge(records, addresses, rules), self.now)
        except UnusableNetworkError as error:
            self.error = str(error)
        else:
            self.warnings += seen.warnings
        return self.view.topology


def widths(topology: Topology | None) -> list[int]:
    return [len(layer) for layer in topology.layers] if topology else []


WHOLE = network(1, 2, 3)


def test_the_number_of_layers_is_that_of_the_first_sight() -> None:
    client = Client()
    assert widths(client.look(WHOLE)) == [1, 1, 1]
    for _ in range(3):
        assert widths(client.look(network(1, 2, 3, 4))) == [1, 1, 1]
    (warning,) = client.warnings
    assert "layer 4" in warning
    assert "client.layers" in warning
    report = client.view.report()
    assert report is not None
    assert report["left_out"] == [{"nodes": 1, "why": "in layer 4, while the network has 3 layers"}]


def test_it_can_be_set() -> None:
    assert widths(Client(3).look(network(1, 2, 3, 4))) == [1, 1, 1]
    client = Client(4)
    assert client.look(WHOLE) is None
    assert "in every layer from 1 to 4" in client.error
    assert "set client.layers" in client.error


@pytest.mark.parametrize(
    "rest", [network(1), network(1, 2), network(2, 3), network(1, 2, 3, providers=0), Records()]
)
def test_where_a_layer_is_missing_the_last_network_stays_for_a_while(rest: Records) -> None:
    client = Client()
    whole = client.look(WHOLE)
    assert client.look(rest, 5 * STALE) == whole, (
        "time counts from the first look that misses a layer, not from the last whole one"
    )
    assert client.look(rest, STALE - 1) == whole
    assert client.view.stale_since is None
    assert client.look(rest, 2) is None
    assert client.view.stale_since == client.now
    assert client.look(WHOLE) == whole
    assert client.view.stale_since is None
    assert client.look(rest) == whole


def test_a_claim_ends() -> None:
    moved = Records((mixnode(10, 1, port=99), *WHOLE.mixnodes[1:]), WHOLE.providers)
    both = Records((mixnode(10, 1, port=99), *WHOLE.mixnodes), WHOLE.providers)
    for away, port in ((CLAIM - 20, 10), (CLAIM + 20, 99)):
        client = Client()
        client.look(WHOLE)
        client.look(moved)
        client.look(moved, away)
        topology = client.look(both)
        assert topology is not None
        assert topology.layers[0][0].address.port == port


def test_a_sudden_change_is_said_once() -> None:
    client = Client()
    client.look(WHOLE)
    others = Records(
        tuple(mixnode(200 + node.layer, node.layer) for node in WHOLE.mixnodes),
        WHOLE.providers,
    )
    client.look(Records((others.mixnodes[0], *WHOLE.mixnodes[1:]), WHOLE.providers))
    assert client.warnings == []
    client.look(others)
    client.look(WHOLE)
    (warning,) = client.warnings
    assert "2 of 4 nodes" in warning or "3 of 4 nodes" in warning
    assert "network view" in warning
    client.look(others, QUIET)
    assert len(client.warnings) == 2


def rotated(records: Records, number: int = 200) -> Records:
    """The same nodes with other keys at their places."""
    return Records(
        tuple(node._replace(public_key=key(number + node.layer)) for node in records.mixnodes),
        tuple(node._replace(public_key=key(number)) for node in records.providers),
    )


def test_that_all_nodes_have_other_keys_is_no_sudden_change() -> None:
    client = Client()
    before = client.look(WHOLE)
    after = client.look(rotated(WHOLE), CLAIM * 2)
    assert client.warnings == []
    assert before
    assert after
    assert before.public_keys().isdisjoint(after.public_keys())
    assert before.shares_nodes_with(after)
    assert (before.missing_in(after), after.missing_in(before)) == (0, 0)


def test_a_node_with_another_key_is_still_known_for_longer_than_a_new_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nym.judge.MOST_NODES", 3)
    client = Client()
    client.look(network(1, 2, 3))
    client.look(network(1, 2, 3, width=3))  # somebody who never changes keys
    (honest,) = network(1).mixnodes
    for number in range(5):
        changed = honest._replace(public_key=key(200 + number))
        crowd = tuple(mixnode(100 + 2 * number + i, 1) for i in range(3))
        records = network(1, 2, 3, width=3)
        rest = tuple(node for node in records.mixnodes if node.host != honest.host)
        topology = client.look(Records((*crowd, *rest, changed), records.providers), CLAIM / 2)
        assert topology
        used = {node.public_key for node in topology.layers[0]}
        assert used == {changed.public_key, *(n.public_key for n in rest if n.layer == 1)}


def test_a_key_that_comes_back_to_its_place_counts_before_a_later_one() -> None:
    client = Client()
    client.look(WHOLE)
    client.look(rotated(WHOLE))
    both = Records(
        (*rotated(WHOLE).mixnodes, *WHOLE.mixnodes),
        (*rotated(WHOLE).providers, *WHOLE.providers),
    )
    for _ in range(2):
        topology = client.look(both)
        assert topology
        assert topology.public_keys() == {key(10), key(20), key(30), key(100)}


def test_that_a_provider_is_no_longer_alone_is_said_once() -> None:
    client = Client()
    for _ in range(3):
        client.look(network(1, 2, 3))
        client.look(network(1, 2, 3, providers=2))
    (warning,) = client.warnings
    assert "several providers" in warning


def test_at_first_sight_half_a_layer_in_dispute_is_waited_for() -> None:
    honest = network(1, 2, 3, width=3)
    forged = tuple(mixnode(10 + number, 1, port=200 + number) for number in range(2))
    evil = mixnode(60, 1)
    client = Client()
    disputed = honest._replace(mixnodes=(*honest.mixnodes, *forged))
    assert client.look(disputed) is None, (
        "two of three nodes of a layer are in dispute, and the third is used"
    )
    assert "contradict" in client.error
    with_evil = disputed._replace(mixnodes=(*disputed.mixnodes, evil))
    assert client.look(with_evil) is None
    # A client that knew the honest nodes before uses all of them.
    client.look(honest)
    assert widths(client.look(with_evil)) == [4, 3, 3]


@given(st.lists(st.tuples(RECORDS, st.floats(0, 2 * STALE)), max_size=6), st.integers(0, 4))
def test_whatever_a_directory_lists_routes_have_all_layers_and_no_node_twice(
    looks: list[tuple[Records, float]], layers: int
) -> None:
    client = Client(layers)
    expected = layers
    for records, after in looks:
        topology = client.look(records, after)
        if topology is None:
            continue
        expected = expected or len(topology.layers)
        assert len(topology.layers) == expected
        assert all(topology.layers)
        assert topology.providers
        count = sum(map(len, topology.layers)) + len(topology.providers)
        assert len(topology.public_keys()) == count
        addresses = {node.address for layer in topology.layers for node in layer}
        assert len(addresses | {node.address for node in topology.providers}) == count
