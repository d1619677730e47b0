"""Names of nodes: what one round of lookups finds, how long it takes, and which address is used."""

import logging
import os

import gevent
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nym.errors import RemoteFormatError, UnreachableError
from nym.net import places
from nym.net import resolver as resolver_module
from nym.net.places import Experience
from nym.net.resolver import GRACE, TIMEOUT, Resolver
from nym.net.transport import send_packet
from nym.wire.addresses import NodeAddress
from tests.harness import free_port, run_in_own_network, serving, wait_until

A, B, C = (NodeAddress(ip, 1789) for ip in ("192.0.2.1", "2001:db8::1", "192.0.2.2"))


def test_the_first_address_is_used_until_something_is_shown() -> None:
    shown = Experience()
    shown.note((A, B, C))
    assert shown.best((A, B, C)) == A
    assert list(shown.in_turn(B)) == [B, A, C]
    shown.took(C)
    assert shown.best((A, B, C)) == C
    assert list(shown.in_turn(A)) == [C, A, B]
    shown.took(A)
    assert shown.best((A, B, C)) == A
    shown.refused(A)
    shown.refused(C)
    assert shown.best((A, B, C)) == A


def test_what_was_shown_longest_ago_is_forgotten_beyond_a_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(places, "MOST", 4)
    shown = Experience()
    names = [
        (NodeAddress(f"10.0.0.{number}", 5), NodeAddress(f"10.0.1.{number}", 5))
        for number in range(6)
    ]
    for name in names:
        shown.note(name)
        shown.took(name[1])
    assert [shown.best(name) == name[1] for name in names] == [False, False, True, True, True, True]
    assert [len(list(shown.in_turn(name[0]))) for name in names] == [1, 1, 1, 1, 2, 2]


def test_what_took_a_connection_at_another_port_is_a_hint() -> None:
    shown = Experience()
    later_hop = (NodeAddress(A.ip, 5), NodeAddress(B.ip, 5))
    shown.note((A, B))
    shown.note(later_hop)
    shown.took(B)
    assert shown.best(later_hop) == later_hop[1]
    shown.refused(B)
    assert shown.best(later_hop) == later_hop[0]


def test_an_address_of_one_alone_is_not_remembered() -> None:
    shown = Experience()
    shown.took(A)
    assert shown.best((B, A)) == B
    assert list(shown.in_turn(A)) == [A]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_node_that_is_localhost_is_found_where_it_listens(
    experience: Experience, host: str
) -> None:
    with serving(lambda connection: None, host) as address:
        found = Resolver().resolve({f"localhost:{address.port}"})
        assert found == {f"localhost:{address.port}": address}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_packet_reaches_a_node_at_the_other_address_of_its_name(
    experience: Experience, host: str
) -> None:
    got: list[bytes] = []
    with serving(lambda connection: got.append(connection.recv(4096)), host) as address:
        both = tuple(NodeAddress(ip, address.port) for ip in ("127.0.0.1", "::1"))
        experience.note(both)
        for place in both:
            send_packet(place, bytes(1372))
        wait_until(lambda: got == [bytes(1372)] * 2)
        assert experience.best(both) == address
    nowhere = tuple(NodeAddress(ip, free_port()) for ip in ("127.0.0.1", "::1"))
    experience.note(nowhere)
    with pytest.raises(UnreachableError, match="refused"):
        send_packet(nowhere[0], bytes(1372))


def test_names_that_come_and_go_are_said_once_for_all(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(resolver_module, "RETRY", 0.0)
    known: set[str] = set()

    class Names(Resolver):
        def _find(self, name: str, port: int) -> tuple[NodeAddress, ...]:
            return (NodeAddress("192.0.2.1", port),) if name in known else ()

    names = Names()
    hosts = {f"host-{number}.test:1" for number in range(9)}
    for _ in range(3):
        assert names.resolve(hosts) == {}
    known |= {f"host-{number}.test" for number in range(8)}
    for _ in range(3):
        assert len(names.resolve(hosts)) == 8
    assert [record.getMessage() for record in caplog.records] == [
        "host-0.test:1, host-1.test:1, host-2.test:1 and 6 more: no address yet; it is skipped "
        "until it can be resolved (9 of 9 names)",
        "host-0.test:1, host-1.test:1, host-2.test:1 and 5 more: the address is there now, and is "
        "used",
    ]
    known.clear()
    assert len(names.resolve(hosts)) == 8, "a known address was forgotten when a lookup failed"


def test_a_lookup_that_fails_in_an_unforeseen_way_is_no_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gevent.get_hub(), "print_exception", lambda *_: None)

    class Names(Resolver):
        def _find(self, name: str, port: int) -> tuple[NodeAddress, ...]:
            raise RuntimeError("can't start new thread")

    assert Names().resolve({"mix.test:1", "127.0.0.1:1"}) == {
        "127.0.0.1:1": NodeAddress("127.0.0.1", 1)
    }


@settings(max_examples=50)
@given(st.text(max_size=70) | st.from_regex(r"[a-z0-9._-]{1,70}", fullmatch=True))
def test_any_name_is_looked_up_or_refused(name: str) -> None:
    # No name under localhost exists, and whichever name server is asked says so at once. So this
    # test needs no network.
    host = f"{name}:1" if name.isdigit() else f"{name}.localhost:1"
    try:
        found = Resolver().resolve({host})
    except RemoteFormatError:
        return
    assert set(found) <= {host}


@pytest.mark.skipif(os.geteuid() != 0, reason="makes namespaces")
def test_a_silent_name_server_holds_up_nobody() -> None:
    measured, err = run_in_own_network("tests.silent_names")
    assert measured["is_numeric_at_once"]
    at_once, again, without_end, localhost = measured["seconds"]
    assert GRACE / 2 < at_once < TIMEOUT, f"a round waits a second for new names, not {at_once} s"
    assert again < GRACE, f"the next round waited {again} s for names that had their second"
    assert TIMEOUT / 2 < without_end < 2 * TIMEOUT
    assert localhost < TIMEOUT
    assert measured["asked"] > 16
    assert err.count("no address yet") == 1
    assert "Traceback" not in err
