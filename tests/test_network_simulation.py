"""The simulation of whole networks (benchmarks/network), beside what theory says of small ones."""

from dataclasses import replace
from itertools import pairwise
from math import e, log2
from random import Random
from statistics import fmean

import pytest

from benchmarks.network import simulation
from benchmarks.network.anonymity import OUT, Pool, Record, entropy, outside
from benchmarks.network.churn import changes
from benchmarks.network.comparison import compare
from benchmarks.network.scenario import Scenario, fitted
from benchmarks.network.simulation import Simulation
from benchmarks.network.stations import Station
from tests.harness import beside

pytestmark = pytest.mark.no_cover

QUICK = Scenario(100, hop_cost=1e-6, put_cost=1e-6, pull_cost=1e-6)


def test_a_station_is_an_m_d_1_queue() -> None:
    random, station, now = Random(1), Station(), 0.0
    service, busy = 0.001, 0.6
    waits = []
    for _ in range(100_000):
        now += random.expovariate(busy / service)
        waits.append(station.backlog(now))
        assert station.serve(now, service) == pytest.approx(now + waits[-1] + service)
    # Pollaczek and Khinchine, for a service that always takes as long.
    assert fmean(waits) == pytest.approx(busy * service / (2 * (1 - busy)), rel=0.05)


def test_queues_at_mixnodes_are_m_d_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulation, "LOOKS", 6000)
    scenario = replace(QUICK, clients=150, width=1, hop_cost=0.001)  # 600 packets per second
    result = Simulation(scenario, 1).run(60.0)
    assert result.mean_wait == pytest.approx(0.6 * 0.001 / (2 * 0.4), rel=0.1)
    # Little: as many are inside as come per second, times how long each stays.
    stay = scenario.delay + scenario.hop_cost + result.mean_wait
    assert fmean(result.held) == pytest.approx(600 * stay, rel=0.05)


@pytest.mark.parametrize("layers", [1, 3])
def test_latency_is_the_wait_for_a_turn_the_delays_and_the_pull(layers: int) -> None:
    # A client is an M/M/1 queue, whose server are its turns: half of them are taken here.
    scenario = replace(QUICK, clients=400, layers=layers, message_gap=1.0, link=0.02)
    result = Simulation(scenario, 1).run(20.0, warm_up=20.0)
    # The delays of a route are Erlang distributed, and the pull is anywhere in its period.
    random = Random(2)
    expected = [
        random.expovariate(2 - 1)
        + random.gammavariate(layers, scenario.delay)
        + random.uniform(0, scenario.fetch)
        + (layers + 2) * scenario.link
        for _ in range(100_000)
    ]
    expected.sort()
    assert result.lost_messages == 0
    assert 0 <= result.later <= 0.003 * result.written
    for share in (0.1, 0.5, 0.9, 0.99):
        assert result.latency(share) == pytest.approx(expected[int(share * 100_000)], rel=0.1)


LOSSY = replace(QUICK, width=20, up=2.0, down=0.5, notice=1e9, refresh=0.0)


def test_loss_under_churn_is_what_availability_leaves() -> None:
    result = Simulation(LOSSY, 1).run(60.0)
    there = LOSSY.up / (LOSSY.up + LOSSY.down)
    stays = LOSSY.up / (LOSSY.up + LOSSY.delay)  # an exponential delay ends before the node does
    # A first mixnode that is away refuses, and the client takes another one.
    assert result.lost_packets == pytest.approx(1 - stays**3 * there**2, rel=0.05)
    assert result.lost_messages == pytest.approx(result.lost_packets, rel=0.2)
    assert set(result.fates) == {"arrived", "away", "held by a node that went away"}


def test_reliable_messages_arrive_through_churn_and_take_longer() -> None:
    lost = Simulation(LOSSY, 1).run(10.0)
    sent_again = Simulation(replace(LOSSY, is_reliable=True), 1).run(10.0)
    assert lost.lost_messages > 0.2
    assert sent_again.lost_messages == 0
    assert sent_again.latency(0.99) > 10 > lost.latency(0.99)


def test_mixnodes_that_are_away_are_left_out_once_that_is_noticed() -> None:
    scenario = replace(LOSSY, up=200.0, down=100.0)
    noticed = Simulation(replace(scenario, notice=0.0), 1).run(10.0)
    unnoticed = Simulation(scenario, 1).run(10.0)
    assert unnoticed.lost_packets > 0.3
    assert noticed.lost_packets < 0.01


def test_a_full_mixnode_drops_packets() -> None:
    scenario = replace(QUICK, layers=1, width=1, most_held=20)
    result = Simulation(scenario, 1).run(10.0)
    # It has 20 places for 400 packets per second, each for 0.1 s: an M/M/20/20 queue (Erlang B).
    offered, blocked = 400 * 0.1, 1.0
    for places in range(1, 21):
        blocked = offered * blocked / (places + offered * blocked)
    assert result.lost_packets == pytest.approx(blocked, rel=0.05)


def test_away_and_there_take_turns() -> None:
    found = changes(50, 3.0, 1.0, 400.0, Random(1))
    assert found == sorted(found)
    away = 0.0
    for node in range(50):
        own = [change for change in found if change.node == node]
        assert all(one.is_there != other.is_there for one, other in pairwise(own))
        ends = [*(change.at for change in own[1:]), 400.0]
        away += sum(
            end - change.at for change, end in zip(own, ends, strict=True) if not change.is_there
        )
    assert away / (50 * 400) == pytest.approx(0.25, rel=0.1)
    assert changes(50, 0.0, 1.0, 400.0, Random(1)) == []


def test_the_same_seed_gives_the_same_result() -> None:
    one, again, other = (Simulation(LOSSY, seed).run(2.0, targets=3) for seed in (1, 1, 2))
    assert one == again
    assert one.latencies != other.latencies
    assert len(one.entropies) == 3


def test_a_network_is_made_large_enough() -> None:
    scenario = fitted(Scenario(5_000), busy=0.5)
    result = Simulation(scenario, 1).run(0.5)
    load = scenario.packets * scenario.hop_cost / scenario.width
    assert 0.4 < load <= 0.5
    assert result.queue("provider", 0.99) < 20
    assert result.lost_packets == 0


# The share of the time in which a process that runs a network may wait for a processor.
BUSY = 0.2


def test_a_network_that_runs_is_as_fast_and_loses_as_much() -> None:
    latency, slow, calm, lost = beside(compare, 1, 30.0)
    # Four times what chance does with so few messages and packets. A longer run, such as
    # `python -m benchmarks network --real --seconds 600`, shows how close they are.
    assert calm.number > 100
    assert lost.number > 500
    if max(latency.waited, lost.waited) > BUSY:
        pytest.skip("the machine is too busy: the network that ran was held up by other programs")
    assert (calm.real, calm.simulated) == (0, 0)
    assert abs(latency.deviation) < 0.3
    assert abs(slow.deviation) < 0.4
    assert 0.2 < lost.real < 0.6
    assert abs(lost.deviation) < 0.5  # on a busy machine, nodes come back late


# Anonymity


def test_packets_that_are_equally_likely_give_the_logarithm_of_their_number() -> None:
    record = Record([0])
    for client in range(8):
        record.moved(client, outside(client), 0)
    record.moved(5, 0, OUT)
    record.moved(2, 0, OUT)
    for at in record.last_out(2, [0]):
        senders = record.senders(at)
        assert senders == pytest.approx(dict.fromkeys(range(8), 1 / 8))
        assert entropy(senders.values()) == pytest.approx(log2(8))
    # A mixnode that is dishonest tells all.
    assert record.senders(9, frozenset([0])) == {2: 1.0}


def test_who_came_after_others_left_is_likelier() -> None:
    # The paper's theorem: 4 came, 3 of them left, 1 came: k = 1, n = 4, l = 1.
    record = Record([0])
    for client in range(4):
        record.moved(client, outside(client), 0)
    for packet in range(3):
        record.moved(packet, 0, OUT)
    record.moved(4, outside(4), 0)
    record.moved(3, 0, OUT)
    assert record.senders(8) == pytest.approx({**dict.fromkeys(range(4), 1 / 8), 4: 1 / 2})


def test_a_packet_that_passes_two_mixnodes_mixes_in_both() -> None:
    record = Record([0, 0])
    record.moved(0, outside(0), 0)
    record.moved(1, outside(1), 0)
    record.moved(2, outside(2), 1)
    record.moved(0, 0, 1)
    record.moved(2, 1, OUT)
    assert record.senders(4) == pytest.approx({0: 1 / 4, 1: 1 / 4, 2: 1 / 2})
    assert record.senders(4, frozenset([0])) == pytest.approx({0: 1 / 2, 2: 1 / 2})


@pytest.mark.parametrize("inside", [5, 50, 500])
def test_one_mixnode_is_as_anonymous_as_the_theory_of_its_delays(inside: int) -> None:
    # Danezis, "The traffic analysis of continuous-time mixes" (2004): log2(e lambda / mu).
    random, pool = Random(1), Pool()
    found = []
    count = inside
    for _ in range(count):
        pool.enter()
    for step in range(40 * inside + 2000):
        if random.random() < inside / (inside + count):
            pool.enter()
            count += 1
        else:
            entropy_now = pool.leave()
            count -= 1
            if step > 20 * inside:
                found.append(entropy_now)
    assert fmean(found) == pytest.approx(log2(e * inside), abs=0.1)


def test_a_network_of_one_mixnode_is_as_anonymous_as_its_pool() -> None:
    random, pool, record = Random(1), Pool(), Record([0])
    count, packets = 0, 0
    latest = 0.0
    for _ in range(5000):
        if count == 0 or random.random() < 20 / (20 + count):
            pool.enter()
            record.moved(packets, outside(packets), 0)
            packets += 1
            count += 1
        else:
            latest = pool.leave()
            record.moved(0, 0, OUT)
            count -= 1
    (at,) = record.last_out(1, [0])
    assert entropy(record.senders(at).values()) == pytest.approx(latest, abs=0.01)


def test_dishonest_routes_are_as_frequent_as_chance_has_it() -> None:
    scenario = replace(QUICK, width=4, dishonest=2)
    result = Simulation(scenario, 1).run(20.0, targets=40)
    assert result.dishonest_routes / result.routes == pytest.approx(0.5**3, rel=0.1)
    known = sum(found == 0 for found in result.entropies) / len(result.entropies)
    assert known == pytest.approx(0.5**3, abs=0.15)
    honest = Simulation(replace(scenario, dishonest=0), 1).run(1.0, targets=10)
    assert result.anonymity < honest.anonymity < log2(100)
