"""What the client reports about its backlog, in whatever order the provider hands messages over.

The network and the provider are simulated (tests/simulation.py), so the true backlog is known.
"""

import pytest

from nym.backlog import LEAST_LASTING, Backlog, describe
from nym.loops import Loops
from nym.wire.reports import BacklogReport
from tests.simulation import Way

ORDERS = ["kept", "newest", "hashed", "any"]


def report(way: Way) -> BacklogReport:
    report = way.backlog.report(way.now)
    assert report is not None
    return report


def test_a_burst_is_no_backlog() -> None:
    way = Way()
    way.run(30.0)
    assert way.backlog.report(way.now) is None
    way.others = 60.0
    way.run(1.0)
    way.others = 0.0
    for _ in range(100):
        way.run(0.1)
        assert way.backlog.report(way.now) is None


@pytest.mark.parametrize("loss", [0.0, 0.3])
@pytest.mark.parametrize("order", ORDERS)
def test_how_much_waits_is_known_about(order: str, loss: float) -> None:
    way = Way(order=order)
    way.loss = loss
    way.run(100.0)
    # With four loops per second, about seven more messages per second arrive than are pulled.
    way.others = 16.0
    way.run(120.0)
    told = report(way)
    assert told["pulled"] == pytest.approx(12.5, abs=0.1)
    assert told["lasted"] == pytest.approx(120.0, abs=30.0)
    assert told["messages"] is not None
    assert told["change"] is not None
    assert told["messages"] == pytest.approx(way.waiting, rel=0.4)
    assert told["change"] == pytest.approx(16.0 + 4.0 * (1 - loss) - 12.5, abs=3.0)


def test_what_comes_out_shows_how_late_it_is() -> None:
    way = Way()
    way.run(30.0)
    way.others = 16.0
    way.run(200.0)
    assert report(way)["seconds"] == pytest.approx(200 * (1 - 12.5 / 20), abs=15.0)


def test_a_backlog_that_shrinks_is_said_to() -> None:
    way = Way()
    way.run(30.0)
    way.others = 16.0
    way.run(200.0)
    way.others = 2.0
    way.run(200.0)  # by now, what came before the rate fell has been pulled
    told = report(way)
    assert told["change"] is not None
    assert told["change"] < -3.0
    way.run(300.0)
    assert way.backlog.report(way.now) is None


def test_what_waited_before_the_first_loop_is_of_unknown_length() -> None:
    way = Way()
    way._waiting = [(0.0, None)] * 1000
    way.run(LEAST_LASTING + 1)
    assert report(way)["messages"] is None
    assert "isn't known yet" in describe(report(way))


@pytest.mark.parametrize(
    ("change", "says"), [(7.5, "7.5 more each second"), (-3.0, "3 fewer each second")]
)
def test_it_is_said_in_a_sentence_with_advice(change: float, says: str) -> None:
    told = BacklogReport(lasted=60.0, pulled=12.5, messages=750, change=change, seconds=37.6)
    said = describe(told)
    assert "about 750 messages wait" in said
    assert says in said
    assert "were sent 38 s ago" in said
    assert "traffic.fetch_message_delay" in said


def test_each_address_has_a_backlog_of_its_own() -> None:
    backlog, now = Backlog(Loops(20.0), 0.4), 0.0
    for turn in range(120):
        now += 0.4
        own = (b"", b"r" * 32)[turn % 2]
        backlog.pulled(5, now, is_drained=not own, own=own)
    report = backlog.report(now)
    assert report is not None
    assert (report["messages"], report["pulled"]) == (None, 6.3)
    backlog.forsaken(b"r" * 32)
    assert backlog.report(now) is None
