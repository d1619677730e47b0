"""The benchmarks run, and have the rows that they should have; their figures are not judged."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from benchmarks import (
    directory,
    growth,
    hkdf,
    line,
    measure,
    messages,
    provider,
    published,
    pulls,
    ratios,
    sphinx,
    store,
)
from benchmarks.load import Sink
from benchmarks.measure import Row
from benchmarks.programs import Programs
from nym import _products
from nym.identity import generate_identity
from nym.sphinx import Forward, process_packet
from tests.harness import ANYWHERE, PATIENCE, beside

pytestmark = pytest.mark.no_cover


@pytest.mark.parametrize(
    ("run", "what"),
    [
        (hkdf.run, list(hkdf.WAYS.values())),
        (
            sphinx.run,
            [
                *(f"create a packet, {hops} hops" for hops in range(1, 6)),
                *("process a hop", "create one of eight, 4 hops", "process one of eight"),
                *("create in two threads", "process in two threads"),
            ],
        ),
        (line.run, ["a pull, both sides", "a first message"]),
        (ratios.run, list(ratios.EXPECTED[True])),
        (
            store.run,
            ["accept and end 1 message", "accept and end 100 messages", "seal a fragment"],
        ),
    ],
)
def test_benchmarks(
    monkeypatch: pytest.MonkeyPatch, run: Callable[[], list[Row]], what: list[str]
) -> None:
    monkeypatch.setattr(measure, "ROUNDS", 3)
    monkeypatch.setattr(measure, "ROUND_TIME", 0.001)
    rows = run()
    assert [row.what for row in rows] == what
    for row in rows:
        # No upper bound: three short rounds on a busy machine show nothing about speed.
        assert min(row.us, row.yardstick_us, row.ratio) > 0


def test_what_takes_a_fifth_longer_than_it_should_is_said() -> None:
    expected = ratios.EXPECTED[_products.at_once() > 1]
    rows = [Row(what, 1.0, 1.0, ratio * 1.19) for what, ratio in expected.items()]
    assert ratios.worse(rows) == []
    rows[1] = rows[1]._replace(ratio=expected["process"] * 1.21)
    (found,) = ratios.worse(rows)
    usual = expected["process"]
    assert found.startswith(
        f"process takes {usual * 1.21:.2f} times its products, and should take {usual:.2f}"
    )


def test_no_packet_and_no_message_takes_longer_where_there_is_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measure, "ROUNDS", 5)
    monkeypatch.setattr(measure, "ROUND_TIME", 0.001)
    monkeypatch.setattr(growth, "CLIENTS", 10_000)
    monkeypatch.setattr(growth, "OUT", 2000)
    rows = growth.run()
    assert [row.what for row in rows] == [
        *("a route, 10,000 nodes", "a recipient, 10,000 clients"),
        *("a message out, 2,000 wait", "a turn, 2,000 are on their way"),
        "a message in, 2,000 wait",
    ]
    for row in rows:
        # Each is processor time, and the least of some rounds. A walk over all of them would take
        # a hundred times as long.
        assert 0 < row.ratio < 8


def test_a_directory_of_any_size_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "ROUNDS", 2)
    monkeypatch.setattr(measure, "ROUND_TIME", 0.001)
    monkeypatch.setattr(directory, "SIZES", (100,))
    monkeypatch.setattr(directory, "CLIENTS", 1000)
    rows = directory.run()
    assert [row.what for row in rows] == [
        *("the first time, 100 nodes", "again, 100 nodes", "memory in KiB, 100 nodes"),
        "a list of 1,000 clients",
    ]
    first, again, *_ = rows
    assert again.us < first.us  # which makes sure that packets can go to each key


def test_a_provider_is_measured_empty_and_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "ROUNDS", 2)
    monkeypatch.setattr(measure, "ROUND_TIME", 0.001)
    monkeypatch.setattr(provider, "CLIENTS", 200)
    monkeypatch.setattr(provider, "MESSAGES", 300)
    monkeypatch.setattr(provider, "STARTS", 1)
    rows = provider.run()
    ways = ("put", "put and pull", "100 puts")
    assert [row.what for row in rows] == [
        "list the clients",
        *(f"{way}, {how}" for how in ("empty", "full") for way in ways),
        "until it listens",
        "memory, in KiB",
    ]
    assert min(min(row.us, row.yardstick_us, row.ratio) for row in rows) > 0


def test_pulls_and_packets_take_time_of_a_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "ROUNDS", 2)
    monkeypatch.setattr(measure, "ROUND_TIME", 0.001)
    monkeypatch.setattr(pulls, "ROUNDS", 1)
    monkeypatch.setattr(pulls, "CLIENTS", 20)
    rows = pulls.run()
    assert [row.what for row in rows] == ["a pull", "a packet"]
    # A pull is more than the two products of a hop, even if a short round has few ticks.
    assert rows[0].ratio > 1


SHORT_STREAM = """
import json
from benchmarks import timing
timing.GAPS, timing.MESSAGES = 50, 20
print(json.dumps([row._asdict() for row in timing.run()]))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="looks at the loopback interface")
def test_packets_are_seen_leaving_a_client() -> None:
    # In a process of its own, because it measures with threads, which are greenlets here.
    command = [sys.executable, "-c", SHORT_STREAM]
    rows = json.loads(beside(subprocess.check_output, command, timeout=PATIENCE))
    assert [row["what"] for row in rows] == [
        *("idle", "20 messages wait", "a page is open", "applications hammer it"),
    ]
    for row in rows:
        assert row["gaps"] == 50
        # Both streams were seen at about the rate that was asked for.
        for whose in ("", "yardstick_"):
            assert 0 < row[f"{whose}distance"] < 0.9, row


SHORT_CLIENT = """
import json
from benchmarks import client, programs
client.COMMAND, client.STARTS, client.IDLE = programs.CHECKOUT, 1, 1.0
client.messages.measured = lambda programs: []  # it has a test of its own
print(json.dumps([row._asdict() for row in client.run()]))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="looks at the loopback interface")
def test_a_client_is_measured_from_its_start_on() -> None:
    # In a process of its own, because it measures with threads, which are greenlets here.
    command = [sys.executable, "-c", SHORT_CLIENT]
    rows = json.loads(beside(subprocess.check_output, command, timeout=PATIENCE))
    program, start, _, memory = rows
    assert program["what"] == "start to the first packet, without waiting"
    assert start["what"] == "start to the first packet"
    # A client needs more than Python alone, in any case.
    assert min(program["ratio"], start["ratio"], memory["ratio"]) > 1


SHORT_MESSAGES = """
import json
from benchmarks import messages
messages.GAP, messages.PULLS, messages.WARM_UP, messages.SENDING = 0.02, 0.02, 0.5, 2.0
messages.SILENCE = messages.PATIENCE = 2.0
print(json.dumps([row._asdict() for row in messages.run()]))
"""


def test_messages_between_two_clients_are_measured() -> None:
    # In a process of its own, because it measures with threads, which are greenlets here.
    command = [sys.executable, "-c", SHORT_MESSAGES]
    peak, overload = json.loads(beside(subprocess.check_output, command, timeout=PATIENCE))
    assert re.fullmatch(r"a message: \d+ of \d+ lost, \d+ late", peak["what"])
    assert " offered per second: " in overload["what"]
    # More than the cryptography alone takes.
    assert min(peak["ratio"], overload["ratio"]) > 1


SHORT_FLOOD = """
import json
from benchmarks import overload
overload.ROUNDS, overload.SECONDS, overload.HALF_OPEN = 1, 0.5, 300
print(json.dumps([row._asdict() for row in overload.run()]))
"""


def test_a_mixnode_goes_on_under_a_flood() -> None:
    # In a process of its own, because it measures with threads, which are greenlets here.
    command = [sys.executable, "-c", SHORT_FLOOD]
    rows = json.loads(beside(subprocess.check_output, command, timeout=PATIENCE))
    assert len(rows) == 5
    # Packets of each flood were forwarded, and all of the source that took no part in it: for
    # each, the benchmark waits.
    for row in rows:
        assert 0 < row["us"] < 10**7, row


# A mixnode with the command line of the published one: it takes one packet after the other.
OTHER_MIXNODE = """
import socket
import sys
from nym.identity import generate_identity
from nym.sphinx import process_packet
from nym.wire.addresses import decode_address
from nym.wire.keys import encode_base58
command, *options = sys.argv[1:]
given = dict(zip(options[::2], options[1::2], strict=True))
assert command == "run" and given["--layer"] == "1" and given["--directory"].startswith("http")
own = generate_identity()
print("Starting", flush=True)
print("Public key:", encode_base58(own.public_key), flush=True)
with socket.create_server((given["--host"], int(given["--port"])), backlog=100) as server:
    while True:
        connection, _ = server.accept()
        with connection:
            packet = connection.recv(1372, socket.MSG_WAITALL)
            if packet:
                task = process_packet(packet, own.private_key)
                with socket.create_connection(decode_address(task.address)) as on:
                    on.sendall(task.packet)
                connection.sendall(b"foomp")
"""

OTHER_SPHINX = """
print('{"create": 2.0, "process": 1e0}')
"""

SHORT_PUBLISHED = """
import json
from benchmarks import measure, published, relay
measure.ROUNDS, measure.ROUND_TIME, published.ROUNDS = 2, 0.001, 1
relay.ROUNDS, relay.PACKETS, relay.MANY = 1, 20, 200
print(json.dumps([row._asdict() for row in published.run()]))
"""

RELAYED = [
    *("processor time", "added delay, median", "added delay, 99th percentile"),
    *("processor time, when busy", "time, when busy"),
]


def test_published_programs_are_measured_beside_ours(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    for name, code in ((published.MIXNODE, OTHER_MIXNODE), (published.SPHINX, OTHER_SPHINX)):
        program = tmp_path / name
        program.write_text(f"#!{sys.executable}\n{code}")
        program.chmod(0o700)
        environment[name] = str(program)
    # In a process of its own, because it measures with threads, which are greenlets here.
    command = [sys.executable, "-c", SHORT_PUBLISHED]
    rows = json.loads(beside(subprocess.check_output, command, timeout=PATIENCE, env=environment))
    assert [row["what"] for row in rows] == [
        *("create a packet, 4 hops", "process a hop", "create one of eight"),
        "process one of eight",
        *(f"{what}, {how}" for how in ("in one process", "on all cores") for what in RELAYED),
    ]
    assert [row["yardstick_us"] for row in rows[:4]] == [2e6, 1e6, 2e6, 1e6]
    for row in rows:
        assert 0 < row["us"] < 10**7, row
        assert row["ratio"] == pytest.approx(row["us"] / row["yardstick_us"])


# The client of the checkout has the command lines of the published one.
OTHER_CLIENT = f"""#!/bin/sh
exec {sys.executable} -m nym "$@"
"""

SHORT_CLIENTS = """
import json
from benchmarks import client, programs, published, published_client
client.COMMAND, client.STARTS, client.IDLE = programs.CHECKOUT, 1, 5.0
published_client.ROUNDS, published_client.CALM = 1, 0.0
print(json.dumps([row._asdict() for row in published.run()]))
"""

IDLING = ["each second", "memory in KiB", "between two packets", "between two pulls"]


@pytest.mark.skipif(os.geteuid() != 0, reason="looks at the loopback interface")
def test_a_published_client_is_measured_beside_ours(tmp_path: Path) -> None:
    program = tmp_path / "client"
    program.write_text(OTHER_CLIENT)
    program.chmod(0o700)
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd()), published.CLIENT: str(program)}
    # In a process of its own, because it measures with threads, which are greenlets here.
    command = [sys.executable, "-c", SHORT_CLIENTS]
    rows = json.loads(beside(subprocess.check_output, command, timeout=PATIENCE, env=environment))
    start, stream, *idle = rows
    assert [row["what"] for row in idle] == [
        f"idle, {what}{how}" for how in ("", ", as many pulls") for what in IDLING
    ]
    # Each has a network of its own, and is seen there alone: both pull 2.5 times a second, and the
    # one that is slower once.
    (*_, pulls), (*_, fewer) = idle[:4], idle[4:]
    assert pulls["us"] == pytest.approx(0.4e6, rel=0.2)
    assert pulls["ratio"] == pytest.approx(1, rel=0.25)
    assert fewer["us"] > 0.7e6
    # The first packet of its streams isn't the first one.
    assert stream["yardstick_us"] > start["yardstick_us"]
    assert all(row["ratio"] > 0 for row in rows)


def test_without_a_published_program_it_is_said_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in (published.MIXNODE, published.SPHINX, published.CLIENT):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SystemExit, match=f"{published.MIXNODE} has to name .* docs/performance"):
        published.run()


SHORT_RELAY = """
import json
from benchmarks import measure, relay
measure.ROUNDS, measure.ROUND_TIME = 2, 0.001
relay.ROUNDS, relay.PACKETS, relay.MANY = 1, 20, 200
print(json.dumps([row._asdict() for row in relay.run()]))
"""


def test_a_mixnode_is_measured_in_one_process_and_on_all_cores() -> None:
    # In a process of its own, because it measures with threads, which are greenlets here.
    command = [sys.executable, "-c", SHORT_RELAY]
    rows = json.loads(beside(subprocess.check_output, command, timeout=PATIENCE))
    assert [row["what"] for row in rows] == [
        *RELAYED,
        *(f"{what}, on all cores" for what in RELAYED),
    ]
    for row in rows:
        assert 0 < row["us"] < 10**7, row


def test_the_node_behind_a_mixnode_knows_packets_by_their_numbers() -> None:
    mixnode = generate_identity()
    with Sink() as sink:
        for number, packet in enumerate(sink.packets(ANYWHERE, mixnode.public_key, 300)):
            task = process_packet(packet, mixnode.private_key)
            assert isinstance(task, Forward)
            assert task.delay == 0
            assert sink.number(task.packet) == number


class _Clients:
    """Two clients of which one has so many messages left to send."""

    def __init__(self, outbox: int) -> None:
        self._outbox = outbox

    def registered(self, name: str) -> dict[str, str]:
        return {"address": name}

    def ask(self, name: str, **request: str) -> dict[str, int]:
        assert (name, request) == ("carol", {"type": "status"})
        return {"outbox": self._outbox}


@pytest.mark.parametrize(("outbox", "missing"), [(0, (2, 0)), (1, (0, 2))])
def test_messages_that_are_on_their_way_are_not_lost(
    monkeypatch: pytest.MonkeyPatch, outbox: int, missing: tuple[int, int]
) -> None:
    for name, seconds in (("SILENCE", 0.0), ("PATIENCE", 0.1), ("_LOOK", 0.01)):
        monkeypatch.setattr(messages, name, seconds)
    arrivals = messages._Arrivals()
    trials = messages._Trials(cast("Programs", _Clients(outbox)), arrivals)
    arrivals.times[2] = 0.0
    assert trials._missing({1, 2, 3}) == missing
    arrivals.times.update({1: 0.0, 3: 0.0})
    assert trials._missing({1, 2, 3}) == (0, 0)
