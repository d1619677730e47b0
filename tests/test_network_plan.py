"""Plans of networks: what is refused, what is weak, and what a network would carry."""

import re
from pathlib import Path
from random import Random

import pytest

from nym.errors import ConfigError
from nym.network.example import EXAMPLE
from nym.network.outlook import delays, mixnode_load, most_clients, provider_load
from nym.network.plan import Plan, format_plan, load_plan, parse_plan
from nym.network.weak import weaknesses
from nym.wire.addresses import NodeAddress

TEXT = format_plan(EXAMPLE)


def changed(*changes: tuple[str, str]) -> str:
    """The example with other texts in it, each of which it has once."""
    text = TEXT
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def plan(text: str) -> Plan:
    return parse_plan(text, "plan.toml")


def test_the_example_is_a_plan(tmp_path: Path) -> None:
    path = tmp_path / "friends.toml"
    path.write_text(TEXT)
    assert load_plan(path) == EXAMPLE
    nodes = [node for host in EXAMPLE.hosts for node in host.nodes()]
    assert [node.id for node in nodes[:3]] == ["ada-directory", "ada-mixnode", "barbara-mixnode"]
    assert nodes[1].place == NodeAddress("192.0.2.7", 1789)
    assert EXAMPLE.directories()[0].url == "http://192.0.2.7:8080"
    assert EXAMPLE.providers()[0].for_clients == NodeAddress("198.51.100.99", 9000)


def test_a_host_has_several_nodes_and_an_ipv6_address() -> None:
    found = plan(changed(('"203.0.113.99"', '"2001:db8::7"\nlayer = 3')))
    host = found.hosts[-1]
    assert [str(node.place) for node in host.nodes()] == [
        "[2001:db8::7]:1789",
        "[2001:db8::7]:1790",
    ]
    assert [len(layer) for layer in found.layers()] == [1, 1, 2]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (("[network]", "[network"), "plan.toml is no TOML"),
        (("clients = 50 ", 'clients = "50" '), "line 3: clients = .*a whole number"),
        (("clients = 50 ", "client = 50 "), r"line 3: unknown key client in \[network\]"),
        (("[network]", "[net]"), r"line 1: unknown section \[net\]"),
        (("[host.barbara]", "[host.Barbara]"), "line 23: Barbara: a name has 1 to 40 of a-z"),
        (("[host.barbara]", "[host.copy]"), "line 23: copy: what is generated has a file of this"),
        (("[host.barbara]", "[host.nym-client]"), "line 23: nym-client: what is generated has"),
        (("[host.barbara]", "[host.ada.x]"), r"line 23: unknown key x in \[host.ada\]"),
        (("[host.barbara]", "[hosts.barbara]"), r"line 23: unknown section \[hosts\]"),
        (('operator = "Barbara"\n', ""), "line 23: barbara has no operator"),
        (('address = "198.51.100.7"\n', ""), "line 23: barbara has no address"),
        (('"198.51.100.7"', '"0.0.0.0"'), "line 25: address = .* at which all reach the host"),
        (('"198.51.100.7"', '"198.51.100.7:1789"'), "line 25: address = "),
        (('"198.51.100.7"', '"http://198.51.100.7"'), "line 25: address = "),
        (('"198.51.100.7"', '"127.0.0.1"'), "line 25: barbara is at a loopback address"),
        (('"192.0.2.7"', '"9.9.9.9"'), "line 25: barbara is at a private address, .* ada is not"),
        (('"203.0.113.7"', '"198.51.100.7"'), "mixnode_port of grace is 1789, as is mixnode_port"),
        (("mixnode_port = 1789", "mixnode_port = 8080"), "line 8: mixnode_port of ada is 8080"),
        (("mixnode_port = 1789", "mixnode_port = 0"), "line 15: mixnode_port = 0: a port"),
        (('directory_url = ""', 'directory_url = "x"'), "line 18: directory_url"),
        (('mixnode_identity = ""', 'mixnode_identity = "x"'), "line 20: mixnode_identity"),
        (("layer = 2", "layer = 3"), "plan.toml: the plan lacks a mixnode in layer 2"),
        (("layer = 2", "layer = 0"), "line 23: nothing runs on barbara"),
        (("directory = true", "directory = false"), "plan.toml: the plan lacks a directory"),
    ],
)
def test_mistakes_are_told_with_their_lines(change: tuple[str, str], error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        plan(changed(change))


@pytest.mark.parametrize(
    "text", ["", "host = 1", "[host]", "[[host]]", "[network]", "host.ada = 1"]
)
def test_what_has_no_hosts_is_no_plan(text: str) -> None:
    with pytest.raises(ConfigError, match="host"):
        plan(text)


def test_a_plan_that_lacks_more_says_all_of_it() -> None:
    text = '[host.ada]\noperator = "A"\naddress = "192.0.2.7"\nprovider = true'
    with pytest.raises(ConfigError, match=r"lacks mixnodes; .*, and a directory$"):
        plan(text)


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    with pytest.raises(ConfigError, match=f"{path} can't be read: No such file"):
        load_plan(path)
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=f"{path} can't be read: it is not UTF-8"):
        load_plan(path)


WIDE = """
[host.{name}]
operator = "{name}"
address = "{ip}"
directory = {directory}
layer = {layer}
provider = {provider}
"""
HOSTS = [("a", 1), ("b", 1), ("c", 2), ("d", 2), ("e", 3), ("f", 3)]
STRONG = "[network]\nclients = 10\n" + "".join(
    WIDE.format(
        name=name,
        ip=f"10.0.{number}.1",
        directory=str(number < 2).lower(),
        layer=layer,
        provider=str(number > 3).lower(),
    )
    for number, (name, layer) in enumerate(HOSTS)
)


def test_a_plan_without_weaknesses() -> None:
    assert weaknesses(plan(STRONG)) == []


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        (
            {'"c"': '"a"', '"e"': '"a"'},
            ["a has a mixnode in every layer, and so the whole route of 12.5% of all packets"],
        ),
        (
            {"10.0.2.1": "10.0.0.2", "10.0.4.1": "10.0.0.3", "10.0.5.1": "10.0.0.4"},
            ["10.0.0.0/24 has a mixnode in every layer: .* route of 25% of all packets"],
        ),
        ({"clients = 10": "clients = 1000"}, ["it carries some 411 clients, and is for 1000"]),
        ({"[network]": "[network]\nallow_list = false"}, ["allow_list is false: anybody"]),
        ({"layer = 3": "layer = 2"}, ["there are 2 layers: the first mixnode knows senders"]),
    ],
)
def test_weaknesses_are_found(changes: dict[str, str], found: list[str]) -> None:
    text = STRONG
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    said = weaknesses(plan(text))
    assert len(said) == len(found)
    for sentence, expected in zip(said, found, strict=True):
        assert re.search(expected, sentence)


def test_what_only_one_host_does_is_weak() -> None:
    said = " ".join(weaknesses(EXAMPLE))
    for expected in ("layer 1 has one mixnode, ada", "ada has the only directory"):
        assert expected in said
    without = plan(TEXT[: TEXT.index("[host.katherine]")])
    assert "hedy has the only provider" in " ".join(weaknesses(without))


def test_delays_are_those_of_drawn_messages() -> None:
    random = Random(1)
    drawn = sorted(
        5 * 0.02
        + random.expovariate(2)
        + sum(random.expovariate(10) for _ in range(3))
        + random.uniform(0, 0.4)
        for _ in range(40_000)
    )
    found = delays(3, 0.02)
    assert found.median == pytest.approx(drawn[20_000], rel=0.02)
    assert found.late == pytest.approx(drawn[39_600], rel=0.04)


def test_loads_are_shared_and_a_network_carries_what_its_busiest_node_does() -> None:
    one, two = mixnode_load(1000, 1), mixnode_load(1000, 2)
    assert (one.packets, two.packets) == (4000, 2000)
    assert one.busy == pytest.approx(2 * two.busy)
    assert provider_load(1000, 2).pulls == 1250
    most = most_clients(EXAMPLE)
    assert provider_load(most, 2).busy <= 0.5 < provider_load(most + 1, 2).busy
    assert mixnode_load(most, 1).busy < 0.5
