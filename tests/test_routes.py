"""Routes: one random mixnode of each layer, then the provider, with exponential delays."""

from collections import Counter
from random import Random
from statistics import fmean

from nym.routes import NANOSECONDS, random_route
from nym.topology import Mix, Nodes, ProviderNode, Topology
from nym.wire.addresses import NodeAddress, decode_address

CLIENT = b"c" * 32


def address(port: int) -> NodeAddress:
    return NodeAddress("127.0.0.1", port)


def mix(port: int) -> Mix:
    return Mix(address(port), bytes([port % 256]) * 32)


def provider(port: int, *clients: bytes) -> ProviderNode:
    return ProviderNode(
        address(port), address(port + 1), bytes([port % 256]) * 32, frozenset(clients)
    )


LAYERS = tuple(Nodes(map(mix, ports)) for ports in ((11, 12, 13), (21, 22), (31,)))
FAR = provider(51, CLIENT)


def test_a_route_has_one_node_of_each_layer_then_the_provider() -> None:
    mixnodes, hops = random_route(LAYERS, FAR, 0.1, Random(1))
    ports = [decode_address(hop.address).port for hop in hops]
    assert [port // 10 for port in ports] == [1, 2, 3, 5]
    assert [node.address for node in mixnodes] == [address(port) for port in ports[:-1]]
    assert [node.public_key for node in mixnodes] == [hop.public_key for hop in hops[:-1]]
    assert hops[-1].public_key == FAR.public_key


def test_every_node_of_a_layer_is_taken_as_often() -> None:
    random = Random(2)
    routes = [random_route(LAYERS, FAR, 0.1, random)[1] for _ in range(6000)]
    for layer, nodes in enumerate(LAYERS):
        taken = Counter(decode_address(route[layer].address) for route in routes)
        assert set(taken) == {node.address for node in nodes}
        for count in taken.values():
            assert abs(count - 6000 / len(nodes)) < 200  # five standard deviations


def test_delays_are_exponential() -> None:
    random = Random(3)
    delays = [
        hop.delay / NANOSECONDS
        for _ in range(5000)
        for hop in random_route(LAYERS, FAR, 0.1, random)[1]
    ]
    # Both bounds are more than five standard deviations. The share of exponential delays that are
    # longer than their mean is 1/e.
    assert abs(fmean(delays) - 0.1) < 0.004
    above = sum(delay > 0.1 for delay in delays) / len(delays)
    assert abs(above - 0.3679) < 0.02


def test_delays_can_be_none() -> None:
    assert {hop.delay for hop in random_route(LAYERS, FAR, 0.0, Random(4))[1]} == {0}


def test_a_machine_counts_once_in_a_layer() -> None:
    honest = [Mix(NodeAddress(f"192.0.2.{number}", 1), bytes([number]) * 32) for number in (1, 2)]
    crowd = [
        Mix(NodeAddress(ip, number), number.to_bytes(32, "big"))
        for number in range(100, 150)
        for ip in ("198.51.100.9", f"2001:db8::{number}")
    ]
    layer, random = Nodes([*crowd, *honest]), Random(5)
    taken = Counter(
        random_route([layer], FAR, 0.1, random)[0][0].address.ip[:9] for _ in range(8000)
    )
    assert set(taken) == {"192.0.2.1", "192.0.2.2", "198.51.10", "2001:db8:"}
    for count in taken.values():
        assert abs(count - 2000) < 200  # five standard deviations


def test_a_route_never_has_the_provider_among_its_mixnodes() -> None:
    with_key = mix(19)._replace(public_key=FAR.public_key)
    with_place = mix(18)._replace(address=FAR.address)
    topology = Topology.of(((with_key, mix(11)), (with_place,)), (provider(41),))
    assert topology.layers_to(FAR) == ((mix(11),), ())
    assert topology.layers_to(topology.providers[0]) == topology.layers


def test_nodes_are_those_with_the_same_key_and_the_same_place() -> None:
    first, *others = nodes = Nodes(map(mix, (11, 12, 13)))
    assert first in nodes
    assert nodes.with_key(first.public_key) is first
    for other in (first._replace(address=address(99)), first._replace(public_key=b"n" * 32), 11):
        assert other not in nodes
    assert nodes.resembling(first._replace(address=others[0].address)) == {first, others[0]}
    assert nodes.resembling(provider(99)) == set()


def test_without_some_nodes_the_others_are_drawn() -> None:
    random, nodes = Random(6), Nodes(map(mix, range(11, 31)))
    assert nodes.without(frozenset()) is nodes
    for _ in range(50):  # more choices than are remembered
        left_out = frozenset(random.sample(nodes, 10))
        for _ in range(2):
            usable = nodes.without(left_out)
            assert usable == tuple(node for node in nodes if node not in left_out)
            assert usable.draw(random) in usable
    assert len({nodes.draw(random) for _ in range(500)}) == len(nodes)
