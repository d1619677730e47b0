"""Each message has one outcome, whatever is raised on a packet's way out, and whatever is killed.

Errors are raised in the functions that a packet passes on its way to the first mixnode, and the
greenlets that send are killed at random. No message may be lost, and none may arrive twice.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import gevent
import pytest

from nym.client import sender as sender_module
from nym.client import stock as stock_module
from nym.client.packets import PacketMaker
from nym.client.sender import Sender
from nym.envelope import Envelopes
from nym.net.alarm import Alarm
from nym.net.bare import BareSocket
from tests.faults.injection import Point
from tests.faults.test_faults import Pair
from tests.harness import FAST, Program, wait_until

pytestmark = pytest.mark.no_cover  # thousands of packets, all on one way through the code

RAISED = 10  # how often in a row each function raises
# Slower than FAST: these tests are about outcomes, not speed, and the machine may be busy.
CALM = replace(
    FAST,
    message_sending_average_delay=0.1,
    loop_cover_traffic_average_delay=0.3,
    fetch_message_delay=0.2,
    topology_refresh_rate=5.0,
)
POINTS: list[tuple[Any, str]] = [
    (BareSocket, "__init__"),
    (BareSocket, "connect_within"),
    (sender_module, "create_packets"),
    (stock_module, "create_packets"),
    (sender_module, "send_packet"),
    (Alarm, "wait_until"),
    (Sender, "_works"),
    (PacketMaker, "draft"),
    (Envelopes, "seal"),
]
ERRORS = [MemoryError("of the test"), RuntimeError("of the test"), gevent.GreenletExit()]


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    """Two clients in this process, and their network in another process."""
    # A part of the client that dies is started again at once, without the usual pause: the tests
    # are about what the dead part leaves behind. Set first, because parts look at their start.
    monkeypatch.setattr("nym.net.watch.FIRST_RESTART", 0.01)
    monkeypatch.setattr("nym.net.watch.LONGEST_RESTART", 0.01)
    with ExitStack() as stack:
        network = stack.enter_context(Program(tmp_path, "localnet", "--port", "0"))
        yield Pair(stack, network.line(r"(http://[0-9.:]+)")[1], CALM)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_what_is_raised_on_the_way_out_loses_and_doubles_nothing(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    pair.send(reliable=True)
    pair.check()
    for owner, name in POINTS:
        point = Point(monkeypatch, owner, name)
        pair.send(2, reliable=True)
        pair.send(1)
        pair.send(1, 2000)
        point.fail(error, RAISED)
        wait_until(lambda: point.raised == RAISED, f"{name}, called {RAISED} times")  # noqa: B023
        pair.check()
    assert pair.alice.client._outbox.failed == []


def test_greenlets_that_are_killed_at_random_lose_and_double_nothing(pair: Pair) -> None:
    random = Random(1)
    pair.send(10, reliable=True)
    pair.send(10)
    pool = pair.alice.client._sender._crew._members
    for _ in range(300):
        for greenlet in list(pool.greenlets):
            if random.random() < 0.3:
                greenlet.kill(block=False)
        gevent.sleep(0.002)
    pair.check()
    assert pair.alice.client._outbox.failed == []
