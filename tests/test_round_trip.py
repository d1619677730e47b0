"""Reliable messages wait as long as their recipient's answers take.

First comes the measurement alone, then what it does to one message, then both ends over a simulated
network whose answers are slow, and last what a hostile recipient can do with it.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nym.client.delivery import Piece, Way
from nym.client.reliable import LONGEST_WAIT, MISSED, RARE, WINDOW, misses_by_loss
from nym.client.round_trip import LONGEST_ANSWER, RoundTrip
from nym.envelope import Acknowledgement, Fragment, Run
from nym.store.journal import Journal
from nym.store.outbox import Manner
from tests.test_deliveries import BOB, CAROL, Setup
from tests.test_delivery import FIRST_WAIT, Network, Sending

LEAST = 1.0
LATER = 1e6  # leaves long after everything that was answered


def measured(*samples: float) -> RoundTrip:
    """A round trip of which there were these samples, one after another."""
    round_trip = RoundTrip()
    now = 0.0
    for sample in samples:
        round_trip.answered(now, now + sample)
        round_trip.heard(now + sample)
        now += sample
    return round_trip


# The measurement.


def test_the_wait_is_twice_the_first_sample_and_comes_close_to_equal_ones() -> None:
    assert measured().wait(LATER, LEAST) == LEAST
    assert measured(8.0).wait(LATER, LEAST) == 16.0
    assert measured(*[8.0] * 30).wait(LATER, LEAST) == pytest.approx(8.0, abs=0.1)
    assert measured(0.1).wait(LATER, LEAST) == LEAST


def test_the_wait_is_enough_for_answers_that_take_longer_and_comes_down_again() -> None:
    assert measured(*[8.0] * 30, 80.0).wait(LATER, LEAST) > 80.0
    assert measured(*[80.0] * 10, *[8.0] * 30).wait(LATER, LEAST) < 25.0


def test_an_acknowledgement_of_a_whole_window_is_one_sample_and_the_longest_one() -> None:
    round_trip = RoundTrip()
    for number in range(WINDOW):
        round_trip.answered(number / 2, 40.0)
    round_trip.heard(40.0)
    assert round_trip.wait(LATER, LEAST) == measured(40.0).wait(LATER, LEAST)


def test_what_left_before_something_that_was_answered_says_nothing() -> None:
    round_trip = RoundTrip()
    round_trip.answered(5.0, 9.0)
    round_trip.heard(9.0)
    round_trip.answered(4.0, 90.0)
    round_trip.heard(90.0)
    round_trip.missed(4.5, 90.0, 8.0, LONGEST_ANSWER, enough=1)
    assert round_trip.wait(LATER, LEAST) == 8.0


def test_what_left_long_before_something_that_was_answered_is_not_waited_for() -> None:
    round_trip = measured(*[80.0] * 5)  # the last one left at 320
    assert round_trip.wait(320.0 - LEAST, LEAST) > 80.0
    assert round_trip.wait(319.9 - LEAST, LEAST) == LEAST


def test_what_is_missed_doubles_the_wait_once_until_there_is_a_sample() -> None:
    round_trip = RoundTrip()
    for number in range(WINDOW):
        round_trip.missed(number / 100, 10.0, 10.0, 50.0, enough=1)
    assert round_trip.wait(LATER, LEAST) == 20.0
    round_trip.missed(10.0, 30.0, 20.0, 50.0, enough=2)
    assert round_trip.wait(LATER, LEAST) == 20.0
    round_trip.missed(10.0, 30.0, 20.0, 50.0, enough=2)
    assert round_trip.wait(LATER, LEAST) == 40.0
    round_trip.missed(30.0, 70.0, 40.0, 50.0, enough=1)
    assert round_trip.wait(LATER, LEAST) == 50.0
    round_trip.heard(71.0)  # nothing that left only once
    assert round_trip.wait(LATER, LEAST) == 50.0
    round_trip.answered(70.0, 72.0)
    round_trip.heard(72.0)
    assert round_trip.wait(LATER, LEAST) == 4.0


def test_after_a_long_silence_all_is_forgotten_and_what_left_in_it_is_no_sample() -> None:
    round_trip = measured(*[80.0] * 5)
    round_trip.missed(400.0, 480.0, 80.0, LONGEST_ANSWER, enough=1)
    round_trip.missed(480.0, 800.0, 160.0, LONGEST_ANSWER, enough=1)
    end = 401.0 + LONGEST_ANSWER
    round_trip.answered(end - 50.0, end)
    round_trip.heard(end)
    assert round_trip.wait(LATER, LEAST) == LEAST
    round_trip.answered(end - 40.0, end + 1.0)
    round_trip.missed(end - 40.0, end + 1.0, 10.0, LONGEST_ANSWER, enough=1)
    round_trip.heard(end + 1.0)
    assert round_trip.wait(LATER, LEAST) == LEAST


def test_after_a_pause_what_was_missed_before_counts_no_more() -> None:
    round_trip = RoundTrip()
    round_trip.missed(40.0, 50.0, 10.0, LONGEST_ANSWER, enough=2)
    round_trip.forget(60.0)
    round_trip.missed(60.0, 70.0, 10.0, LONGEST_ANSWER, enough=2)
    assert round_trip.wait(LATER, LEAST) == LEAST
    # Nor is it the begin of a silence.
    end = 50.0 + LONGEST_ANSWER
    round_trip.answered(end - 5.0, end)
    round_trip.heard(end)
    assert round_trip.wait(LATER, LEAST) == 10.0


def test_a_sample_ends_what_was_missed_before() -> None:
    round_trip = RoundTrip()
    round_trip.missed(0.0, 5.0, 5.0, LONGEST_ANSWER, enough=2)
    round_trip.answered(1.0, 6.0)
    round_trip.heard(6.0)
    round_trip.missed(2.0, 12.0, 10.0, LONGEST_ANSWER, enough=2)
    assert round_trip.wait(LATER, LEAST) == 10.0


ages = st.floats(0, 2000)
operations = st.one_of(
    st.tuples(st.sampled_from(["answered", "heard", "forget"]), ages, st.just(1)),
    st.tuples(st.just("missed"), ages, st.integers(1, MISSED)),
)


@given(st.lists(st.tuples(st.floats(0, 500), operations), max_size=60), ages, st.floats(1, 20))
def test_the_wait_has_bounds_whatever_happens(
    steps: list[tuple[float, tuple[str, float, int]]], age: float, least: float
) -> None:
    round_trip, now = RoundTrip(), 0.0
    for seconds, (name, ago, enough) in steps:
        now += seconds
        match name:
            case "answered":
                round_trip.answered(now - ago, now)
            case "missed":
                wait = round_trip.wait(now - ago, least)
                round_trip.missed(now - ago, now, wait, LONGEST_ANSWER, enough)
            case "heard":
                round_trip.heard(now)
            case _:
                round_trip.forget(now - ago)
        assert least <= round_trip.wait(now - age, least) <= LONGEST_ANSWER
    round_trip.forget(now + 1)
    assert round_trip.wait(now + 1, least) == least


# One message.


def wait_after(sending: Sending) -> float:
    """How long the next fragment that leaves would be waited for."""
    return sending.recipient.round_trip.wait(LATER, FIRST_WAIT)


def test_the_wait_follows_from_what_left_once() -> None:
    sending = Sending(WINDOW)
    sending.send(0.0)
    acknowledge(sending, 0, 0, FIRST_WAIT - 1)
    assert wait_after(sending) == 2 * (FIRST_WAIT - 1)
    assert sending.send(2 * (FIRST_WAIT - 1) - 0.1) == []
    assert sending.send(2 * (FIRST_WAIT - 1))


def acknowledge(sending: Sending, first: int, last: int, now: float) -> None:
    """Let the recipient acknowledge this, as deliveries note it."""
    if sending.acknowledge(first, last, now) is not None:
        sending.recipient.hear(now)


def test_what_left_twice_or_is_about_to_says_nothing() -> None:
    sending = Sending(3)
    assert sending.send(0.0) == [0, 1, 2]
    assert sending.delivery.next(FIRST_WAIT) == 0
    acknowledge(sending, 0, 0, FIRST_WAIT)
    assert wait_after(sending) == FIRST_WAIT
    assert sending.send(FIRST_WAIT) == [1, 2]
    acknowledge(sending, 1, 1, FIRST_WAIT + 5)
    assert wait_after(sending) == FIRST_WAIT


def test_what_is_missed_has_the_others_wait_longer() -> None:
    sending = Sending(3)
    for index in range(3):
        assert sending.delivery.next(float(index)) == index
        sending.delivery.taken(index, float(index))
    assert sending.send(FIRST_WAIT) == [0]
    assert sending.send(2 * FIRST_WAIT + 0.9) == []
    assert sending.send(2 * FIRST_WAIT + 1) == [1]


def test_what_left_in_a_later_round_says_nothing() -> None:
    sending = Sending(3)
    sending.send(0.0)
    acknowledge(sending, 0, 1, 1.0)
    acknowledge(sending, 2, 2, 1.0)
    assert sending.send(1.0 + FIRST_WAIT) == [0, 1, 2]
    acknowledge(sending, 0, 0, 10.0 + FIRST_WAIT)
    assert wait_after(sending) == FIRST_WAIT


def test_a_pause_before_a_round_is_as_long_as_answers_take() -> None:
    sending = Sending(3)
    sending.recipient.round_trip = measured(*[50.0] * 40)
    sending.send(2000.0)
    acknowledge(sending, 0, 1, 2050.0)
    acknowledge(sending, 2, 2, 2050.0)
    assert sending.send(2050.0 + 49.0) == []
    assert sending.send(2050.0 + 52.0) == [0, 1, 2]


def test_time_in_which_this_client_stood_still_is_not_the_recipients() -> None:
    sending = Sending(3)
    sending.send(0.0)
    acknowledge(sending, 0, 0, 1000.0)  # a pull brings it before anything could leave again
    assert wait_after(sending) == 2 * FIRST_WAIT


def test_time_in_which_no_answer_could_arrive_holds_up_nothing_afterwards() -> None:
    sending = Sending(WINDOW + 1)
    sending.recipient.round_trip = measured(*[80.0] * 5)
    sending.send(400.0)
    for now in range(400, 1000, 10):
        sending.send(float(now))
    sending.delivery.way = Way(0.0, open_since=1000.0)
    assert len(sending.send(1000.0 + 8 * FIRST_WAIT)) == WINDOW
    assert wait_after(sending) == FIRST_WAIT
    acknowledge(sending, 0, 0, 1085.0)
    assert sending.send(1085.0) == [WINDOW]
    acknowledge(sending, WINDOW, WINDOW, 1093.0)
    assert wait_after(sending) == 16.0
    # A message that begins now doesn't forget what was measured since.
    again = sending.started(b"")
    again.way = sending.delivery.way
    again.next(1100.0)
    assert wait_after(sending) == 16.0


@pytest.mark.parametrize("silence", [300.0, 3000.0, 86_400.0])
def test_a_recipient_that_was_away_holds_up_nothing_when_it_is_back(silence: float) -> None:
    sending = Sending(2 * WINDOW)
    now = 0.0
    while now < silence:
        sending.send(now)
        now += 5.0
    assert wait_after(sending) <= LONGEST_WAIT
    sending.send(silence)
    acknowledge(sending, 0, 0, silence + LONGEST_WAIT)
    assert sending.send(silence + LONGEST_WAIT) == [*range(1, WINDOW), WINDOW]
    acknowledge(sending, WINDOW, WINDOW, silence + LONGEST_WAIT + 5.0)
    assert wait_after(sending) == FIRST_WAIT


def test_an_acknowledgement_of_several_messages_is_one_sample(journal: Journal) -> None:
    setup = Setup(journal)
    names = []
    for _ in range(3):
        names.append(bytes.fromhex(setup.accept(Manner.RELIABLE)))
        assert setup.send() == 1
        setup.now += 2.0
    setup.now += 3.0
    setup.accept(Manner.RELIABLE)
    assert setup.send() == 1
    runs = tuple(Run(name, 0, 0) for name in names)
    setup.acknowledged(Acknowledgement(runs, BOB))  # 9, 7 and 5 s
    setup.now += 17.9
    assert setup.send() == 0
    setup.now += 0.1
    assert setup.send() == 1


@pytest.mark.parametrize(("fragments", "times"), [(MISSED - 1, 1), (MISSED, 2)])
def test_while_the_recipient_is_heard_many_that_left_once_have_to_be_missed(
    fragments: int, times: int
) -> None:
    sending = Sending(fragments)
    for now in (0.0, FIRST_WAIT, 3 * FIRST_WAIT):
        sending.recipient.hear(now - 1)
        assert len(sending.send(now)) == fragments
        sending.recipient.hear(now + 1)
    assert wait_after(sending) == times * FIRST_WAIT


def test_what_left_while_the_recipient_was_away_is_not_missed_when_it_is_back() -> None:
    sending = Sending(MISSED)
    sending.recipient.hear(0.0)
    sending.send(1.0)
    back = LONGEST_WAIT + 1
    sending.recipient.hear(back)
    assert len(sending.send(back)) == MISSED
    assert wait_after(sending) == FIRST_WAIT


# Both ends, and a network between them.


class Unmeasured(RoundTrip):
    """The settings decide alone, as in clients that don't measure."""

    def wait(self, left: float, least: float) -> float:
        return least


class SlowNetwork(Network):
    """A network in which each packet to Bob takes `delay(now)` more seconds than others."""

    def __init__(
        self,
        journal: Journal,
        fragments: int,
        delay: Callable[[float], float],
        round_trip: RoundTrip | None = None,
        loss: float = 0.0,
    ) -> None:
        sending = Sending(fragments)
        sending.recipient.round_trip = round_trip or RoundTrip()
        self._delay = delay
        super().__init__(sending, journal, loss)

    def _receive(self, piece: Fragment | bytes) -> None:
        arrive = super()._receive
        self._after(self._delay(self.now), lambda: arrive(piece))

    @property
    def wait(self) -> float:
        return wait_after(self.sending)


class Backlog:
    """Messages for Bob that wait at his provider, of which `pulled` come out per second, in order.

    Others send `others` per second.
    """

    def __init__(self, waiting: int, pulled: float, others: float) -> None:
        self.waiting = self.most = float(waiting)
        self._pulled, self._others = pulled, others
        self._at = 0.0

    def delay(self, now: float) -> float:
        """Let a packet of Alice come in; return the seconds until it comes out."""
        grown = (self._others - self._pulled) * (now - self._at)
        self.waiting, self._at = max(0.0, self.waiting + grown) + 1, now
        self.most = max(self.most, self.waiting)
        return self.waiting / self._pulled


@pytest.mark.parametrize(("times", "most"), [(4, 1.1), (10, 1.2), (60, 1.8)])
def test_where_answers_take_many_times_as_long_nearly_all_fragments_leave_once(
    times: int, most: float, journal: Journal
) -> None:
    network = SlowNetwork(journal, 1000, lambda now: times * FIRST_WAIT)
    network.run()
    assert network.sent < most * 1000
    # All of that is before the first sample.
    assert times * FIRST_WAIT < network.wait < 2 * times * FIRST_WAIT


def test_without_measuring_every_fragment_leaves_several_times(journal: Journal) -> None:
    network = SlowNetwork(journal, 1000, lambda now: 10 * FIRST_WAIT, Unmeasured())
    network.run()
    assert network.sent > 3.5 * 1000


def test_when_answers_become_quick_again_the_wait_comes_down(journal: Journal) -> None:
    network = SlowNetwork(
        journal, 2000, lambda now: 10 * FIRST_WAIT if network.now < 1000.0 else 0.0
    )
    network.run(until=lambda: network.now > 1000.0)
    assert network.wait > 10 * FIRST_WAIT
    network.run(until=lambda: network.now > 1300.0)
    assert network.wait < 2 * FIRST_WAIT


def test_a_recipient_with_a_backlog_gets_more_of_a_message_and_less_of_a_flood(
    journal: Journal, tmp_path: Path
) -> None:
    shorter = Backlog(800, 4.0, 3.0)
    network = SlowNetwork(journal, 1000, shorter.delay)
    network.run()
    folder = tmp_path / "unmeasured"
    folder.mkdir()
    with closing(Journal(folder, bytes(32))) as other:
        longer = Backlog(800, 4.0, 3.0)
        unmeasured = SlowNetwork(other, 1000, longer.delay, Unmeasured())
        unmeasured.run()
    assert network.sent < 1.25 * 1000
    assert unmeasured.sent > 4 * 1000
    assert network.now < unmeasured.now / 2
    assert shorter.most < 1000 < 1500 < longer.most


@pytest.mark.parametrize("loss", [0.03, 0.1, 0.3])
def test_loss_alone_makes_no_wait_much_longer(loss: float, journal: Journal) -> None:
    network = SlowNetwork(journal, 1000, lambda now: 0.0, loss=loss)
    waits = []

    def look() -> bool:
        waits.append(network.wait)
        return False

    network.run(until=look)
    assert sorted(waits)[len(waits) // 2] < 3 * FIRST_WAIT


class OneByOne(SlowNetwork):
    """Messages of one fragment, each written once the one before has been acknowledged."""

    def times(self, messages: int) -> list[float]:
        """How long each takes."""
        times = []
        for _ in range(messages):
            self.sending = Sending(1, recipient=self.sending.recipient)
            self.sending.delivery.way = Way(self._loss)
            began = self.now
            self.run()
            times.append(self.now - began)
        return times

    def _hear(self, acknowledgement: Acknowledgement) -> None:
        own = bytes.fromhex(self.sending.message.id)
        if runs := tuple(run for run in acknowledgement.runs if run.message_id == own):
            super()._hear(acknowledgement._replace(runs=runs))


@pytest.mark.parametrize("loss", [0.0, 0.03, 0.1, 0.3, 0.6])
def test_loss_alone_makes_short_messages_take_hardly_longer(loss: float, tmp_path: Path) -> None:
    took = []
    for round_trip in (RoundTrip(), Unmeasured()):
        folder = tmp_path / type(round_trip).__name__
        folder.mkdir()
        with closing(Journal(folder, bytes(32))) as journal:
            network = OneByOne(journal, 1, lambda now: 0.0, round_trip, loss)
            took.append(sum(network.times(300)))
    measured, unmeasured = took
    assert measured < 1.25 * unmeasured


@given(st.floats(0, 1))
def test_so_many_are_missed_as_loss_hardly_explains(loss: float) -> None:
    count = misses_by_loss(loss)
    explained = 1 - (1 - loss) ** 2
    assert 1 <= count <= MISSED
    assert explained**count <= RARE or count == MISSED
    assert count == 1 or explained ** (count - 1) > RARE


# A hostile recipient.

scripts = st.lists(
    st.tuples(st.integers(1, 40), st.integers(0, 18), st.integers(0, 18)), max_size=25
)


@settings(max_examples=60, deadline=None)
@given(scripts)
def test_whatever_is_acknowledged_and_when_no_fragment_leaves_more_often_than_without_measuring(
    script: list[tuple[int, int, int]],
) -> None:
    ways = []
    for round_trip in (RoundTrip(), Unmeasured()):
        sending, now, left = Sending(20), 0.0, Counter[int]()
        sending.recipient.round_trip = round_trip
        for ticks, first, length in script:
            for _ in range(ticks):
                left.update(sending.send(now))
                now += 7.0
            # Never the last one, so that no round ends: without an end, there are most packets.
            acknowledge(sending, first, min(first + length, 18), now)
        ways.append(left)
    assert ways[0] <= ways[1]


def times(answer: Callable[[float], tuple[int, int] | None]) -> list[tuple[float, Piece]]:
    """What leaves to Carol, and when, while Bob acknowledges what `answer` says."""
    with TemporaryDirectory() as folder, closing(Journal(Path(folder), bytes(32))) as journal:
        setup = Setup(journal)
        to_bob = bytes.fromhex(setup.accept(Manner.RELIABLE, BOB, bytes(80_000)))
        setup.accept(Manner.RELIABLE, CAROL, bytes(80_000))
        left = []
        for _ in range(200):
            setup.now += 5.0
            while due := setup.next():
                setup.deliveries.taken(*due, setup.now)
                if due[0].ends.peer == CAROL:
                    left.append((setup.now, due[1]))
            if ends := answer(setup.now):
                acknowledgement = Acknowledgement((Run(to_bob, *ends),), BOB)
                setup.acknowledged(acknowledgement)
        return left


def test_a_recipient_that_says_nothing_new_is_not_heard(journal: Journal) -> None:
    setup, left = Setup(journal), []
    name = bytes.fromhex(setup.accept(Manner.RELIABLE, message=bytes(3000)))
    for _ in range(400):
        if setup.send():
            left.append(setup.now)
        setup.now += 1.0
        setup.acknowledged(Acknowledgement((Run(name, 0, 0),), BOB))
    assert left[-1] - left[-2] == LONGEST_WAIT


def test_what_one_recipient_acknowledges_changes_nothing_for_another() -> None:
    said = iter(range(50))
    slow = times(lambda now: (n := next(said), n) if now % 20 == 0 else None)
    assert slow == times(lambda now: None)
    assert len(slow) > WINDOW
