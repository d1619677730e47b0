"""All messages that are on their way: whose turn it is, how each ends, and what it waits for.

The outbox is over a real journal. The network is replaced by values that each test sets, and the
clock is an argument.
"""

import json
import logging
import math
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nym.client.deliveries import MOST_LISTED, Deliveries
from nym.client.delivery import Delivery, Piece, Stage, Way
from nym.client.reliable import WINDOW
from nym.envelope import MOST_RUNS, REPLY_HEAD_LENGTH, Acknowledgement, Run, fragment_count
from nym.errors import StoreError
from nym.store import room
from nym.store.journal import Journal
from nym.store.outbox import Ends, Manner, Outbox, Outgoing, new_id
from nym.wire.keys import encode_base58
from nym.wire.sizes import LONGEST_SEALED, TAG_LENGTH

OWN, BOB, CAROL = b"o" * 32, b"b" * 32, b"c" * 32
TAG = b"t" * TAG_LENGTH
WEEK = 604_800.0


class Setup:
    """Deliveries over an outbox; the test sets the time, the way, and what is in the way."""

    def __init__(self, journal: Journal, lifetime: float = WEEK) -> None:
        self.now = 1_000_000.0
        self.way = Way(0.0)
        self.obstacle: Stage | None = None
        self.outbox = Outbox(
            journal, lambda: self.now, lambda outgoing: self.deliveries.explain(outgoing)
        )
        self.deliveries = Deliveries(
            self.outbox,
            OWN,
            10.0,
            lambda recipient: self.obstacle,
            lambda: self.way,
            lifetime,
        )

    def accept(
        self, manner: Manner = Manner.SEALED, recipient: bytes = BOB, message: bytes = b"hello"
    ) -> str:
        outgoing = Outgoing(new_id(), recipient, message, manner)
        assert self.outbox.accept([outgoing]) == [None]
        return outgoing.id

    def next(self) -> tuple[Delivery, Piece] | None:
        return self.deliveries.next(self.now)

    def acknowledged(self, acknowledgement: Acknowledgement) -> None:
        ends = Ends(b"", acknowledgement.sender)
        self.deliveries.acknowledged(acknowledgement, ends, self.now)

    def send(self) -> int:
        """Let everything leave that can, as if mixnodes took it; return the number of pieces."""
        count = 0
        while due := self.next():
            self.deliveries.taken(*due, self.now)
            count += 1
        return count

    def why(self, message_id: str) -> str:
        listed = {m["id"]: m["waits_for"] for m in self.deliveries.waiting(0)[0]}
        return listed[message_id]


@pytest.fixture
def setup(journal: Journal) -> Setup:
    return Setup(journal)


# While no loops come back.


@pytest.mark.parametrize("manner", [Manner.SEALED, Manner.PLAIN])
def test_while_nothing_comes_back_what_nobody_acknowledges_waits_and_then_goes_on(
    setup: Setup, manner: Manner
) -> None:
    message_id = setup.accept(manner)
    setup.way = Way(0.5, is_dead=True)
    assert setup.send() == 0
    setup.deliveries.look()
    assert setup.why(message_id) == "loops"
    setup.way = Way(0.0)
    assert setup.send() == 1
    assert len(setup.outbox) == 0


def test_what_left_into_a_network_that_turns_out_to_be_dead_goes_out_again(setup: Setup) -> None:
    message_id = setup.accept()
    setup.way = Way(0.0, was_carried=lambda at: None)
    assert setup.send() == 1
    setup.deliveries.look()
    assert setup.why(message_id) == "loss"
    setup.way = Way(0.0, is_dead=True, was_carried=lambda at: None)
    assert setup.send() == 0
    assert setup.why(message_id) == "loops"
    setup.way = Way(0.0)
    assert setup.send() == 1
    assert len(setup.outbox) == 0


def test_what_was_not_carried_goes_out_again_though_nobody_noticed_meanwhile(setup: Setup) -> None:
    setup.accept()
    setup.way = Way(0.0, was_carried=lambda at: None)
    assert setup.send() == 1
    lost_at = setup.now
    setup.now += 300
    setup.way = Way(0.0, was_carried=lambda at: at > lost_at)
    setup.deliveries.look()
    assert setup.send() == 1
    setup.deliveries.look()
    assert len(setup.outbox) == 0


def test_what_loops_have_shown_to_arrive_is_done_without_a_look(setup: Setup) -> None:
    carried = -math.inf
    setup.way = Way(0.0, was_carried=lambda at: at <= carried or None)
    ids, times = [], []
    for _ in range(5):
        ids.append(setup.accept())
        times.append(setup.now)
        assert setup.send() == 1
        setup.now += 1
    setup.deliveries.end_proven()
    assert len(setup.outbox) == 5
    for done in range(1, 6):
        carried = times[done - 1]
        setup.deliveries.end_proven()
        assert [outgoing.id for outgoing in setup.outbox.waiting(0, 9)] == ids[done:]


def test_what_loops_have_shown_to_be_lost_goes_out_again_without_a_look(setup: Setup) -> None:
    setup.way = Way(0.0, was_carried=lambda at: None)
    lost, arrived = setup.accept(), setup.accept()
    (first, _), (second, _) = sent = [due for _ in range(2) if (due := setup.next())]
    assert [first.id, second.id] == [lost, arrived]
    for due in sent:
        setup.now += 1
        setup.deliveries.taken(*due, setup.now)
    assert setup.next() is None
    setup.way = Way(0.0, was_carried=lambda at: at >= setup.now)
    setup.deliveries.end_proven()
    assert [outgoing.id for outgoing in setup.outbox.waiting(0, 9)] == [lost]
    assert setup.send() == 1


def test_a_message_that_has_more_to_send_keeps_no_other_from_its_end(setup: Setup) -> None:
    setup.way = Way(0.0, was_carried=lambda at: None)
    long = setup.accept(message=bytes(20_000))
    short = setup.accept(recipient=CAROL)
    sent = []
    while short not in sent:
        due = setup.next()
        assert due
        setup.deliveries.taken(*due, setup.now)
        sent.append(due[0].id)
    assert long in sent
    setup.way = Way(0.0)
    setup.deliveries.end_proven()
    assert [outgoing.id for outgoing in setup.outbox.waiting(0, 9)] == [long]


def test_reliable_messages_are_tried_whatever_comes_back(setup: Setup) -> None:
    message_id = setup.accept(Manner.RELIABLE)
    setup.way = Way(0.5, is_dead=True)
    assert setup.send() == 1
    assert setup.why(message_id) == "acknowledgement"


def test_one_that_is_due_among_many_that_wait_is_found(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nym.client.turns.MOST_ASKED", 10)
    for recipient in (BOB, CAROL):
        for _ in range(50):
            setup.accept(Manner.RELIABLE, recipient)
    pieces = [setup.next() for _ in range(100)]
    for due in pieces:
        assert due
        setup.deliveries.taken(*due, setup.now)
    assert setup.next() is None
    later = [setup.accept(Manner.RELIABLE, recipient) for recipient in (BOB, CAROL)]
    found = [due[0].id for _ in range(30) if (due := setup.next())]
    assert sorted(found) == sorted(later)


def test_a_recipient_with_many_that_wait_takes_no_turn_from_others(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nym.client.turns.MOST_ASKED", 10)
    for _ in range(50):
        setup.accept(Manner.RELIABLE, BOB)
    assert setup.send() == 50
    to_carol = setup.accept(Manner.RELIABLE, CAROL)
    found = [due[0].id for _ in range(2) if (due := setup.next())]
    assert found == [to_carol]


# How messages end.


@pytest.mark.parametrize("manner", Manner)
@pytest.mark.parametrize("stage", [None, Stage.NETWORK, Stage.REGISTRATION, Stage.RECIPIENT])
def test_every_message_is_given_up_when_it_is_too_old_with_the_reason(
    setup: Setup, manner: Manner, stage: Stage | None, caplog: pytest.LogCaptureFixture
) -> None:
    setup.obstacle = stage
    setup.way = Way(0.0, is_dead=True)
    message_id = setup.accept(manner)
    setup.now += WEEK - 1
    setup.deliveries.look()
    assert message_id in setup.outbox
    setup.now += 1
    later = setup.accept(manner)
    setup.deliveries.look()
    assert setup.outbox.failed == [message_id]
    assert later in setup.outbox
    assert "given up: 1; 1 because " in caplog.text
    assert message_id not in caplog.text
    assert (stage or Stage.TURN).sentence in caplog.text or stage is None
    assert setup.next() is None or manner is Manner.RELIABLE


def test_a_lifetime_of_zero_is_for_ever_and_can_be_changed(setup: Setup) -> None:
    message_id = setup.accept(Manner.RELIABLE)
    setup.deliveries.lifetime = 0.0
    setup.now += 1000 * WEEK
    setup.deliveries.look()
    assert "given up" not in setup.deliveries.explain(setup.outbox.waiting(0, 1)[0])
    setup.deliveries.lifetime = 60.0
    setup.deliveries.look()
    assert setup.outbox.failed == [message_id]


def test_many_that_are_given_up_are_one_line(
    setup: Setup, caplog: pytest.LogCaptureFixture
) -> None:
    ids = [setup.accept() for _ in range(300)]
    setup.obstacle = Stage.RECIPIENT
    setup.now += WEEK
    with caplog.at_level(logging.ERROR):
        setup.deliveries.look()
    assert setup.outbox.failed == ids
    assert len(caplog.records) == 1
    assert "given up: 300; 300 because the directory lists no client with" in caplog.text
    assert not any(message_id in caplog.text for message_id in ids)


def test_one_whose_parts_were_acknowledged_again_and_again_but_never_the_whole_has_failed(
    setup: Setup, caplog: pytest.LogCaptureFixture
) -> None:
    message_id = setup.accept(Manner.RELIABLE, message=bytes(80_000))
    name, packets, began = bytes.fromhex(message_id), 0, setup.now
    while not setup.outbox.failed and setup.now < began + WEEK:
        setup.now += 5.0
        while due := setup.next():
            packets += 1
            setup.deliveries.taken(*due, setup.now)
            run = Run(name, due[1].fragment, due[1].fragment)
            setup.acknowledged(Acknowledgement((run,), BOB))
        setup.deliveries.look()
    assert setup.outbox.failed == [message_id]
    assert packets == 8 * fragment_count(80_000, reliable=True)
    assert f"1 because {Stage.WHOLE.sentence}" in caplog.text
    assert message_id not in caplog.text
    assert setup.now - began < 86_400.0


def test_an_acknowledgement_costs_what_its_bytes_cost(
    setup: Setup, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    message_id = setup.accept(Manner.RELIABLE, message=bytes(LONGEST_SEALED))
    name = bytes.fromhex(message_id)
    notes: list[int] = []
    monkeypatch.setattr(setup.outbox, "note", lambda _, progress: notes.append(len(progress)))
    for _ in range(64):
        due = setup.next()
        assert due
        setup.deliveries.taken(*due, setup.now)
    last = fragment_count(LONGEST_SEALED, reliable=True) - 1
    equal = Acknowledgement((Run(name, 0, last - 1),) * MOST_RUNS, BOB)
    growing = [
        Acknowledgement(tuple(Run(name, 64, start + i) for i in range(MOST_RUNS)), BOB)
        for start in range(64, last - MOST_RUNS, 500)
    ]
    # A busy machine can only make runs slower, so the quickest one counts. Work that grows with the
    # length of the message, and not with that of the acknowledgement, would exceed the limit.
    quickest = math.inf
    for acknowledgement in (*growing, equal, equal, equal):
        began = time.perf_counter()
        setup.acknowledged(acknowledgement)
        setup.next()
        quickest = min(quickest, time.perf_counter() - began)
    assert quickest < 0.005
    assert len(notes) == len(growing) + 1
    assert setup.deliveries.progress(message_id)


def test_a_tick_that_looks_at_many_long_messages_that_wait_is_short(setup: Setup) -> None:
    for _ in range(40):
        setup.accept(Manner.RELIABLE, message=bytes(80_000))
    assert setup.send() == 40 * WINDOW
    assert setup.next() is None
    # A busy machine can only make ticks slower, so the quickest one counts.
    began = [time.perf_counter()]
    for _ in range(5):
        assert setup.next() is None
        began.append(time.perf_counter())
    assert min(later - earlier for earlier, later in pairwise(began)) < 0.001


def test_what_is_cancelled_leaves_no_more_and_its_late_outcomes_change_nothing(
    setup: Setup,
) -> None:
    first, second = setup.accept(message=bytes(3000)), setup.accept(Manner.RELIABLE, CAROL)
    under_way = [setup.next(), setup.next(), setup.next()]
    assert sorted(setup.deliveries.cancel([first, second, "00"])) == sorted([first, second])
    assert setup.deliveries.cancel([first]) == []
    for number, due in enumerate(under_way):
        assert due
        if number % 2:
            setup.deliveries.taken(*due, setup.now)
        else:
            due[0].refused(due[1])
    assert setup.next() is None
    assert (len(setup.outbox), setup.outbox.failed) == (0, [])
    assert setup.outbox.was_cancelled(first)


def test_all_or_all_to_one_recipient_are_cancelled(setup: Setup) -> None:
    to_bob = [setup.accept() for _ in range(450)]
    to_carol = [setup.accept(recipient=CAROL) for _ in range(2)]
    assert setup.deliveries.cancel_all(BOB) == to_bob
    assert setup.deliveries.cancel_all(BOB) == []
    assert setup.deliveries.cancel_all(None) == to_carol
    assert setup.next() is None


def test_answers_are_cancelled_by_the_tag_that_the_list_shows(setup: Setup) -> None:
    answers = [Outgoing(new_id(), BOB, b"an answer", Manner.SEALED, tag=TAG) for _ in range(2)]
    assert setup.outbox.accept(answers) == [None, None]
    to_the_same_address = setup.accept()
    # Whoever answers doesn't know the address behind the tag, and doesn't mean it.
    assert setup.deliveries.cancel_all(BOB) == [to_the_same_address]
    assert setup.deliveries.cancel_all(TAG) == [answer.id for answer in answers]


def test_what_the_disk_does_not_take_is_said_and_cancelled_all_the_same(
    setup: Setup, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    message_id = setup.accept()

    def fail() -> None:
        raise StoreError("no room")

    monkeypatch.setattr(journal, "flush", fail)
    with pytest.raises(StoreError):
        setup.deliveries.cancel([message_id])
    assert setup.next() is None


# What a message waits for.


def test_what_a_message_waits_for(setup: Setup) -> None:
    message_id = setup.accept(Manner.RELIABLE)
    for stage in (Stage.NETWORK, Stage.REGISTRATION, Stage.RECIPIENT):
        setup.obstacle = stage
        assert setup.why(message_id) == stage.word
    setup.obstacle = None
    assert setup.why(message_id) == "turn"
    due = setup.next()
    assert due
    assert setup.why(message_id) == "hand_over"
    setup.deliveries.taken(*due, setup.now)
    progress = setup.deliveries.progress(message_id)
    assert progress
    assert (progress.left, progress.fragments) == (1, 1)
    assert progress.waits_for == "acknowledgement"
    assert progress.why == f"{Stage.ACKNOWLEDGEMENT.sentence}; it is given up in 7 d 0 h"


def test_a_full_outbox_names_whom_it_waits_for_and_why(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "MOST_BYTES", 64)
    for _ in range(2):
        setup.accept(message=bytes(16))
    setup.obstacle = Stage.RECIPIENT
    setup.now += 3600
    (refusal,) = setup.outbox.accept([Outgoing(new_id(), BOB, bytes(16), Manner.SEALED)])
    assert f"has waited for 1 h 0 min: {Stage.RECIPIENT.sentence}" in str(refusal)
    assert "it is given up in 6 d 23 h" in str(refusal)


@pytest.mark.parametrize(("own", "tag"), [(b"", b""), (CAROL, b""), (b"", TAG), (CAROL, TAG)])
def test_the_list_shows_tags_and_what_leaves_from_a_reply_address(
    setup: Setup, own: bytes, tag: bytes
) -> None:
    head = bytes(REPLY_HEAD_LENGTH) if own else b""
    outgoing = Outgoing(new_id(), BOB, head + b"hello", Manner.SEALED, own=own, tag=tag)
    assert setup.outbox.accept([outgoing]) == [None]
    ((listed,), _) = setup.deliveries.waiting(0)
    assert listed["recipient"] == encode_base58(tag or BOB)
    assert (listed["anonymous_reply"], listed["size"]) == (bool(own), 5)


def test_what_waits_is_listed_page_by_page(setup: Setup) -> None:
    ids = [setup.accept() for _ in range(2 * MOST_LISTED + 1)]
    listed: list[str] = []
    after: int | None = 0
    while after is not None:
        messages, after = setup.deliveries.waiting(after)
        assert len(messages) <= MOST_LISTED
        json.dumps(messages)
        listed += [message["id"] for message in messages]
        for message in messages:
            setup.deliveries.cancel([message["id"]])  # must not make the next page skip any
    assert listed == ids


# Errors at any moment.


class Trouble:
    """Lets calls of a journal fail with MemoryError at random, before they do their work."""

    def __init__(self, journal: Journal, random: Random) -> None:
        self.share = 0.3
        self._random = random
        for name in ("put", "drop"):
            setattr(journal, name, self._failing(getattr(journal, name)))

    def _failing(self, call: Callable[..., None]) -> Callable[..., None]:
        def fail(*arguments: object) -> None:
            if self._random.random() < self.share:
                raise MemoryError
            call(*arguments)

        return fail


@settings(max_examples=8)
@given(st.randoms(use_true_random=False), st.integers(1, 12))
def test_each_message_has_one_outcome_whatever_is_raised(random: Random, number: int) -> None:
    with TemporaryDirectory() as folder:
        journal = Journal(Path(folder), bytes(32))
        setup = Setup(journal, lifetime=1000.0)
        told: list[str] = []
        setup.outbox.watch(told.append)
        manners = [random.choice(list(Manner)) for _ in range(number)]
        ids = [setup.accept(manner, random.choice([BOB, CAROL])) for manner in manners]
        trouble = Trouble(journal, random)
        cancelled = Counter[str]()
        for _ in range(60):
            setup.now += 1.0
            try:
                step(setup, ids, cancelled, random)
            except MemoryError:
                continue
        trouble.share = 0.0
        setup.now += 1000.0
        setup.deliveries.look()
        assert len(setup.outbox) == 0
        assert setup.next() is None
        failed = set(setup.outbox.failed)
        assert Counter(told) == Counter(failed)
        for message_id in ids:
            ways = [message_id in failed, setup.outbox.was_cancelled(message_id)]
            assert sum(ways) <= 1
        journal.close()
        with closing(Journal(Path(folder), bytes(32))) as journal:
            assert len(Outbox(journal)) == 0


def step(setup: Setup, ids: list[str], cancelled: Counter[str], random: Random) -> None:
    """Do one random thing that can happen to deliveries."""
    match random.randrange(5):
        case 0:
            setup.deliveries.look()
        case 1:
            cancelled.update(setup.deliveries.cancel([random.choice(ids)]))
        case 2:
            run = Run(bytes.fromhex(random.choice(ids)), 0, 0)
            setup.acknowledged(Acknowledgement((run,), random.choice([BOB, CAROL])))
        case _:
            due = setup.next()
            if due and random.random() < 0.7:
                setup.deliveries.taken(*due, setup.now)
            elif due:
                due[0].refused(due[1])
