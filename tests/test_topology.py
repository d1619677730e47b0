"""Which nodes are used."""

from pathlib import Path

import pytest

from nym.errors import UnusableNetworkError
from nym.topology import Topology, build_topology, hosts, is_compatible
from nym.wire.addresses import NodeAddress, parse_numeric
from nym.wire.directory import MixNode, Provider, Records, parse_topology

VECTORS = Path(__file__).parent / "vectors"
LOW_ORDER = bytes(32)


def key(number: int) -> bytes:
    return bytes([9 + number]).ljust(32, b"\0")


def mixnode(number: int, layer: int, version: str | None = "0.4.0") -> MixNode:
    return MixNode(f"127.0.0.1:{number}", key(number), layer, version)


def provider(number: int, clients: tuple[bytes, ...] = (), version: str = "0.4.1") -> Provider:
    return Provider(f"127.0.0.1:{number}", f"127.0.0.1:{number + 1}", key(number), clients, version)


def build(records: Records) -> Topology:
    numeric = {host: parse_numeric(host) for host in hosts(records)}
    return build_topology(records, {host: at for host, at in numeric.items() if at})


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
            mixnode(0, 3),
        ),
        (provider(10)._replace(client_listener="mix.example:1"),),
        skipped=3,
    )
    with pytest.raises(UnusableNetworkError) as refusal:
        build(records)
    assert str(refusal.value) == (
        "every layer from 1 on needs a mixnode that can be used, and a provider is needed: there "
        "are mixnodes in layers none, and 0 providers. Left out are "
        "3 nodes whose record can't be read, 2 nodes of version 0.5.0, not 0.4, "
        r"1 node of version \x1b[31m99999999999…, not 0.4, 1 node with a key of low order, "
        "1 node at port 0, 1 for other reasons"
    )


@pytest.mark.parametrize(("name", "widths"), [("2019", [2, 2, 2]), ("2020", [1, 1, 1])])
def test_published_topologies_are_used(name: str, widths: list[int]) -> None:
    topology = build(parse_topology((VECTORS / f"topology_{name}.json").read_bytes()))
    assert [len(layer) for layer in topology.layers] == widths


def test_hosts_of_other_versions_are_not_looked_up() -> None:
    records = Records((mixnode(1, 1), mixnode(2, 1, "0.3.0")), (provider(10),))
    assert hosts(records) == {"127.0.0.1:1", "127.0.0.1:10", "127.0.0.1:11"}
