"""`observe`: what the client tells, to whom, and what the tests of statistics say about it."""

import json
import os
import pty
import signal
import socket
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from nym.cli.observed import Observed
from nym.cli.verdicts import FirstLayer, Verdict, judge
from nym.localnet.network import Network
from nym.onlookers import MOST, Onlookers
from nym.sockets import CONTROL_SOCKET
from nym.sockets.tcp import TcpSocket
from nym.wire.addresses import NodeAddress
from nym.wire.line import (
    BEGINNING,
    FIRST_LENGTH,
    FOURTH_LENGTH,
    SECOND_LENGTH,
    THIRD_LENGTH,
)
from nym.wire.provider import Pulled
from nym.wire.sightings import Observing, PacketSeen, PullSeen
from nym.wire.sizes import PACKET_LENGTH
from tests.harness import (
    FAST,
    PATIENCE,
    Application,
    Lines,
    Program,
    Served,
    onlookers,
    run_program,
    running,
    wait_until,
)

RATES = Observing(mean_gap=0.25, pull_period=0.4)
HERE = NodeAddress("192.0.2.1", 1789)
NODES = [f"192.0.2.{i}:1789" for i in range(1, 6)]
LAYER = FirstLayer(frozenset(NODES))


def told_by(client: Application) -> Lines:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE)
    connection.connect(str(client.folder / CONTROL_SOCKET))
    return Lines(connection)


def test_an_observer_is_told_each_packet_and_each_pull() -> None:
    kinds = Counter[str]()
    traffic = replace(
        FAST,
        message_sending_average_delay=0.05,
        loop_cover_traffic_average_delay=0.2,
        fetch_message_delay=0.05,
    )
    with (
        running(Network(width=2)) as network,
        Application(network.url, traffic=traffic) as alice,
    ):
        hops = {str(node.address) for node in network.mixnodes if node.layer == 1}
        (provider,) = (str(node.client_address) for node in network.providers)
        wait_until(alice.client._session.registered.is_set)
        with told_by(alice) as observer, alice.lines() as application:
            begun = observer.ask(type="observe")
            assert begun == {"type": "observe", "mean_gap": 0.04, "pull_period": 0.05}
            # A note about the provider follows, too, because the message is reliable.
            application.send(alice.address, b"to myself", reliable=True)
            last = 0.0
            while min(kinds[kind] for kind in ("loop", "drop", "answer", "fragment", "pull")) == 0:
                seen = observer.hear()
                if seen.pop("type") == "packet":
                    packet = PacketSeen(**seen)
                    assert packet.first_hop in hops
                    assert last < packet.at
                    last = packet.at
                    kinds[packet.carries] += 1
                else:
                    pull = PullSeen(**seen)
                    assert (pull.provider, pull.sealed, pull.other) == (provider, True, False)
                    assert pull.seconds > 0
                    assert pull.bytes_out == len(BEGINNING) + FIRST_LENGTH + THIRD_LENGTH
                    assert pull.messages is not None
                    assert pull.bytes_in == SECOND_LENGTH + FOURTH_LENGTH
                    kinds["pull"] += 1
        wait_until(lambda: not alice.client._sender._onlookers._all, "the end of the observation")


def test_applications_can_not_observe() -> None:
    with Served(TcpSocket) as served, Lines(served.connect()) as application:
        answer = application.ask(type="observe")
        assert (answer["type"], answer["code"]) == ("error", "unknown_request")


def test_observers_that_do_not_read_are_told_no_more() -> None:
    all_of_them = Onlookers(RATES)
    all_of_them.packet(HERE, "loop")  # seen by nobody
    calls: list[None] = []
    one, other = (all_of_them.add(lambda: calls.append(None)) for _ in range(2))
    for _ in range(MOST):
        all_of_them.packet(HERE, "loop")
    assert len(list(one.news())) == MOST
    all_of_them.packet(HERE, "drop")
    (seen,) = one.news()
    assert isinstance(seen, PacketSeen)
    assert (seen.first_hop, seen.carries) == (str(HERE), "drop")
    told = other.news()
    with pytest.raises(TimeoutError):
        list(told)
    all_of_them.remove(one)
    all_of_them.remove(other)
    before = len(calls)
    all_of_them.packet(HERE, "loop")
    assert len(calls) == before == 2 * MOST + 2


def test_pulls_that_fail_are_seen_and_raise() -> None:
    all_of_them = onlookers()
    onlooker = all_of_them.add(lambda: None)

    def fail() -> Pulled:
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011 - it is that very error
        all_of_them.pulling(fail, HERE, is_other=True, is_sealed=True)
    (seen,) = onlooker.news()
    assert isinstance(seen, PullSeen)
    assert (seen.messages, seen.bytes_in, seen.other) == (None, 0, True)


# The verdicts. What is made up here is what a client does, or what one with a fault would do.


def stream(
    count: int = 2000,
    *,
    seed: int = 1,
    gap: Callable[[Random, bool], float] = lambda random, is_real: random.expovariate(4.0),
    hop: Callable[[Random, bool], str] = lambda random, is_real: random.choice(NODES),
) -> list[PacketSeen]:
    """Packets, a quarter of them real; `gap` and `hop` are told which ones."""
    random, at, packets = Random(seed), 1000.0, []
    for _ in range(count):
        is_real = random.random() < 0.25
        at += gap(random, is_real)
        packets.append(PacketSeen(at, hop(random, is_real), "fragment" if is_real else "loop"))
    return packets


def pulls(
    count: int = 1000,
    *,
    late: Callable[[Random, bool], float] = lambda random, after_one: random.uniform(0, 0.004),
) -> list[PullSeen]:
    """Pulls, half of which bring a message; `late` is told whether the one before did."""
    random, made, after_one = Random(2), [], False
    for number in range(count):
        at = 1000.3 + 0.4 * number + late(random, after_one)
        after_one = random.random() < 0.5
        made.append(PullSeen(at, 0.01, NODES[0], False, True, int(after_one), 66, 979))
    return made


def verdicts(
    packets: list[PacketSeen], pulled: list[PullSeen], now: FirstLayer = LAYER
) -> dict[str, Verdict]:
    return {verdict.test: verdict for verdict in judge(RATES, packets, pulled, LAYER, now)}


def failed(found: dict[str, Verdict]) -> set[str]:
    return {name for name, verdict in found.items() if verdict.passed is False}


def test_a_client_as_it_should_be_passes_all() -> None:
    found = verdicts(stream(), pulls())
    assert len(found) == 6
    assert all(verdict.passed for verdict in found.values()), found
    assert "1999 gaps between packets follow the exponential" in found["gaps"].found
    assert "p = " in found["gaps"].found


def test_gaps_that_are_not_exponential_fail() -> None:
    found = verdicts(stream(gap=lambda random, is_real: random.uniform(0.0, 0.5)), pulls())
    assert failed(found) == {"gaps"}
    assert "p < 0.0001" in found["gaps"].found


def test_messages_that_leave_sooner_than_cover_fail() -> None:
    def gap(random: Random, is_real: bool) -> float:
        return random.expovariate(8.0 if is_real else 4.0)

    assert "gaps of messages" in failed(verdicts(stream(gap=gap), pulls()))


def test_a_mixnode_that_is_preferred_fails() -> None:
    def hop(random: Random, is_real: bool) -> str:
        return random.choice([*NODES, NODES[0]])

    assert failed(verdicts(stream(hop=hop), pulls())) == {"first mixnodes"}


def test_messages_that_prefer_a_mixnode_fail() -> None:
    def hop(random: Random, is_real: bool) -> str:
        return random.choice(NODES[: 3 if is_real else 5])

    assert "first mixnodes of messages" in failed(verdicts(stream(hop=hop), pulls()))


def test_pulls_without_a_rhythm_fail() -> None:
    found = verdicts(stream(), pulls(late=lambda random, after_one: random.uniform(0, 0.2)))
    assert failed(found) == {"rhythm of pulls"}


def test_pulls_that_follow_messages_fail() -> None:
    def late(random: Random, after_one: bool) -> float:
        return random.uniform(0, 0.004) + 0.002 * after_one

    assert failed(verdicts(stream(), pulls(late=late))) == {"pulls after messages"}


def test_pulls_from_other_providers_have_their_own_rhythm() -> None:
    others = [pull._replace(at=pull.at + 0.2, other=True) for pull in pulls()]
    assert not failed(verdicts(stream(), sorted([*pulls(), *others])))


def test_two_nodes_of_one_machine_share_its_packets() -> None:
    layer = FirstLayer(frozenset([*NODES[:2], "192.0.2.1:1790"]))
    assert layer.shares() == {NODES[0]: 0.25, "192.0.2.1:1790": 0.25, NODES[1]: 0.5}
    # The machine of one that is avoided doesn't count.
    assert layer._replace(avoided=frozenset([NODES[0]])).shares() == {NODES[1]: 1.0}


def test_too_few_are_not_judged() -> None:
    found = verdicts(stream(40), pulls(40))
    assert {verdict.passed for verdict in found.values()} <= {None, True}
    assert found["gaps"].found == "too few to say: 61 more packets are needed"
    assert "more packets with messages are needed" in found["gaps of messages"].found
    assert found["rhythm of pulls"].found == "too few to say: 60 more pulls are needed"
    nothing = verdicts([], [])
    assert all(verdict.passed is None for verdict in nothing.values())
    alone = FirstLayer(frozenset(NODES[:1]))
    (only, *_) = (v for v in judge(RATES, [], [], alone, alone) if v.test == "first mixnodes")
    assert "only one first mixnode" in only.found


def test_a_network_that_changes_is_not_judged() -> None:
    found = verdicts(stream(), pulls(), now=FirstLayer(frozenset(NODES[:4])))
    assert found["first mixnodes"].passed is None
    assert "have changed" in found["first mixnodes of messages"].found


# The command.


def observed() -> Observed:
    seen = Observed(RATES, LAYER)
    for packet in stream():
        seen.add({"type": "packet", **packet._asdict()})
    for pull in pulls():
        seen.add({"type": "pull", **pull._asdict()})
    return seen


def test_people_see_what_each_of_the_others_sees() -> None:
    seen = observed()
    table = list(seen.lines("alice", 500.0, seen.verdicts()))
    assert table[0] == "client      alice, watched for 8 min"
    assert "line        2000 packets of 1372 bytes, 4.00 per second; 1000 pulls" in table
    assert sum(NODES[1] in line for line in table) == 1
    assert any(line.startswith(f"provider    {NODES[0]}  1000 pulls on a sealed") for line in table)
    assert sum("ok   " in line for line in table) == 6


def test_programs_get_all_of_it() -> None:
    seen = observed()
    body = json.loads(json.dumps(seen.as_json(500.0, seen.verdicts())))
    assert body["line"] == {
        "packets": 2000,
        "pulls": 1000,
        "bytes_out": 2000 * PACKET_LENGTH + 1000 * 66,
        "bytes_in": 1000 * 979,
    }
    assert sum(body["first_hops"].values()) == sum(body["packets"].values()) == 2000
    assert body["providers"][0]["pulls"] == 1000
    assert len(body["tests"]) == 6
    assert all(test["passed"] for test in body["tests"])


@pytest.fixture
def alice(tmp_path: Path) -> Iterator[Program]:
    """A user's client, in a network of its own; her home is `tmp_path`."""
    with Program(tmp_path, "localnet", "--port", "0", "--width", "2") as localnet:
        url = localnet.line("^directory +(http.*)$")[1]
        assert run_program(tmp_path, "init", "--id", "alice", "--directory", url)[0] == 0
        with Program(tmp_path, "tcpsocket", "--id", "alice", "--port", "0", "--quiet") as client:
            wait_until(lambda: run_program(tmp_path, "clients", "--id", "alice")[0] == 0)
            yield client


def test_it_watches_for_so_long(alice: Program, tmp_path: Path) -> None:
    code, out, err = run_program(tmp_path, "observe", "--id", "alice", "--seconds", "3", "--json")
    assert (code, err) == (0, "")
    body = json.loads(out)
    assert body["seconds"] >= 3
    assert body["mean_gap"] == 0.25
    assert len(body["first_hops"]) == 2
    assert [test["test"] for test in body["tests"] if test["passed"] is None]
    code, _, err = run_program(tmp_path, "observe", "--id", "alice", "--seconds", "soon")
    assert (code, err.startswith("nym-client: --seconds soon: ")) == (2, True)


@pytest.mark.parametrize("is_client_stopped", [False, True])
def test_all_that_was_seen_is_shown_at_the_end(
    alice: Program, tmp_path: Path, is_client_stopped: bool
) -> None:
    here, there = pty.openpty()
    observer = subprocess.Popen(
        [*Program.command, "observe", "--id", "alice"],
        env={**os.environ, "XDG_CONFIG_HOME": str(tmp_path), "TERM": "xterm"},
        stdout=there,
        stderr=subprocess.PIPE,
    )
    os.close(there)
    shown = b""

    def tables() -> int:
        return shown.count(b"\x1b[2J")

    with observer:
        while tables() < 2:  # it is drawn again and again
            shown += os.read(here, 1 << 16)
        before = tables()
        if is_client_stopped:
            assert alice.end(signal.SIGTERM)[0] == 0
        else:
            observer.send_signal(signal.SIGINT)
        with suppress(OSError):  # the end of a terminal
            while data := os.read(here, 1 << 16):
                shown += data
        assert observer.stderr is not None
        err = observer.stderr.read().decode()
    os.close(here)
    assert tables() > before
    assert shown.rstrip().splitlines()[-1].startswith(b"            ?    pulls after messages")
    if is_client_stopped:
        assert (observer.returncode, "has stopped" in err) == (3, True)
    else:
        assert (observer.returncode, err) == (0, "")
