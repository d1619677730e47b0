"""`network check` with a plan: what isn't as planned, and which directories are asked."""

from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nym.cli.network_check import check_network
from nym.errors import UsageError
from nym.localnet.network import Network
from nym.network.check import NetworkCheck
from nym.network.check.planned import differences
from nym.network.example import EXAMPLE
from nym.network.plan import Host, Plan, format_plan
from nym.signing import generate_signer
from nym.wire.clients import EMPTY
from nym.wire.directory import MixNode, Provider, Records, encode_topology
from nym.wire.versions import with_identity
from tests.harness import running
from tests.planner import plan_of
from tests.test_trust import SIGNER, Shelf, header

LATE = 60.0  # seconds after which a loop is lost: the machine may be busy

pytestmark = pytest.mark.usefixtures("never_slow")
ADA = generate_signer()
AS_PLANNED = Records(
    (
        MixNode("192.0.2.7:1789", bytes(32), 1, with_identity("0.4.0", ADA.public_key)),
        MixNode("198.51.100.7:1789", bytes(32), 2, "0.4.0"),
        MixNode("203.0.113.7:1789", bytes(32), 3, "0.4.0"),
    ),
    (
        Provider("198.51.100.99:1790", "198.51.100.99:9000", bytes(32), EMPTY, "0.4.0"),
        Provider("203.0.113.99:1790", "203.0.113.99:9000", bytes(32), EMPTY, None),
    ),
)


def changed(plan: Plan, name: str, **settings: Any) -> Plan:
    """The plan with other settings of one host."""
    return plan._replace(
        hosts=tuple(
            Host(name, replace(host.settings, **settings)) if host.name == name else host
            for host in plan.hosts
        )
    )


def found(records: Records, plan: Plan = EXAMPLE) -> list[tuple[str, str, str]]:
    return [(one.kind, one.about, one.found) for one in differences(plan, records)]


def with_first(**fields: Any) -> Records:
    """As planned, but with other fields of the first mixnode."""
    first, *others = AS_PLANNED.mixnodes
    return AS_PLANNED._replace(mixnodes=(first._replace(**fields), *others))


KNOWN = changed(EXAMPLE, "ada", mixnode_identity=ADA.address)


def test_a_network_as_planned() -> None:
    assert found(AS_PLANNED) == []
    assert found(AS_PLANNED, KNOWN) == []


def test_a_place_can_be_written_in_several_ways() -> None:
    for address, host in (("2001:DB8:0::7", "[2001:db8::7]"), ("ada.Example", "ADA.example")):
        assert (
            found(with_first(host=f"{host}:1789"), changed(EXAMPLE, "ada", address=address)) == []
        )


def test_nodes_that_are_missing() -> None:
    rest = Records(AS_PLANNED.mixnodes[1:], AS_PLANNED.providers[:1])
    assert found(rest) == [
        (
            "missing",
            "mixnode on ada",
            "the directory doesn't list it; it is planned in layer 1, at 192.0.2.7:1789",
        ),
        (
            "missing",
            "provider on katherine",
            "the directory doesn't list it; it is planned at 203.0.113.99:1790",
        ),
    ]


def test_a_node_that_is_not_planned() -> None:
    stranger = MixNode("192.0.2.66:1789", bytes(32), 1, "0.4.0")
    more = AS_PLANNED._replace(mixnodes=(*AS_PLANNED.mixnodes, stranger))
    assert found(more) == [
        ("unplanned", "mixnode 192.0.2.66:1789 in layer 1", "it isn't in the plan")
    ]


def test_a_node_in_another_layer() -> None:
    assert found(with_first(layer=2)) == [
        ("unlike_plan", "mixnode on ada", "its layer is 2, and 1 in the plan")
    ]


def test_a_node_that_is_elsewhere_is_known_by_its_identity() -> None:
    moved = with_first(host="192.0.2.8:1789", layer=3)
    assert found(moved, KNOWN) == [
        (
            "unlike_plan",
            "mixnode on ada",
            "its layer is 3, and 1 in the plan; its address is 192.0.2.8:1789, and "
            "192.0.2.7:1789 in the plan",
        )
    ]
    assert [kind for kind, *_ in found(moved)] == ["missing", "unplanned"]


def test_a_node_with_another_identity() -> None:
    planned = changed(EXAMPLE, "ada", mixnode_identity=SIGNER.address)
    assert found(AS_PLANNED, planned) == [
        (
            "unlike_plan",
            "mixnode on ada",
            f"its identity is {ADA.address}, and {SIGNER.address} in the plan",
        )
    ]
    planned = changed(EXAMPLE, "grace", mixnode_identity=SIGNER.address)
    assert found(AS_PLANNED, planned)[0][2].startswith("its identity is missing, and ")


def test_a_provider_that_takes_clients_elsewhere() -> None:
    first, second = AS_PLANNED.providers
    moved = AS_PLANNED._replace(providers=(first, second._replace(client_listener="192.0.2.1:9")))
    assert found(moved) == [
        (
            "unlike_plan",
            "provider on katherine",
            "its address for clients is 192.0.2.1:9, and 203.0.113.99:9000 in the plan",
        )
    ]


# The command.


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nym.cli.network_check.NetworkCheck", partial(NetworkCheck, patience=LATE))


def check(path: Path, plan: Plan, **options: str | None) -> int:
    """Run the command; returns its exit code."""
    path.write_text(format_plan(plan))
    given = {"--directory": None, "--directory-key": None, "--json": False, "--watch": False}
    return check_network({**given, "PLAN": str(path), **options})


def test_the_directory_of_the_plan_is_asked(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with running(Network(width=2)) as network:
        plan = plan_of(network.url)
        assert check(tmp_path / "plan.toml", plan) == 0
        shown = capfd.readouterr().out
        assert shown.startswith(f"directory  {network.url}, not verified")
        assert shown.endswith("all is well\n")
        last = len(plan.layers()) + 1
        more = changed(plan, plan.hosts[1].name, layer=last)
        assert check(tmp_path / "plan.toml", more, **{"--directory": network.url}) == 1
    shown = capfd.readouterr().out
    assert f"wrong  network: no client can use it: layer {last} has no mixnode" in shown
    assert f"wrong  mixnode on host1: its layer is 1, and {last} in the plan\n" in shown


def test_the_keys_of_the_plan_have_to_sign(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with ExitStack() as stack:
        shelf = Shelf(stack)
        shelf.body = encode_topology(Records())
        port = int(shelf.url.rpartition(":")[2])
        here = {"address": "127.0.0.1", "directory_port": port}
        plan = changed(EXAMPLE, "ada", directory_identity=SIGNER.address, **here)
        for signer, code, said in ((ADA, 4, "another key"), (SIGNER, 1, "verified by its key")):
            shelf.header = partial(header, signer, shelf.body)
            assert check(tmp_path / "plan.toml", plan) == code
            assert said in capfd.readouterr().out


def test_keys_are_taken_from_a_plan_only_if_it_has_those_of_all_directories() -> None:
    one = changed(EXAMPLE, "ada", directory_identity=ADA.address)
    assert one.directory_keys() == [ADA.address]
    assert changed(one, "hedy", directory=True).directory_keys() == []


def test_a_plan_or_a_directory_has_to_be_given() -> None:
    options = {"--directory": None, "--directory-key": None, "PLAN": None}
    with pytest.raises(UsageError, match="--directory URL, or its plan"):
        check_network(options)
