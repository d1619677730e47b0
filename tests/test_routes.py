"""Routes: random, one node a layer, the same delays for all."""

from collections import Counter
from random import Random
from statistics import fmean

from nym.routes import NANOSECONDS, random_route, recipient_provider
from nym.topology import Mix, ProviderNode, Topology
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


LAYERS = (tuple(map(mix, (11, 12, 13))), tuple(map(mix, (21, 22))), (mix(31),))
NEAR, FAR = provider(41), provider(51, CLIENT)
TOPOLOGY = Topology(LAYERS, (NEAR, FAR))


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
    assert abs(fmean(delays) - 0.1) < 0.004
    above = sum(delay > 0.1 for delay in delays) / len(delays)
    assert abs(above - 0.3679) < 0.02


def test_delays_can_be_none() -> None:
    assert {hop.delay for hop in random_route(LAYERS, FAR, 0.0, Random(4))[1]} == {0}


def test_a_recipient_is_looked_up_at_its_provider() -> None:
    assert recipient_provider(TOPOLOGY, CLIENT) == FAR
    assert recipient_provider(TOPOLOGY, b"x" * 32) is None


def test_clients_of_a_provider_that_is_away_are_not_looked_for_at_the_lone_one() -> None:
    alone = Topology(LAYERS, (NEAR,)).after(TOPOLOGY)
    assert recipient_provider(alone, CLIENT) is None
    assert recipient_provider(alone, b"x" * 32) == NEAR
    still_alone = alone._replace(missed=frozenset()).after(alone)
    assert recipient_provider(still_alone, CLIENT) is None
    moved = provider(41, CLIENT)
    assert recipient_provider(Topology(LAYERS, (moved,)).after(still_alone), CLIENT) == moved
    renewed = FAR._replace(public_key=b"new key" + bytes(25), clients=frozenset())
    assert recipient_provider(Topology(LAYERS, (renewed,)).after(TOPOLOGY), CLIENT) is None
    assert TOPOLOGY.after(still_alone).missed == frozenset()


def test_a_lone_provider_has_all_recipients() -> None:
    assert recipient_provider(Topology(LAYERS, (NEAR,)), b"x" * 32) == NEAR
