"""Which of a directory's records count, and which are left out, for which reason.

Records are judged without I/O: each test makes its own, and says which nodes the client knew.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nym.errors import UnusableNetworkError
from nym.judge import MOST_NODES, Judgement, Rules, Standing, hosts, is_compatible, judge
from nym.reach import Reach
from nym.topology import Topology
from nym.view import NetworkView
from nym.wire.addresses import NodeAddress, parse_numeric
from nym.wire.clients import AddressList
from nym.wire.directory import MixNode, Provider, Records, parse_topology

VECTORS = Path(__file__).parent / "vectors"
LOW_ORDER = bytes(32)
HERE = Rules(Reach.LOOPBACK, is_vouched=True)
AWAY = Rules(Reach.PUBLIC, is_vouched=False)


def key(number: int) -> bytes:
    return bytes([9 + number]).ljust(32, b"\0")


def mixnode(number: int, layer: int, version: str | None = "0.4.0", port: int = 0) -> MixNode:
    return MixNode(f"127.0.0.1:{port or number}", key(number), layer, version)


def provider(number: int, clients: tuple[bytes, ...] = (), version: str = "0.4.1") -> Provider:
    return Provider(
        f"127.0.0.1:{number}",
        f"127.0.0.1:{number + 1}",
        key(number),
        AddressList.of(clients),
        version,
    )


def judged(
    records: Records, rules: Rules = HERE, known: Iterable[Standing | list[Standing]] = ()
) -> Judgement:
    """Judge the records. `known` are the nodes that the client knows, the oldest first.

    A list in `known` has nodes that the client has known for equally long.
    """
    numeric = {host: parse_numeric(host) for host in hosts(records, rules)}
    since = {
        node: float(number)
        for number, nodes in enumerate(known)
        for node in (nodes if isinstance(nodes, list) else [nodes])
    }
    return judge(records, {host: at for host, at in numeric.items() if at}, rules, since)


def standing(record: MixNode | Provider) -> Standing:
    (node,) = judged(
        Records((record,), ()) if isinstance(record, MixNode) else Records((), (record,))
    ).nodes
    return node


def build(records: Records) -> Topology:
    return NetworkView().look(judged(records), 0.0).topology


@pytest.mark.parametrize(
    "version", ["0.4.0", "0.4.1", "0.4.99", "0.4.0-rc.1", "0.4.0+build.5", "0.4.1-dev+x", None]
)
def test_versions_that_are_used(version: str | None) -> None:
    assert is_compatible(version)


@pytest.mark.parametrize(
    "version",
    [
        "0.3.9",
        "0.5.0",
        "1.4.0",
        "0.4",
        "v0.4.0",
        "",
        "0.4.x",
        "0.04.0",
        "0.4.0 ",
        "0.4.0-",
        "\u0660.4.0",
    ],
)
def test_versions_that_are_not(version: str) -> None:
    assert not is_compatible(version)


def test_only_usable_nodes_are_in_it() -> None:
    records = Records(
        (
            mixnode(1, 1),
            mixnode(2, 1, "0.3.0"),
            mixnode(3, 2),
            mixnode(4, 2)._replace(public_key=LOW_ORDER),
            mixnode(5, 2)._replace(host="unresolved.example:1"),
        ),
        (provider(10), provider(20, version="0.3.2")),
    )
    topology = build(records)
    assert [[node.public_key for node in layer] for layer in topology.layers] == [
        [key(1)],
        [key(3)],
    ]
    assert [node.public_key for node in topology.providers] == [key(10)]
    assert topology.providers[0].client_address == NodeAddress("127.0.0.1", 11)


@pytest.mark.parametrize(
    "records",
    [
        Records(),
        Records((mixnode(1, 1),)),
        Records((), (provider(10),)),
        Records((mixnode(1, 2),), (provider(10),)),
        Records((mixnode(1, 1), mixnode(3, 3)), (provider(10),)),
        Records((mixnode(1, 1), mixnode(2, 2, "0.3.0"), mixnode(3, 3)), (provider(10),)),
        Records((mixnode(1, 1),), (provider(10, version="0.3.0"),)),
    ],
)
def test_a_network_with_a_gap_is_refused(records: Records) -> None:
    with pytest.raises(UnusableNetworkError, match="every layer"):
        build(records)


def test_why_nodes_are_left_out_is_told_with_how_many() -> None:
    records = Records(
        (
            mixnode(1, 1, "0.5.0"),
            mixnode(2, 2, "0.5.0"),
            mixnode(3, 3, "\x1b[31m" + "9" * 100),
            mixnode(4, 3)._replace(public_key=LOW_ORDER),
            mixnode(5, 3)._replace(host="127.0.0.1:0"),
        ),
        (provider(10)._replace(client_listener="mix.example:1"),),
        skipped=3,
    )
    with pytest.raises(UnusableNetworkError) as refusal:
        build(records)
    assert str(refusal.value) == (
        "a network needs a usable mixnode in every layer from 1 on, and a usable provider. Layers "
        "with usable mixnodes: none; usable providers: 0. Left out are "
        "3 nodes whose record can't be read, 2 nodes of version 0.5.0, not 0.4, "
        r"1 node of version \x1b[31m99999999999…, not 0.4, 1 node with a key of low order, "
        "1 node at port 0, 1 for other reasons"
    )


@pytest.mark.parametrize(("name", "widths"), [("2019", [2, 2, 2]), ("2020", [1, 1, 1])])
def test_published_topologies_are_used(name: str, widths: list[int]) -> None:
    topology = build(parse_topology((VECTORS / f"topology_{name}.json").read_bytes()))
    assert [len(layer) for layer in topology.layers] == widths


def test_hosts_that_do_not_matter_are_not_looked_up() -> None:
    named = mixnode(4, 1)._replace(host="mix.example:4")
    local = mixnode(5, 1)._replace(host="localhost:5")
    records = Records((mixnode(1, 1), mixnode(2, 1, "0.3.0"), named, local), (provider(10),))
    numeric = {"127.0.0.1:1", "127.0.0.1:10", "127.0.0.1:11", "localhost:5"}
    assert hosts(records, HERE) == numeric | {"mix.example:4"}
    assert hosts(records, HERE._replace(is_vouched=False)) == numeric
    assert hosts(records, AWAY._replace(is_vouched=True)) == numeric | {"mix.example:4"}
    assert hosts(Records((mixnode(1, 3),)), HERE._replace(layers=2)) == set()


@pytest.mark.parametrize(
    ("host", "rules", "why"),
    [
        ("192.0.2.1:0", HERE, "at port 0"),
        ("0.0.0.0:1", HERE, "that no node can have"),
        ("0.1.2.3:1", HERE, "that no node can have"),
        ("224.0.0.1:1", HERE, "that no node can have"),
        ("255.255.255.255:1", HERE, "that no node can have"),
        ("240.0.0.1:1", HERE, "that no node can have"),
        ("169.254.1.1:1", HERE, "that no node can have"),
        ("[::]:1", HERE, "that no node can have"),
        ("[ff02::1]:1", HERE, "that no node can have"),
        ("[fe80::1]:1", HERE, "that no node can have"),
        ("[::ffff:127.0.0.1]:1", HERE, "that no node can have"),
        ("[::ffff:1.1.1.1]:1", HERE, "that no node can have"),
        ("[::7f00:1]:1", HERE, "that no node can have"),
        ("[64:ff9b::7f00:1]:1", HERE, "that no node can have"),
        ("[2002:7f00:1::]:1", HERE, "that no node can have"),
        ("127.0.0.1:1", AWAY, "loopback"),
        ("127.9.9.9:1", AWAY._replace(reach=Reach.PRIVATE), "loopback"),
        ("[::1]:1", AWAY, "loopback"),
        ("localhost:1", AWAY, "loopback"),
        ("10.0.0.1:1", AWAY, "private"),
        ("192.168.1.1:1", AWAY, "private"),
        ("100.64.0.1:1", AWAY, "private"),
        ("[fd00::1]:1", AWAY, "private"),
        ("[fec0::1]:1", AWAY, "private"),
        ("mix.example:1", AWAY, "client.resolve_names = true"),
        ("127.0.0.1:9001", HERE._replace(own=frozenset([NodeAddress("127.0.0.1", 9001)])), "own"),
        ("127.0.0.1:1", HERE, ""),
        ("[::1]:1", HERE, ""),
        ("localhost:1", HERE._replace(is_vouched=False), ""),
        ("10.0.0.1:1", AWAY._replace(reach=Reach.PRIVATE), ""),
        ("10.0.0.1:1", HERE, ""),
        ("1.1.1.1:1", AWAY, ""),
        ("1.1.1.1:1", AWAY._replace(reach=Reach.PRIVATE), ""),
        ("[2a01:4f8::1]:1", AWAY, ""),
        ("1.1.1.1:1", HERE, ""),
    ],
)
def test_addresses_that_can_be_nodes(host: str, rules: Rules, why: str) -> None:
    record = mixnode(1, 1)._replace(host=host)
    addresses = {"localhost:1": NodeAddress("127.0.0.1", 1)}
    if at := parse_numeric(host):
        addresses[host] = at
    judgement = judge(Records((record,)), addresses, rules, {})
    if why:
        assert not judgement.nodes
        assert why in next(iter(judgement.left_out))
    else:
        assert list(judgement.nodes.values()) == [record]


def test_a_node_that_was_known_keeps_its_key_and_its_place() -> None:
    ours, elsewhere = mixnode(1, 1), mixnode(1, 1, port=99)
    other_key, other_layer = mixnode(2, 1, port=1), mixnode(1, 2)
    other_kind = provider(1)._replace(mixnet_listener="127.0.0.1:50")
    forged = Records((elsewhere, other_key, other_layer, ours), (other_kind,))
    judgement = judged(forged, known=[standing(ours)])
    assert list(judgement.nodes.values()) == [ours]
    assert list(judgement.left_out.values()) == [4]
    # A client that knew none of these records can't tell which are true, so it uses none.
    assert not judged(forged).nodes
    # A record that is left out takes no place away from others. At first sight, it does.
    new = mixnode(3, 1, port=99)
    kept = judged(Records((ours, elsewhere, new)), known=[standing(ours)])
    assert list(kept.nodes.values()) == [ours, new]
    assert list(judged(Records((ours, elsewhere, new))).nodes) == []


def test_a_node_that_moves_is_followed_and_goes_back_where_it_was_known_first() -> None:
    before, after = mixnode(1, 1), mixnode(1, 1, port=99)
    moved = judged(Records((after,)), known=[standing(before)])
    assert list(moved.nodes.values()) == [after]
    both = judged(Records((after, before)), known=[standing(before), standing(after)])
    assert list(both.nodes.values()) == [before]
    both = judged(Records((after, before)), known=[standing(after), standing(before)])
    assert list(both.nodes.values()) == [after]


def test_records_of_one_provider_are_put_together() -> None:
    one, other = provider(1, (b"a" * 32,)), provider(1, (b"b" * 32, b"a" * 32))
    for providers in ((one, other), (other, one)):
        judgement = judged(Records((), providers))
        (record,) = parse_topology(judgement.encode()).providers
        assert record.digest == AddressList.of([b"a" * 32, b"b" * 32]).digest
        (record,) = [node for node in judgement.nodes.values() if isinstance(node, Provider)]
        assert set(record.clients) == {b"a" * 32, b"b" * 32}
        assert judgement.left_out == {"listed more than once": 1}


def nodes_at(number: int, ip: str = "10.{}.{}.{}", port: int = 1789) -> MixNode:
    host = ip.format(number >> 16, number >> 8 & 255, number & 255)
    return MixNode(f"{host}:{port}", number.to_bytes(31, "big") + b"\5", 1, "0.4.0")


def test_many_nodes_push_out_none_that_was_known_and_one_machine_none_at_all() -> None:
    known = [nodes_at(number) for number in range(300)]
    honest = [nodes_at(number) for number in range(300, 900)]
    ports = [nodes_at(1000 + number, "10.9.9.9", 2000 + number) for number in range(2000)]
    first = judged(Records(tuple(known)))
    assert first.left_out == {}
    records = Records((*ports, *honest, *known))
    judgement = judged(records, known=[list(first.nodes)])
    used = Counter(judgement.nodes.values())
    assert used.total() == MOST_NODES
    assert all(used[node] for node in (*known, *honest))
    assert judgement.left_out.total() == 2000 - 100


def test_which_of_too_many_new_nodes_are_used_differs_from_client_to_client() -> None:
    records = Records(tuple(nodes_at(number) for number in range(2 * MOST_NODES)))
    numeric = {host: parse_numeric(host) for host in hosts(records, HERE)}
    addresses = {host: address for host, address in numeric.items() if address}
    here, there = (judge(records, addresses, HERE, {}, salt).nodes.keys() for salt in (b"1", b"2"))
    assert len(here) == len(there) == MOST_NODES
    assert 0.4 * MOST_NODES < len(here & there) < 0.6 * MOST_NODES
    assert judge(records, addresses, HERE, {}, b"1").nodes.keys() == here


# Few keys, places and layers, so that random records often contradict one another.
KEYS = st.integers(1, 5).map(key)
PLACES = st.integers(1, 5).map(lambda port: f"127.0.0.1:{port}")
MIXNODES = st.builds(MixNode, PLACES, KEYS, st.integers(1, 4), st.just("0.4.0"))
PROVIDERS = st.builds(
    Provider, PLACES, PLACES, KEYS, st.lists(KEYS, max_size=2).map(tuple), st.just("0.4.0")
)
RECORDS = st.builds(
    Records,
    st.lists(MIXNODES, max_size=8).map(tuple),
    st.lists(PROVIDERS, max_size=4).map(tuple),
    st.just(()),
    st.integers(0, 2),
)


@given(RECORDS, RECORDS)
def test_no_two_nodes_have_a_key_or_a_place_in_common(before: Records, now: Records) -> None:
    known = list(judged(before).nodes)
    judgement = judged(now, known=[known])
    marks = [mark for node in judgement.nodes for mark in node.marks()]
    assert len(marks) == len(set(marks))
    count = len(now.mixnodes) + len(now.providers) + now.skipped
    assert judgement.left_out.total() + len(judgement.nodes) == count


@given(RECORDS, RECORDS)
def test_what_is_posted_removes_no_node_that_is_known(before: Records, posted: Records) -> None:
    known = list(judged(before).nodes)
    with_posted = Records(posted.mixnodes + before.mixnodes, posted.providers + before.providers)
    nodes = judged(with_posted, known=[known]).nodes
    assert set(known) <= set(nodes)
    taken = {mark for node in known for mark in node.marks()}
    assert all(taken.isdisjoint(node.marks()) for node in nodes if node not in known)


@given(RECORDS, st.randoms(use_true_random=False), st.lists(KEYS, max_size=3))
def test_the_order_and_the_clients_are_not_seen_in_the_digest(
    records: Records, random: object, clients: list[bytes]
) -> None:
    mixnodes, providers = list(records.mixnodes), list(records.providers)
    random.shuffle(mixnodes)  # type: ignore[attr-defined]
    random.shuffle(providers)  # type: ignore[attr-defined]
    crowded = [provider._replace(clients=AddressList.of(clients)) for provider in providers]
    one = judged(records).topology(4)
    other = judged(Records(tuple(mixnodes), tuple(crowded))).topology(4)
    assert one.digest() == other.digest()
    assert one.places() == other.places()


@given(RECORDS, RECORDS)
def test_another_network_has_another_digest(records: Records, others: Records) -> None:
    one, other = judged(records).topology(4), judged(others).topology(4)
    assert (one.digest() == other.digest()) == (one.places() == other.places())
