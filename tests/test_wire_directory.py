"""The directory's JSON in both shapes, that of 2020 and that of October 2019."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nym.errors import RemoteFormatError
from nym.wire.clients import EMPTY, AddressList
from nym.wire.directory import (
    CocoNode,
    Metric,
    MixNode,
    Provider,
    Records,
    decode_coconode,
    decode_metric,
    decode_mixnode,
    decode_provider,
    encode_metric,
    encode_presence,
    encode_topology,
    parse_topology,
)
from nym.wire.keys import decode_base58, encode_base58
from tests.directory_2019 import encode_topology_2019

VECTORS = Path(__file__).parent / "vectors"
DATA_2020 = (VECTORS / "topology_2020.json").read_bytes()
DATA_2019 = (VECTORS / "topology_2019.json").read_bytes()

keys = st.binary(min_size=32, max_size=32)
hosts = st.builds(lambda ip, port: f"{ip}:{port}", st.ip_addresses(v=4), st.integers(1, 65535))
seen = st.integers(0, 2**63)


@st.composite
def records(draw: st.DrawFn, version: str | None) -> Records:
    mixnodes = st.builds(MixNode, hosts, keys, st.integers(1, 4), st.just(version), seen)
    host = draw(hosts)
    client_host = host.rpartition(":")[0] + ":9000"
    providers = st.builds(
        Provider,
        st.just(host),
        st.just(client_host),
        keys,
        st.lists(keys, max_size=3).map(AddressList.of),
        st.just(version),
        seen,
        st.none(),
    )
    return Records(
        tuple(draw(st.lists(mixnodes, max_size=4))), tuple(draw(st.lists(providers, max_size=3)))
    )


def in_order(topology: bytes) -> Any:
    """A topology of 2020 as JSON, with providers' clients in order: theirs doesn't matter."""
    read = json.loads(topology)
    for provider in read["mixProviderNodes"]:
        provider["registeredClients"].sort(key=lambda client: client["pubKey"])
    return read


def test_the_2020_topology_as_published() -> None:
    parsed = parse_topology(DATA_2020)
    assert [node.layer for node in parsed.mixnodes] == [1, 3, 2]
    assert {node.version for node in parsed.mixnodes} == {"0.4.0"}
    (provider,) = parsed.providers
    assert provider.client_listener == "127.0.0.1:9000"
    assert provider.mixnet_listener == "127.0.0.1:8085"
    assert decode_base58("Gg5sSynbwVgNRdkBJMkoABa2jT1SgsDqU69FGc4G4eej") in provider.clients
    assert len(provider.clients) == 5
    assert parsed.skipped == 0
    assert in_order(encode_topology(parsed)) == in_order(DATA_2020)


def test_the_2019_topology_as_published() -> None:
    parsed = parse_topology(DATA_2019)
    assert sorted(node.layer for node in parsed.mixnodes) == [1, 1, 2, 2, 3, 3]
    assert {node.version for node in parsed.mixnodes} == {None}
    assert {node.version for node in parsed.providers} == {None}
    assert parsed.providers[1].mixnet_listener == "3.8.176.11:1789"
    assert parsed.providers[1].client_listener == "3.8.176.11:9000"
    assert len(parsed.providers[1].clients) == 1
    assert parsed.skipped == 0
    assert json.loads(encode_topology_2019(parsed)) == json.loads(DATA_2019)


@given(records("0.4.0"))
def test_2020_survives_both_ways(given_records: Records) -> None:
    assert parse_topology(encode_topology(given_records)) == given_records


@given(records(None))
def test_2019_survives_both_ways(given_records: Records) -> None:
    assert parse_topology(encode_topology_2019(given_records)) == given_records


def test_empty_lists_may_be_null() -> None:
    empty = b'{"cocoNodes": null, "mixNodes": null, "mixProviderNodes": null}'
    assert parse_topology(empty) == Records()


@pytest.mark.parametrize(
    "change",
    [
        {"layer": 0},
        {"layer": 5},
        {"layer": "1"},
        {"layer": True},
        {"host": "1.2.3.4"},
        {"host": None},
        {"pubKey": "abc"},
        {"pubKey": "0" * 44},
        {"pubKey": "1" * 100_000},
        {"version": 4},
    ],
)
def test_one_bad_node_does_not_cost_the_network(change: dict[str, Any]) -> None:
    body = json.loads(DATA_2020)
    body["mixNodes"].append(body["mixNodes"][0] | change)
    body["mixNodes"].append("not even an object")
    body["mixProviderNodes"].append({"pubKey": "abc"})
    parsed = parse_topology(json.dumps(body).encode())
    assert len(parsed.mixnodes) == 3
    assert len(parsed.providers) == 1
    assert parsed.skipped == 3


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"mixNodes": []}',
        b'{"mixNodes": {}, "mixProviderNodes": 3}',
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_what_is_no_topology_is_refused(data: bytes) -> None:
    with pytest.raises(RemoteFormatError):
        parse_topology(data)


NAMES = [
    *("host", "pubKey", "layer", "version", "clientListener", "mixnetListener", "sent"),
    *("registeredClients", "mixNodes", "mixProviderNodes", "MixNodes", "MixProviderNodes"),
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(NAMES),
            inner,
            max_size=5,
        )
    ),
)


@given(json_values.map(json.dumps).map(str.encode) | st.binary(max_size=50))
def test_any_body_is_understood_or_refused(data: bytes) -> None:
    for parse in (parse_topology, decode_mixnode, decode_provider, decode_coconode, decode_metric):
        try:
            parse(data)
        except RemoteFormatError as error:
            assert str(error)


def test_what_nodes_post_survives_both_ways() -> None:
    mixnode = MixNode("1.2.3.4:1789", bytes(range(32)), 2, "0.4.0")
    provider = Provider("1.2.3.4:1", "1.2.3.4:2", bytes(range(32)), AddressList(bytes(32)), "0.4.0")
    metric = Metric(encode_base58(bytes(range(32))), 12, {"1.2.3.4:1789": 11})
    assert decode_mixnode(encode_presence(mixnode)) == mixnode
    assert decode_provider(encode_presence(provider)) == provider
    assert decode_metric(encode_metric(metric)) == metric


def test_a_published_credential_node_is_listed() -> None:
    body = b'{"host":"1.2.3.4:4000","pubKey":"k","type":"validator","lastSeen":0,"version":"0.4.0"}'
    node = decode_coconode(body)
    assert node == CocoNode("1.2.3.4:4000", "k", "validator", "0.4.0")
    listed = json.loads(encode_topology(Records(coconodes=(node,))))["cocoNodes"]
    assert listed == [json.loads(body)]


@pytest.mark.parametrize("host", ["x..y:5", "a" * 64 + ".example:5", "\u202e:5", "127.1:5", "m:0"])
def test_hosts_that_are_none_are_refused(host: str) -> None:
    mixnode = {"host": host, "pubKey": encode_base58(bytes(32)), "layer": 1, "version": "0.4.0"}
    provider = {
        "clientListener": "127.0.0.1:1",
        "mixnetListener": host,
        "pubKey": encode_base58(bytes(32)),
        "registeredClients": [],
        "version": "0.4.0",
    }
    coconode = {"host": host, "pubKey": "k", "type": "t", "version": "0.4.0"}
    for body, decode in (
        (mixnode, decode_mixnode),
        (provider, decode_provider),
        ({**provider, "clientListener": host, "mixnetListener": "m:1"}, decode_provider),
        (coconode, decode_coconode),
    ):
        with pytest.raises(RemoteFormatError) as refusal:
            decode(json.dumps(body).encode())
        assert str(refusal.value).isprintable()


def test_a_list_of_clients_that_is_null_is_read_and_not_taken() -> None:
    record = {
        "clientListener": "127.0.0.1:1",
        "mixnetListener": "127.0.0.1:2",
        "pubKey": encode_base58(bytes(32)),
        "registeredClients": None,
        "version": "0.4.0",
    }
    topology = {"mixNodes": None, "mixProviderNodes": [record]}
    assert parse_topology(json.dumps(topology).encode()).providers[0].clients == EMPTY
    with pytest.raises(RemoteFormatError, match="registeredClients"):
        decode_provider(json.dumps(record).encode())
