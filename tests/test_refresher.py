"""The view of the network, with directories that come and go."""

import json
import logging
import socket
from pathlib import Path
from random import Random

import pytest

from nym.client.refresher import LONGEST_RETRY, Refresher
from nym.client.resolver import Resolver
from nym.topology import Topology
from nym.wire.addresses import NodeAddress
from tests.harness import free_port, serving_http

TOPOLOGY = (Path(__file__).parent / "vectors" / "topology_2020.json").read_bytes()


def refresher(url: str, followed: list[Topology] | None = None) -> Refresher:
    followed = [] if followed is None else followed
    return Refresher(url, 10.0, Random(1), followed.append, None)


def test_it_asks_again_after_the_period() -> None:
    followed: list[Topology] = []
    with serving_http(lambda: TOPOLOGY) as url:
        refreshing = refresher(url + "/", followed)
        assert refreshing.tick() == 10.0
    assert refreshing.topology is not None
    assert followed == [refreshing.topology]


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
def test_the_last_good_view_stays(answer: bytes, caplog: pytest.LogCaptureFixture) -> None:
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


def test_a_directory_that_is_away_from_the_start() -> None:
    refreshing = refresher(f"http://127.0.0.1:{free_port()}")
    assert 0 < refreshing.tick() < 1
    assert refreshing.topology is None


def test_only_a_directory_that_does_not_answer_is_revived() -> None:
    revived = []

    def revive() -> bool:
        revived.append(1)
        return len(revived) == 1

    nowhere = f"http://127.0.0.1:{free_port()}"
    refreshing = Refresher(nowhere, 10.0, Random(1), lambda topology: None, revive)
    assert refreshing.tick() == 0.0
    assert refreshing.tick() > 0.0
    assert len(revived) == 2
    with serving_http(lambda: b"another program") as url:
        Refresher(url, 10.0, Random(1), lambda topology: None, revive).tick()
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
    monkeypatch.setattr("nym.client.resolver.LIFETIME", 0.0)
    resolver = Resolver()
    before = resolver.resolve({"localhost:1"})

    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror("resolver away")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert resolver.resolve({"localhost:1"}) == before
    assert resolver.resolve(set()) == {}
