"""What the client concludes from its loops: the loss, outages, and whether anything comes back.

The network and the provider are simulated (tests/simulation.py), with every order in which a
provider may hand messages over. So the true loss is known.
"""

import os
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nym.loops import DOUBT, LEAST, LONGEST_BACKLOG, MOST, NEAR, RECENT, STALE, Loops, Outlook
from tests.simulation import PATIENCE, ROUTE, USUALLY, Way, mix

ORDERS = ["kept", "newest", "hashed", "any"]


# ---- the loss


def test_too_few_loops_say_nothing() -> None:
    way = Way()
    way.run(USUALLY)
    assert way.outlook == Outlook(is_dead=False, loss=None)
    way.run(10.0)
    assert way.outlook == Outlook(is_dead=False, loss=0.0)


@pytest.mark.parametrize("loss", [0.02, 0.1, 0.3, 0.6])
def test_the_loss_is_that_of_the_last_loops(loss: float) -> None:
    way = Way()
    way.run(300.0)
    way.loss = loss
    way.run(RECENT / 4 + 60)
    assert way.outlook.loss == pytest.approx(loss, abs=0.06)


@pytest.mark.parametrize("order", ORDERS)
def test_what_waits_at_the_provider_is_neither_lost_nor_back(order: str) -> None:
    way = Way(order=order)
    way.loss = 0.1
    way.run(200.0)
    way.others = 40.0  # messages per second, far more than are pulled
    for _ in range(20):
        way.run(5.0)
        assert way.outlook.loss == pytest.approx(0.1, abs=0.06)
        assert not way.outlook.is_dead
    way.others = 0.0
    for _ in range(120):
        way.run(5.0)
        assert way.outlook.loss == pytest.approx(0.1, abs=0.06)
        assert not way.outlook.is_dead


def test_where_the_order_is_kept_the_loss_is_known_behind_a_backlog() -> None:
    way = Way()
    way.run(100.0)
    way.others = 20.0
    way.run(60.0)
    way.loss = 0.3
    way.run(STALE)
    assert way.loops.loss(way.now) == pytest.approx(0.3, abs=0.08)


@pytest.mark.parametrize("order", ["newest", "hashed", "any"])
def test_where_no_order_is_kept_not_to_know_has_a_bound(order: str) -> None:
    way = Way(order=order)
    way.others = 40.0
    way.run(DOUBT - 1)
    assert way.outlook.loss is None
    way.run(10.0)
    assert way.outlook == Outlook(is_dead=False, loss=1.0)
    assert way.loops.loss(way.now) is None, "a loss is reported as known, but nothing is known"


def test_a_loss_that_was_known_is_reckoned_with_for_a_while() -> None:
    way = Way(order="newest")
    way.run(60.0)
    way.others = 16.0
    way.run(STALE - 10)
    assert way.outlook.loss == 0.0
    way.run(30.0)
    assert way.outlook.loss == 1.0


@settings(max_examples=40)
@given(
    st.integers(0, 999),
    st.sampled_from(ORDERS),
    st.lists(st.tuples(st.sampled_from([0.0, 6.0, 8.5, 20.0]), st.floats(1.0, 60.0)), max_size=6),
)
def test_a_network_without_loss_never_seems_to_lose(
    seed: int, order: str, load: list[tuple[float, float]]
) -> None:
    way = Way(seed, order)
    way.run(20.0)
    for others, seconds in load:
        way.others = others
        for _ in range(int(seconds)):
            way.run(1.0)
            assert way.outlook == Outlook(is_dead=False, loss=0.0)


# ---- outages


def test_losses_of_an_outage_are_not_the_networks() -> None:
    way = Way()
    way.run(60.0)
    for _ in range(5):
        began = way.now
        way.is_cut = True
        way.loops.unserved(began)
        way._pull_at = way.now + 30.0
        way.run(30.0)
        way.is_cut = False
        for _ in range(60):
            way.run(1.0)
            assert way.outlook == Outlook(is_dead=False, loss=0.0)


def test_what_came_back_in_an_outage_does_not_count_either() -> None:
    loops = Loops(PATIENCE)
    for i in range(200):
        loops.sent(b"%d" % i, ROUTE, float(i))
        if i % 2 or i >= 100:
            loops.returned(b"%d" % i, float(i))
        loops.pulled(float(i), is_drained=True)
    loops.unserved(100.0)  # loops from then on are void: the second hundred, which all came back
    assert loops.loss(200.0) == pytest.approx(0.5, abs=0.04)


def test_a_new_key_of_the_provider_explains_what_did_not_come_back() -> None:
    way = Way()
    way.run(60.0)
    way.is_cut = True
    way.run(10.0)
    way.loops.moved(frozenset(), is_provider_new=True)
    way.is_cut = False
    for _ in range(60):
        way.run(1.0)
        assert way.outlook == Outlook(is_dead=False, loss=0.0)


def test_loops_through_a_node_that_is_gone_say_nothing() -> None:
    loops = Loops(PATIENCE)
    for i in range(100):
        loops.sent(b"%d" % i, [mix(b"gone" if i % 4 == 0 else b"a")], float(i))
        if i % 4:
            loops.returned(b"%d" % i, float(i))
        loops.pulled(float(i), is_drained=True)
    assert loops.loss(100.0) == pytest.approx(0.25, abs=0.02)
    loops.moved(frozenset([mix(b"gone")]), is_provider_new=False)
    assert loops.loss(100.0) == 0.0


# ---- a network from which nothing comes back


@pytest.mark.parametrize("loss", [0.0, 0.1, 0.5])
def test_a_dead_way_is_noticed_and_so_is_its_end(loss: float) -> None:
    way = Way()
    way.loss = loss
    way.run(200.0)
    for _ in range(3):
        way.is_cut = True
        way.run(PATIENCE)
        for _ in range(300):
            assert way.outlook.is_dead
            way.run(1.0)
        way.is_cut = False
        way.run(5.0)
        assert not way.outlook.is_dead


def test_what_is_lost_while_messages_wait_is_not_held_against_the_network() -> None:
    way = Way()
    way.run(200.0)
    way.is_cut = True
    way.run(600.0)
    way.is_cut = False
    way.run(20.0)
    assert way.outlook.loss is not None
    # Only the loops that left before the outage was noticed count. They must, because messages
    # left at the same time.
    assert 0 < way.outlook.loss < 4 * (PATIENCE + USUALLY) / RECENT


@pytest.mark.parametrize("order", ORDERS)
def test_behind_a_backlog_no_way_is_called_dead(order: str) -> None:
    way = Way(order=order)
    way._waiting = [(0.0, None)] * 5000  # messages that came while the client didn't run
    for _ in range(500):
        way.run(1.0)
        assert not way.outlook.is_dead


def test_a_lossy_network_is_not_dead() -> None:
    way = Way()
    way.loss = 0.5
    for _ in range(3600):
        way.run(1.0)
        assert not way.outlook.is_dead


# ---- whether a packet that left at a given moment was carried


def carried(way: Way, moments: Iterable[float]) -> list[bool | None]:
    return [way.loops.was_carried(at, way.now) for at in moments]


def test_what_left_is_known_to_be_carried_soon() -> None:
    way = Way()
    way.run(20.0)
    assert carried(way, [way.now]) == [None]
    way.run(4.0)
    assert carried(way, [way.now - 4.0, way.now - 10.0, 0.0]) == [True] * 3


def test_what_left_while_nothing_came_through_is_known_not_to_be_carried() -> None:
    way = Way()
    way.run(50.0)
    began = way.now
    way.is_cut = True
    way.run(PATIENCE)
    ended = way.now
    way.is_cut = False
    way.run(20.0)
    inside = [began + 0.01, began + 1.0, (began + ended) / 2, ended - 0.01]
    assert carried(way, inside) == [False] * 4
    assert carried(way, [began - 5.0, ended + 5.0]) == [True] * 2


@pytest.mark.parametrize("order", ORDERS)
def test_behind_a_backlog_not_to_know_whether_it_was_carried_has_a_bound(order: str) -> None:
    way = Way(order=order)
    way.others = 20.0
    way.run(DOUBT + 20)
    assert carried(way, [way.now - DOUBT - 1]) == [True]


def test_a_void_loop_is_no_evidence_unless_it_is_back() -> None:
    loops = Loops(PATIENCE)
    loops.unserved(0.0)
    for i in range(4 * NEAR):
        loops.sent(b"%d" % i, ROUTE, float(i))
    loops.pulled(100.0, is_drained=True)
    assert loops.was_carried(2.0 * NEAR, 100.0) is None
    loops.returned(b"%d" % (2 * NEAR + 1), 100.0)
    assert loops.was_carried(2.0 * NEAR, 100.0) is True


# ---- whether the provider loses nearly everything


@pytest.mark.parametrize("loss", [0.95, 1.0])
def test_a_loss_of_nearly_everything_is_noticed_and_so_is_its_end(loss: float) -> None:
    way = Way()
    way.run(200.0)
    assert not way.loops.loses(0.9, way.now)
    way.loss = loss
    way.run(RECENT)
    for _ in range(100):
        way.run(1.0)
        assert way.loops.loses(0.9, way.now)
    way.loss = 0.0
    way.run(RECENT)
    assert not way.loops.loses(0.9, way.now)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("others", [20.0, 40.0])
def test_a_backlog_is_no_loss(order: str, others: float) -> None:
    way = Way(order=order)
    way.run(60.0)
    way.others = others
    for _ in range(60):
        way.run(5.0)
        assert not way.loops.loses(0.9, way.now)


def test_a_backlog_without_any_loop_is_feigned_after_an_hour() -> None:
    loops = Loops(PATIENCE)
    for second in range(2 * int(LONGEST_BACKLOG)):
        loops.sent(b"%d" % second, ROUTE, float(second))
        loops.pulled(float(second), is_drained=False)
        assert loops.loses(0.9, float(second)) == (second > LONGEST_BACKLOG)


# ---- what is remembered


def fill(loops: Loops, names: Sequence[int], at: float) -> None:
    for name in names:
        loops.sent(b"%d" % name, ROUTE, at)


def test_only_loops_that_are_waited_for_return() -> None:
    loops = Loops(PATIENCE)
    loops.sent(b"loop", ROUTE, 0.0)
    assert loops.sent(b"loop", ROUTE, 0.0) is None
    assert not loops.returned(b"unknown", 1.0)
    assert loops.returned(b"loop", 1.0)
    assert not loops.returned(b"loop", 1.0)
    assert (loops.sent_count, loops.returned_count) == (2, 1)


def test_a_loop_that_is_late_is_lost_until_it_is_back() -> None:
    loops = Loops(PATIENCE)
    fill(loops, range(LEAST), 0.0)
    loops.pulled(USUALLY, is_drained=True)
    assert loops.loss(USUALLY) is None
    loops.pulled(USUALLY + 0.01, is_drained=True)
    assert loops.loss(USUALLY + 0.01) == 1.0
    for i in range(5, LEAST):
        loops.returned(b"%d" % i, USUALLY + 1)
    assert loops.loss(USUALLY + 1) == 5 / LEAST
    loops.returned(b"0", 2 * PATIENCE)
    assert loops.loss(2 * PATIENCE) == 4 / LEAST


def test_the_time_of_loops_is_the_median_of_those_that_came_back() -> None:
    loops = Loops(PATIENCE)
    for i in range(LEAST):
        assert loops.loop_time() is None
        loops.sent(b"%d" % i, ROUTE, 0.0)
        loops.returned(b"%d" % i, float(i))
    assert loops.loop_time() == LEAST // 2


@pytest.mark.parametrize("is_drained", [True, False])
def test_what_is_remembered_has_a_bound(is_drained: bool) -> None:
    loops = Loops(PATIENCE)
    for i in range(3 * MOST):
        loops.sent(b"%d" % i, ROUTE, i / 10)
        if is_drained:
            loops.pulled(i / 10, is_drained=True)
    assert len(loops._loops) <= MOST
    assert len(loops._out) <= MOST
    assert not loops.returned(b"0", 3 * MOST / 10)


REPLY = b"r" * 32  # a reply address


def two(loops: Loops, count: int, at: float) -> list[bytes]:
    """Loops to both addresses, one after the other; returns the names of those to the main one."""
    names = [os.urandom(8) for _ in range(count)]
    for name in names:
        loops.sent(name, ROUTE, at)
        loops.sent(name[::-1], ROUTE, at, own=REPLY)
    return names


def test_a_loop_is_due_when_its_own_address_was_pulled() -> None:
    loops = Loops(PATIENCE)
    two(loops, LEAST, 0.0)
    loops.pulled(PATIENCE, is_drained=True)
    assert loops.loss(PATIENCE) is None, "the others may still wait"
    loops.pulled(PATIENCE, is_drained=True, own=REPLY)
    assert loops.loss(PATIENCE) == 1.0


def test_whoever_fills_a_reply_address_changes_nothing_else() -> None:
    loops, now = Loops(PATIENCE), 0.0
    for _ in range(400):  # many times as long as what nobody knows counts as lost
        (name,) = two(loops, 1, now)
        now += 2.0
        loops.returned(name, now)
        loops.pulled(now, is_drained=True)
        loops.pulled(now, is_drained=False, own=REPLY)
    assert loops.outlook(now) == (False, 0.0)
    assert loops.loss(now) == 0.0
    # When it is over, they count again.
    for _ in range(LEAST):
        loops.pulled(now, is_drained=True, own=REPLY)
        (name,) = two(loops, 1, now)
        now += 2.0
        loops.returned(name, now)
        loops.pulled(now, is_drained=True)
    loops.pulled(now + PATIENCE, is_drained=True)
    loops.pulled(now + PATIENCE, is_drained=True, own=REPLY)
    assert loops.loss(now + PATIENCE)


def test_an_address_that_has_ended_holds_up_no_others() -> None:
    loops = Loops(PATIENCE)
    two(loops, LEAST, 0.0)
    loops.disregard(REPLY, 1.0)
    loops.pulled(PATIENCE, is_drained=True)
    assert loops.loss(PATIENCE) == 1.0
