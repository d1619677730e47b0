"""Whose turn it is: what waits for something isn't asked, and is asked again in time.

Deliveries over a real outbox, as in tests/test_deliveries.py.
"""

import time
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from nym.client.delivery import Delivery, Piece, Stage, Way
from nym.client.reliable import Reliable
from nym.client.turns import MOST_ASKED
from nym.client.unacknowledged import Unacknowledged
from nym.envelope import Acknowledgement, Run
from nym.store.journal import Journal
from nym.store.outbox import Manner
from tests.test_deliveries import BOB, CAROL, Setup

UNKNOWN = Way(0.0, was_carried=lambda at: None)


@pytest.fixture
def setup(journal: Journal) -> Setup:
    return Setup(journal)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Delivery]:
    """The messages that are asked for something to send, one entry each time."""
    asked: list[Delivery] = []
    for kind in (Reliable, Unacknowledged):

        def noted(delivery: Delivery, now: float, way: Way, ask: object = kind.next) -> object:
            asked.append(delivery)
            return ask(delivery, now, way)  # type: ignore[operator]

        monkeypatch.setattr(kind, "next", noted)
    return asked


@pytest.mark.parametrize("manner", [Manner.SEALED, Manner.RELIABLE])
def test_what_waits_is_not_asked_at_each_tick(
    setup: Setup, asked: list[Delivery], manner: Manner
) -> None:
    setup.way = UNKNOWN
    for _ in range(1000):
        setup.accept(manner)
    assert setup.send() == 1000
    for _ in range(1000 // MOST_ASKED + 1):
        assert setup.next() is None  # now each of them rests
    asked.clear()
    assert setup.next() is None
    assert asked == []
    late = setup.accept(Manner.PLAIN, CAROL)
    due = setup.next()
    assert due is not None
    assert [one.id for one in asked] == [due[0].id] == [late]


def test_a_fragment_leaves_again_as_soon_as_its_wait_is_over(setup: Setup) -> None:
    message_id = setup.accept(Manner.RELIABLE)
    assert setup.send() == 1
    left = setup.now
    while (due := setup.next()) is None and setup.now < left + 60:
        setup.now += 0.1
    assert due
    assert due[0].id == message_id
    assert 10.0 <= setup.now - left < 10.2


def test_what_no_mixnode_took_goes_out_at_once(setup: Setup) -> None:
    for manner in Manner:
        setup.accept(manner)
        due = setup.next()
        assert due is not None
        assert setup.next() is None
        setup.deliveries.refused(*due)
        assert setup.next() == due
        setup.deliveries.taken(*due, setup.now)


def in_silence(setup: Setup) -> tuple[str, str]:
    """Two messages that nobody has acknowledged for an hour; the first has just left again."""
    ids = {setup.accept(Manner.RELIABLE) for _ in range(2)}
    silence = setup.now + 3600
    while (due := setup.next()) is None or setup.now < silence:
        if due:
            setup.deliveries.taken(*due, setup.now)
        setup.now += 1
    setup.deliveries.taken(*due, setup.now)
    assert setup.next() is None
    (other,) = ids - {due[0].id}
    return due[0].id, other


@pytest.mark.parametrize("ends", ["heard", "open again", None])
def test_the_end_of_a_silence_ends_the_waits_that_grew_with_it(
    setup: Setup, ends: str | None
) -> None:
    first, other = in_silence(setup)
    if ends == "heard":
        setup.acknowledged(Acknowledgement((Run(bytes.fromhex(other), 0, 0),), BOB))
    elif ends == "open again":
        setup.deliveries.cancel([other])
        setup.way = Way(0.0, open_since=setup.now)
    else:
        setup.deliveries.cancel([other])
    setup.now += 130  # otherwise it would leave after another eighth of an hour
    due = setup.next()
    assert (due and due[0].id) == (first if ends else None)


def test_what_loops_have_shown_is_seen_at_the_next_look(setup: Setup) -> None:
    setup.way = Way(None, was_carried=lambda at: True)
    message_id = setup.accept()
    assert setup.send() == 1
    setup.way = Way(0.1, was_carried=lambda at: True)
    assert setup.next() is None
    setup.deliveries.look()
    due = setup.next()
    assert due is not None
    assert (due[0].id, due[1].copy) == (message_id, 1)


def test_a_long_message_that_is_acknowledged_bit_by_bit_has_few_alarms(setup: Setup) -> None:
    message_id = setup.accept(Manner.RELIABLE, message=bytes(2_000_000))
    for _ in range(1000):
        assert setup.send()
        first = setup.deliveries.progress(message_id)
        assert first
        done = first.fragments - first.left
        setup.acknowledged(Acknowledgement((Run(bytes.fromhex(message_id), 0, done),), BOB))
        setup.now += 0.1
    assert len(setup.deliveries._turns._alarms) < 10


def test_what_is_cancelled_while_it_waits_does_not_come_back(setup: Setup) -> None:
    message_id = setup.accept(Manner.RELIABLE)
    assert setup.send() == 1
    assert setup.next() is None
    assert setup.deliveries.cancel([message_id]) == [message_id]
    setup.now += 3600
    assert setup.next() is None


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens, in whatever order: nothing that is due is left to rest."""

    def __init__(self) -> None:
        super().__init__()
        self._open = ExitStack()
        folder = Path(self._open.enter_context(TemporaryDirectory()))
        self._setup = Setup(self._open.enter_context(closing(Journal(folder, bytes(32)))))
        self._setup.now = time.monotonic()
        self._under_way: list[tuple[Delivery, Piece]] = []
        self._ids: list[str] = []

    def teardown(self) -> None:
        self._open.close()

    @rule(manner=st.sampled_from(Manner), to=st.sampled_from([BOB, CAROL]), size=st.integers(0, 3))
    def accept(self, manner: Manner, to: bytes, size: int) -> None:
        length = 900 if manner is Manner.PLAIN else 900 * size
        self._ids.append(self._setup.accept(manner, to, bytes(length)))

    @rule(count=st.integers(1, 10))
    def send(self, count: int) -> None:
        for _ in range(count):
            if due := self._setup.next():
                self._under_way.append(due)

    @rule(data=st.data(), is_taken=st.booleans())
    def settle(self, data: st.DataObject, is_taken: bool) -> None:
        settled, self._under_way = data.draw(st.permutations(self._under_way)), []
        deliveries = self._setup.deliveries
        for delivery, piece in settled:
            if is_taken:
                deliveries.taken(delivery, piece, self._setup.now)
            else:
                deliveries.refused(delivery, piece)

    @rule(data=st.data(), by=st.sampled_from([BOB, CAROL]), first=st.integers(0, 2))
    def acknowledge(self, data: st.DataObject, by: bytes, first: int) -> None:
        if self._ids:
            message_id = bytes.fromhex(data.draw(st.sampled_from(self._ids)))
            self._setup.acknowledged(Acknowledgement((Run(message_id, first, first + 1),), by))

    @rule(seconds=st.sampled_from([0.1, 5.0, 30.0, 300.0, 20_000.0]))
    def wait(self, seconds: float) -> None:
        self._setup.now += seconds

    @rule(
        loss=st.sampled_from([None, 0.0, 0.3]),
        is_dead=st.booleans(),
        carried=st.sampled_from([None, True, False]),
        is_new=st.booleans(),
    )
    def change_way(
        self, loss: float | None, is_dead: bool, carried: bool | None, is_new: bool
    ) -> None:
        since = self._setup.now if is_new else self._setup.way.open_since
        self._setup.way = Way(loss, is_dead, lambda at: carried, since)

    @rule(obstacle=st.sampled_from([None, Stage.NETWORK]))
    def obstruct(self, obstacle: Stage | None) -> None:
        self._setup.obstacle = obstacle

    @rule()
    def look(self) -> None:
        """Once it was looked at what loops have shown, whatever says that it has a turn gets it."""
        self._setup.deliveries.look()
        while due := self._setup.next():
            self._under_way.append(due)
        listed, _ = self._setup.deliveries.waiting(0)
        assert [one for one in listed if one["waits_for"] == Stage.TURN.word] == []


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
