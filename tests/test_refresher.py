"""The refresher: what becomes of the view when directories answer, fail, change or are away."""

import json
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import gevent
import pytest

from nym.client.judging import Judging
from nym.client.kept_lists import KeptLists
from nym.client.refresher import LONGEST_RETRY, Refresher
from nym.client.remembered import MOST_DIRECTORIES, RememberedNetwork
from nym.identity import generate_identity
from nym.net.directories import Directories
from nym.net.resolver import Resolver
from nym.reach import Reach
from nym.store.journal import Journal
from nym.store.state import State
from nym.topology import Topology
from nym.wire.addresses import NodeAddress
from nym.wire.clients import AddressList
from nym.wire.keys import decode_base58, encode_base58
from tests.harness import free_port, serving_http
from tests.hub import nobody_is_held_up

TOPOLOGY = (Path(__file__).parent / "vectors" / "topology_2020.json").read_bytes()


class Setup:
    """Makes refreshers over one folder, as successive starts of a client do."""

    def __init__(self, journal: Journal, folder: Path) -> None:
        self.state = State(journal)
        self.folder = folder
        self.followed: list[Topology] = []
        self.meanwhile: list[Topology | None] = []  # the network in use at each of these calls

    def __call__(self, url: str, revive: Callable[[], bool] | None = None) -> Refresher:
        def follow(topology: Topology) -> None:
            self.followed.append(topology)
            self.meanwhile.append(refreshing.topology)

        refreshing = Refresher(
            Directories([url]),
            10.0,
            Random(1),
            follow,
            revive,
            Judging(KeptLists(self.folder), resolve_names=False),
            RememberedNetwork(self.state, [url]),
        )
        return refreshing


@pytest.fixture
def refresher(journal: Journal, tmp_path: Path) -> Setup:
    return Setup(journal, tmp_path)


def by_digest(topology: Any) -> Any:
    """A topology of 2020, with the digests of lists in their places, as a client keeps it."""
    kept = json.loads(json.dumps(topology))
    for provider in kept["mixProviderNodes"]:
        keys = (decode_base58(client["pubKey"]) for client in provider.pop("registeredClients"))
        provider["clients"] = str(AddressList.of(keys).digest)
    return kept


def test_it_asks_again_after_the_period(refresher: Setup) -> None:
    with serving_http(lambda: TOPOLOGY) as url:
        refreshing = refresher(url + "/")
        assert refreshing.tick() == 10.0
    assert refreshing.topology is not None
    assert refresher.followed == [refreshing.topology]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"garbage",
        b"{}",
        b'{"mixNodes": [], "mixProviderNodes": []}',
        json.dumps({**json.loads(TOPOLOGY), "mixProviderNodes": []}).encode(),
    ],
)
def test_the_last_good_view_stays(
    refresher: Setup, answer: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    answers = [TOPOLOGY]
    with serving_http(lambda: answers[-1]) as url:
        refreshing = refresher(url)
        refreshing.tick()
        before = refreshing.topology
        answers.append(answer)
        waits = [refreshing.tick() for _ in range(8)]
        assert refreshing.topology == before
        assert sum(record.levelno == logging.WARNING for record in caplog.records) == 1
        assert waits[0] < waits[-1] <= LONGEST_RETRY
        answers.append(TOPOLOGY)
        assert refreshing.tick() == 10.0
    assert "works again" in caplog.text


def test_a_directory_that_is_away_from_the_start(refresher: Setup) -> None:
    refreshing = refresher(f"http://127.0.0.1:{free_port()}")
    assert 0 < refreshing.tick() < 1
    assert refreshing.topology is None


def test_only_a_directory_that_does_not_answer_is_revived(refresher: Setup) -> None:
    revived = []

    def revive() -> bool:
        revived.append(1)
        return len(revived) == 1

    nowhere = f"http://127.0.0.1:{free_port()}"
    refreshing = refresher(nowhere, revive)
    assert refreshing.tick() == 0.0
    assert refreshing.tick() > 0.0
    assert len(revived) == 2
    # Whatever else answers there, a network of our own must not take its place.
    with serving_http(lambda: b"another program") as url:
        refresher(url, revive).tick()
    assert len(revived) == 2


def test_names_are_resolved_and_what_has_no_address_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    resolver = Resolver()
    hosts = {"localhost:1789", "1.2.3.4:5", "[::1]:6", "no-such-host.invalid:7"}
    for _ in range(2):
        assert resolver.resolve(hosts) == {
            "localhost:1789": NodeAddress("127.0.0.1", 1789),
            "1.2.3.4:5": NodeAddress("1.2.3.4", 5),
            "[::1]:6": NodeAddress("::1", 6),
        }
    assert caplog.text.count("no-such-host.invalid:7") == 1


def test_a_name_that_stops_resolving_keeps_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nym.net.resolver.LIFETIME", 0.0)
    resolver = Resolver()
    before = resolver.resolve({"localhost:1"})

    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror("resolver away")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert resolver.resolve({"localhost:1"}) == before
    assert resolver.resolve(set()) == {}


def test_without_a_directory_the_last_starts_network_will_do(
    refresher: Setup, journal: Journal, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with serving_http(lambda: TOPOLOGY) as url:
        first = refresher(url)
        first.tick()
    journal.close()
    reopened = Journal(tmp_path, bytes(32))
    again = Setup(reopened, tmp_path)
    nowhere = again(url)
    for _ in range(3):
        nowhere.tick()
    assert nowhere.topology == first.topology
    assert again.followed == [first.topology]
    assert caplog.text.count("using the network from the last run") == 1
    reopened.close()


def test_whoever_follows_hears_of_the_last_starts_network_first(refresher: Setup) -> None:
    with serving_http(lambda: TOPOLOGY) as url:
        first = refresher(url)
        first.tick()
        refresher.followed.clear()
        refresher(url).tick()
    assert refresher.followed == [first.topology, first.topology]


def test_a_network_is_used_once_everybody_follows_it(refresher: Setup) -> None:
    other = json.loads(TOPOLOGY)
    other["mixProviderNodes"][0]["pubKey"] = encode_base58(bytes(range(32)))
    answers = [TOPOLOGY, json.dumps(other).encode()]
    with serving_http(lambda: answers.pop(0)) as url:
        refreshing = refresher(url)
        refreshing.tick()
        refreshing.tick()
    first, second = refresher.followed
    assert first != second
    assert refresher.meanwhile == [None, first]
    assert refreshing.topology == second


def test_a_kept_network_that_is_damaged_is_none(refresher: Setup) -> None:
    refresher.state.set("topology", b"garbage")
    nowhere = refresher(f"http://127.0.0.1:{free_port()}")
    nowhere.tick()
    assert nowhere.topology is None


def test_the_layers_of_the_directory_used_longest_ago_are_forgotten_beyond_a_limit(
    refresher: Setup,
) -> None:
    urls = [f"http://192.0.2.1:{port}" for port in range(1, MOST_DIRECTORIES + 2)]
    for url in [urls[1], urls[0], *urls[2:]]:
        RememberedNetwork(refresher.state, [url]).keep(TOPOLOGY, 3, Reach.PUBLIC)
    layers = [RememberedNetwork(refresher.state, [url]).layers for url in urls]
    assert layers == [3, 0] + [3] * (MOST_DIRECTORIES - 1)


def test_a_network_is_kept_at_once_when_keys_or_addresses_change(refresher: Setup) -> None:
    body = json.loads(TOPOLOGY)
    with serving_http(lambda: json.dumps(body).encode()) as url:
        refreshing = refresher(url)
        refreshing.tick()
        for node, name, value in (
            (body["mixNodes"][0], "pubKey", encode_base58(bytes(range(32)))),
            (body["mixNodes"][0], "host", "127.0.0.9:1"),
            (body["mixProviderNodes"][0], "clientListener", "127.0.0.9:2"),
        ):
            node[name] = value
            refreshing.tick()
            assert json.loads(refresher.state.get("topology") or b"") == by_digest(body)


def test_where_only_clients_come_and_go_it_is_kept_rarely_and_at_the_stop(
    refresher: Setup,
) -> None:
    body = json.loads(TOPOLOGY)
    with serving_http(lambda: json.dumps(body).encode()) as url:
        refreshing = refresher(url)
        refreshing.tick()
        kept = refresher.state.get("topology")
        body["mixNodes"][0]["lastSeen"] += 1
        refreshing.tick()
        refreshing.keep()
        assert refresher.state.get("topology") == kept, "written again, though no node has changed"
        body["mixProviderNodes"][0]["registeredClients"] = []
        refreshing.tick()
        assert refresher.state.get("topology") == kept
        refreshing.keep()
        assert json.loads(refresher.state.get("topology") or b"") == by_digest(body)


def test_a_long_listing_holds_up_nobody(refresher: Setup) -> None:
    keys = [encode_base58(generate_identity().public_key) for _ in range(300)]
    listing = json.loads(TOPOLOGY)
    mixnode = listing["mixNodes"][0]
    listing["mixNodes"] = [
        {**mixnode, "host": f"127.1.{i >> 8}.{i & 255}:1789", "pubKey": key, "layer": i % 3 + 1}
        for i, key in enumerate(keys)
    ]
    body = json.dumps(listing).encode()
    with serving_http(lambda: body) as url:
        refreshing = refresher(url)
        with nobody_is_held_up():
            assert gevent.spawn(refreshing.tick).get() == 10.0
    assert refreshing.topology is not None
    assert [len(layer) for layer in refreshing.topology.layers] == [100, 100, 100]
