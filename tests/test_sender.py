"""The sender reports one outcome per packet, whatever is raised while it is handed over."""

import socket
import time
from collections.abc import Callable, Iterator
from random import Random

import gevent
import pytest
from gevent.lock import Semaphore

from nym.client import sender as sender_module
from nym.client.packets import Draft
from nym.client.sender import Outcome, Sender
from nym.health import Health
from nym.identity import generate_identity
from nym.net.bare import BareSocket
from nym.sphinx import Final, Hop, Request, create_packets, process_packet
from nym.topology import Mix
from nym.wire.addresses import NodeAddress
from tests.harness import (
    OTHER,
    OWN,
    PATIENCE,
    free_port,
    onlookers,
    serving,
    wait_until,
    wait_until_handed_over,
    without_descriptors,
)
from tests.simulation import ROUTE


@pytest.fixture
def sender() -> Iterator[Sender]:
    sender = Sender(Health(20.0), onlookers())
    yield sender
    sender.stop()


@pytest.fixture
def node() -> Iterator[NodeAddress]:
    def take(connection: socket.socket) -> None:
        connection.recv(4096)

    with serving(take) as address:
        yield address


def drafted(address: NodeAddress, message: bytes = b"") -> Callable[[], Draft]:
    request = Request(message, [Hop(bytes(32), OWN, 0)], OTHER)
    return lambda: Draft(request, (Mix(address, b"a" * 32), *ROUTE[1:]))


def send(sender: Sender, address: NodeAddress) -> list[Outcome]:
    """Send a packet; return a list that gets its outcomes, later."""
    outcomes: list[Outcome] = []
    sender.send(0.0, drafted(address), outcomes.append, "drop")
    return outcomes


def settled(outcomes: list[Outcome]) -> Outcome:
    """Wait for the outcome, which must be the only one."""
    wait_until(lambda: outcomes, "an outcome")
    # Time for a second outcome to follow, which would be the error.
    gevent.sleep(0.01)
    (outcome,) = outcomes
    return outcome


def test_a_packet_is_taken_or_refused(sender: Sender, node: NodeAddress) -> None:
    assert settled(send(sender, node)) is Outcome.TAKEN
    nobody = NodeAddress("127.0.0.1", free_port())
    assert settled(send(sender, nobody)) is Outcome.REFUSED


def test_a_packet_leaves_at_its_moment_however_long_others_wait(
    sender: Sender, node: NodeAddress
) -> None:
    later: list[Outcome] = []
    sender.send(time.monotonic() + 3600, drafted(node), later.append, "drop")
    moment, sooner = time.monotonic() + 0.05, list[Outcome]()
    sender.send(moment, drafted(node), sooner.append, "drop")
    assert settled(sooner) is Outcome.TAKEN
    assert time.monotonic() >= moment
    assert later == []
    for greenlet in list(sender._crew._members.greenlets):
        greenlet.kill()
    assert later == [Outcome.REFUSED]


def test_what_is_drafted_together_is_made_together_and_each_leaves_at_its_own_moment(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []

    def create(requests: list[Request]) -> list[bytes]:
        batches.append(len(requests))
        return create_packets(requests)

    monkeypatch.setattr(sender_module, "create_packets", create)
    node = generate_identity()
    hop, arrivals = Hop(bytes(32), node.public_key, 0), list[tuple[float, bytes]]()

    def take(connection: socket.socket) -> None:
        arrivals.append((time.monotonic(), connection.recv(4096)))

    with serving(take) as address:
        mixnode, began = Mix(address, node.public_key), time.monotonic()
        moments = {b"%02d" % number: began + 0.05 * (20 - number) for number in range(20)}
        for message, moment in moments.items():
            draft = Draft(Request(message, [hop], OTHER), (mixnode,))
            sender.send(moment, lambda draft=draft: draft, lambda outcome: None, "drop")  # type: ignore[misc]
        wait_until(lambda: len(arrivals) == 20)
    assert batches == [8, 8, 4]
    found = []
    for arrival, packet in arrivals:
        final = process_packet(packet, node.private_key)
        assert isinstance(final, Final)
        assert arrival >= moments[final.message()]
        found.append(final.message())
    assert found == sorted(moments, reverse=True)


def test_one_that_cannot_be_made_is_refused_alone(sender: Sender, node: NodeAddress) -> None:
    outcomes: list[list[Outcome]] = [[] for _ in range(3)]
    for number, one in enumerate(outcomes):
        message = bytes(100_000 if number == 0 else 10)
        sender.send(0.0, drafted(node, message), one.append, "drop")
    assert [settled(one) for one in outcomes] == [Outcome.REFUSED, Outcome.TAKEN, Outcome.TAKEN]


def test_packets_that_take_long_to_draft_can_leave_at_the_same_time(sender: Sender) -> None:
    """Otherwise, whoever watches the line would see that no gap is shorter than that."""
    arrivals: list[float] = []

    def draft() -> Draft:
        work = time.monotonic() + 0.01
        while time.monotonic() < work:
            pass
        return drafted(address)()

    with serving(lambda connection: arrivals.append(time.monotonic())) as address:
        gaps = []
        for _ in range(20):
            moment = time.monotonic() + 0.05
            for later in (0.0002, 0.0):
                sender.send(moment + later, draft, lambda outcome: None, "drop")
            wait_until(lambda: len(arrivals) == 2)
            gaps.append(arrivals[1] - arrivals[0])
            arrivals.clear()
    # A machine that is busy has longer ones, too, but not each time.
    assert min(gaps) < 0.005


def test_without_descriptors_for_its_moment_it_is_refused_and_nobody_is_blamed(
    sender: Sender, node: NodeAddress
) -> None:
    outcomes: list[Outcome] = []
    with without_descriptors():
        sender.send(time.monotonic() + 0.01, drafted(node), outcomes.append, "drop")
        assert settled(outcomes) is Outcome.REFUSED
    assert sender._health.refused_since is None


RAISED = [MemoryError, RuntimeError, OSError, gevent.GreenletExit, gevent.Timeout, KeyError]


@pytest.mark.parametrize("error", RAISED)
def test_what_is_raised_while_it_is_drafted_refuses_it(
    sender: Sender, error: type[BaseException]
) -> None:
    outcomes: list[Outcome] = []

    def fail() -> Draft:
        raise error

    with pytest.raises(error):
        sender.send(0.0, fail, outcomes.append, "drop")
    assert outcomes == [Outcome.REFUSED]


@pytest.mark.parametrize("error", RAISED)
def test_what_is_raised_while_it_is_handed_over_refuses_it(
    sender: Sender, node: NodeAddress, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(BareSocket, "connect_within", fail)
    assert settled(send(sender, node)) is Outcome.REFUSED


@pytest.mark.parametrize("error", RAISED)
def test_what_is_raised_after_it_was_taken_does_not_refuse_it(
    sender: Sender, node: NodeAddress, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(sender._health, "accepted", fail)
    assert settled(send(sender, node)) is Outcome.TAKEN


def test_where_no_greenlet_can_be_started_it_is_refused(
    sender: Sender, node: NodeAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(sender._crew._members, "start", fail)
    outcomes: list[Outcome] = []
    with pytest.raises(MemoryError):
        sender.send(0.0, drafted(node), outcomes.append, "drop")
    assert outcomes == [Outcome.REFUSED]


def test_a_greenlet_that_is_killed_before_it_begins_refuses_it(
    sender: Sender, node: NodeAddress
) -> None:
    outcomes = send(sender, node)
    for greenlet in list(sender._crew._members.greenlets):
        greenlet.kill(block=False)
    assert settled(outcomes) is Outcome.REFUSED


def test_who_waits_for_room_and_is_killed_has_its_packet_refused(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(*_: object) -> None:
        gevent.sleep(3600)

    monkeypatch.setattr(sender_module, "send_packet", hang)
    nowhere = NodeAddress("127.0.0.1", 9)
    under_way = [send(sender, nowhere) for _ in range(sender_module.MOST_AT_ONCE)]
    outcomes: list[Outcome] = []
    waiting = gevent.spawn(sender.send, 0.0, drafted(nowhere), outcomes.append, "drop")
    # Once it has begun, it waits for room in the pool, which is full.
    wait_until(lambda: waiting.gr_frame is not None, "the beginning of the greenlet")
    assert outcomes == []
    waiting.kill()
    assert outcomes == [Outcome.REFUSED]
    monkeypatch.setattr(sender_module, "LONGEST_END", 0.01)
    sender.stop()
    assert under_way == [[Outcome.REFUSED]] * sender_module.MOST_AT_ONCE


def test_who_waits_for_room_has_it_when_the_next_packet_is_handed_over(
    sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go = Semaphore(0)
    monkeypatch.setattr(sender_module, "send_packet", lambda *_: may_go.acquire())
    nowhere = NodeAddress("127.0.0.1", 9)
    sent = [send(sender, nowhere) for _ in range(sender_module.MOST_AT_ONCE)]
    waiting = gevent.spawn(send, sender, nowhere)
    wait_until(lambda: waiting.gr_frame is not None, "the beginning of the greenlet")
    may_go.release()
    wait_until(waiting.ready, "room for the last packet")
    for _ in sent:
        may_go.release()
    wait_until_handed_over(sender)
    assert [*sent, waiting.value] == [[Outcome.TAKEN]] * (len(sent) + 1)


def test_greenlets_are_used_again_and_few_of_them_stay(sender: Sender, node: NodeAddress) -> None:
    crew = sender._crew
    for _ in range(10):
        assert settled(send(sender, node)) is Outcome.TAKEN
        assert len(crew._members) == len(crew._idle) == 1
    # More than there is room for: those that wait for it get it.
    sent = [send(sender, node) for _ in range(2 * sender_module.MOST_AT_ONCE)]
    wait_until_handed_over(sender)
    assert sent == [[Outcome.TAKEN]] * len(sent)
    wait_until(lambda: len(crew._members) == len(crew._idle) == sender_module.MOST_IDLE)


def test_a_greenlet_that_is_killed_without_a_packet_refuses_at_most_the_next(
    sender: Sender, node: NodeAddress
) -> None:
    assert settled(send(sender, node)) is Outcome.TAKEN
    (idle,) = sender._crew._idle
    idle.kill(block=False)
    assert settled(send(sender, node)) is Outcome.REFUSED
    assert settled(send(sender, node)) is Outcome.TAKEN
    (idle,) = sender._crew._idle
    idle.kill()
    assert settled(send(sender, node)) is Outcome.TAKEN


def test_where_none_can_go_on_the_packet_is_refused(
    sender: Sender, node: NodeAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    assert settled(send(sender, node)) is Outcome.TAKEN
    outcomes: list[Outcome] = []
    with monkeypatch.context() as patch:
        patch.setattr("nym.net.crew.gevent.get_hub", fail)
        with pytest.raises(MemoryError):
            sender.send(0.0, drafted(node), outcomes.append, "drop")
    assert outcomes == [Outcome.REFUSED]
    assert settled(send(sender, node)) is Outcome.TAKEN
    assert len(sender._crew._members) == 1


def test_the_end_waits_for_no_greenlet_without_a_packet(
    node: NodeAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = Sender(Health(20.0), onlookers())
    assert settled(send(sender, node)) is Outcome.TAKEN
    under_way: list[Outcome] = []
    sender.send(time.monotonic() + 0.1, drafted(node), under_way.append, "drop")
    assert settled(send(sender, node)) is Outcome.TAKEN
    monkeypatch.setattr(sender_module, "LONGEST_END", 2 * PATIENCE)
    with gevent.Timeout(PATIENCE):
        sender.stop()
    assert under_way == [Outcome.TAKEN]


def test_callbacks_that_raise_lose_nobody_elses_outcome(sender: Sender, node: NodeAddress) -> None:
    def fail(outcome: Outcome) -> None:
        told.append(outcome)
        raise MemoryError

    told: list[Outcome] = []
    for _ in range(5):
        sender.send(0.0, drafted(node), fail, "drop")
    outcomes = send(sender, node)
    assert settled(outcomes) is Outcome.TAKEN
    wait_until(lambda: len(told) == 5)
    gevent.sleep(0.01)  # time for a second outcome of one of them, which would be the error
    assert told == [Outcome.TAKEN] * 5


def test_greenlets_killed_at_random_settle_everything_once(
    sender: Sender, node: NodeAddress
) -> None:
    random = Random(1)
    sent = []
    for _ in range(300):
        sent.append(send(sender, node))
        if random.random() < 0.3:
            gevent.sleep(random.random() * 0.003)
        for greenlet in list(sender._crew._members.greenlets):
            if random.random() < 0.2:
                greenlet.kill(block=False)
    outcomes = {settled(outcomes) for outcomes in sent}
    assert outcomes == {Outcome.TAKEN, Outcome.REFUSED}
