"""The receiver: what a pull brings is sorted, and is on disk before anything is acknowledged.

The envelopes are real, and the journal writes to a real folder.
"""

import time
from random import Random
from typing import Any

import gevent
import pysodium
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nym.client import assembly as assembly_module
from nym.client.acknowledgements import MORE, Acknowledgements
from nym.client.assembly import Assembly
from nym.client.receiver import Receiver
from nym.client.taken import Taken
from nym.envelope import Acknowledgement, Cover, Envelopes, Fragment, ProviderNote, Run, fragment
from nym.errors import StoreError
from nym.health import Health
from nym.identity import generate_identity
from nym.store import shares
from nym.store.inbox import REVIEW, Inbox
from nym.store.journal import Journal
from nym.store.state import State
from nym.wire.provider import DUMMY, LOOP_COVER, Pulled
from tests.harness import Addresses, contents
from tests.simulation import ROUTE

OWN, ALICE, BOB = (generate_identity() for _ in range(3))
ID = b"m" * 16


class Setup:
    """A receiver, and the parts of a client to which it hands what came."""

    def __init__(self, journal: Journal, delay: float = 0.0) -> None:
        self.clock = 0.0
        self.inbox, self.health = Inbox(journal, clock=lambda: self.clock), Health(20.0)
        self.owed = Acknowledgements(OWN.public_key, delay)
        self.assembly = Assembly(journal, self.inbox, time.monotonic())
        self.acknowledged: list[Acknowledgement] = []
        self.notes: list[ProviderNote] = []
        own = Addresses(journal, OWN, count=0).own
        self.receiver = Receiver(
            own,
            self.inbox,
            self.assembly,
            self.owed,
            Taken(State(journal)),
            self.returned,
            lambda acknowledgement, ends, now: self.acknowledged.append(acknowledgement),
            self.notes.append,
        )

    def returned(self, loop: bytes, now: float) -> None:
        self.health.loops.returned(loop, now)

    def said(self, after: float = 1.0) -> Acknowledgement | None:
        due = self.owed.next(time.monotonic() + after, lambda sender: True)
        return due and due[1]


@pytest.fixture
def setup(journal: Journal) -> Setup:
    return Setup(journal)


def sealed(content: Fragment | Acknowledgement | Cover) -> bytes:
    return Envelopes(ALICE).seal(content, OWN.public_key)


def pieces(message: bytes) -> list[bytes]:
    """The envelopes of a reliable message of three fragments."""
    return [sealed(fragment(message, ID, index, ALICE.public_key)) for index in range(3)]


def test_what_is_no_envelope_is_delivered_as_it_came(setup: Setup) -> None:
    to_another = Envelopes(ALICE).seal(Fragment(ID, 0, 1, b""), BOB.public_key)
    plain = [b"from a published client", b"", bytes(975), to_another]
    setup.receiver.take(Pulled([DUMMY, plain[0], LOOP_COVER, *plain[1:], DUMMY]))
    setup.receiver.settle()
    assert contents(setup.inbox.take()) == plain


def test_where_lengths_contradict_each_other_what_is_sealed_is_kept(setup: Setup) -> None:
    seal = sealed(Fragment(ID, 0, 1, b"sealed"))
    setup.receiver.take(Pulled([b"half a mess", seal, b"age"], is_sound=False))
    setup.receiver.settle()
    assert contents(setup.inbox.take()) == [b"sealed"]


def test_fragments_become_messages_and_only_reliable_ones_are_acknowledged(setup: Setup) -> None:
    reliable = Fragment(ID, 0, 1, b"reliable", ALICE.public_key)
    setup.receiver.take(Pulled([sealed(Fragment(ID, 0, 1, b"anonymous")), sealed(reliable)]))
    setup.receiver.settle()
    received = [(r.message, r.sender) for r in setup.inbox.take()]
    assert received == [(b"anonymous", None), (b"reliable", ALICE.public_key)]
    assert setup.said() == Acknowledgement((Run(ID, 0, 0),), OWN.public_key)
    assert setup.said() is None


def test_nothing_is_acknowledged_before_the_disk_has_it(
    setup: Setup, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nym.store.journal.RETRY", 0.01)
    journal.flush()
    database = journal._database._connection
    database.execute("PRAGMA max_page_count = 1")
    setup.receiver.take(
        Pulled([sealed(Fragment(ID, 0, 1, bytes(800), ALICE.public_key)), bytes(5000)])
    )
    for _ in range(2):
        with pytest.raises(StoreError):
            setup.receiver.settle()
        assert setup.said() is None
    database.execute("PRAGMA max_page_count = 10000")
    setup.receiver.settle()
    assert setup.said() is not None


def test_the_disk_being_full_costs_no_acknowledgement(
    setup: Setup, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nym.store.journal.RETRY", 0.01)
    journal.flush()
    database = journal._database._connection
    database.execute("PRAGMA max_page_count = 1")
    for number in range(3):
        name = bytes([number]) * 16
        setup.receiver.take(Pulled([sealed(Fragment(name, 0, 1, bytes(800), ALICE.public_key))]))
        setup.receiver.take(Pulled([bytes(5000)]))
        with pytest.raises(StoreError):
            setup.receiver.settle()
    database.execute("PRAGMA max_page_count = 10000")
    setup.receiver.settle()
    said = setup.said()
    assert said is not None
    assert [run.message_id[0] for run in said.runs] == [0, 1, 2]
    setup.receiver.settle()
    assert setup.said() is None


def test_what_comes_while_the_disk_is_waited_for_is_not_acknowledged_with_the_rest(
    setup: Setup, journal: Journal
) -> None:
    first, second = (Fragment(name * 16, 0, 1, b"", ALICE.public_key) for name in (b"1", b"2"))

    def pull() -> None:
        setup.receiver.take(Pulled([sealed(first)]))
        setup.receiver.settle()

    round_before = journal._next
    pulling = gevent.spawn(pull)
    while journal._next is round_before:  # until the round with the first fragment is being written
        gevent.sleep(0)
    setup.receiver.take(Pulled([sealed(second)]))
    pulling.join()
    assert setup.said() == Acknowledgement((Run(first.message_id, 0, 0),), OWN.public_key)
    assert setup.said() is None
    setup.receiver.settle()
    assert setup.said() == Acknowledgement((Run(second.message_id, 0, 0),), OWN.public_key)


def test_a_part_of_a_message_is_acknowledged_later_than_all_of_it(journal: Journal) -> None:
    setup = Setup(journal, delay=100.0)
    first, *others = pieces(bytes(2000))
    setup.receiver.take(Pulled([first]))
    setup.receiver.settle()
    assert setup.said(after=100.0 * (MORE - 1)) is None
    setup.receiver.take(Pulled(others))
    setup.receiver.settle()
    assert setup.said(after=99.0) is None
    assert setup.said(after=100.0) == Acknowledgement((Run(ID, 0, 2),), OWN.public_key)


def test_a_message_that_comes_again_is_acknowledged_again_and_not_delivered(setup: Setup) -> None:
    for _ in range(2):
        setup.receiver.take(Pulled(pieces(bytes(2000))))
        setup.receiver.settle()
        assert setup.said() == Acknowledgement((Run(ID, 0, 2),), OWN.public_key)
    assert contents(setup.inbox.take()) == [bytes(2000)]


def test_what_the_inbox_has_no_room_for_is_not_acknowledged(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, last = pieces(bytes(2000))
    with monkeypatch.context() as limits:
        limits.setattr(shares, "MOST_MESSAGES", 0)
        setup.receiver.take(Pulled([first, second, last]))
        setup.receiver.settle()
        assert setup.said() == Acknowledgement((Run(ID, 0, 1),), OWN.public_key)
    setup.clock += REVIEW
    setup.receiver.take(Pulled([last]))
    setup.receiver.settle()
    assert setup.said() == Acknowledgement((Run(ID, 0, 2),), OWN.public_key)
    assert contents(setup.inbox.take()) == [bytes(2000)]


def test_what_does_not_go_on_is_given_up_whatever_comes(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup.receiver.take(Pulled(pieces(bytes(2000))[:1]))
    assert len(setup.assembly) == 1
    monkeypatch.setattr(assembly_module, "PATIENCE", -1.0)
    setup.receiver.take(Pulled([]))
    assert (len(setup.assembly), setup.assembly.given_up.total()) == (0, 1)


def test_loops_and_acknowledgements_are_passed_on(setup: Setup) -> None:
    now = time.monotonic()
    setup.health.sent(b"own loop" * 2, ROUTE, now)
    said = Acknowledgement((Run(ID, 0, 3),), ALICE.public_key)
    setup.receiver.take(
        Pulled([sealed(Cover(b"own loop" * 2)), sealed(Cover(bytes(16))), sealed(said)])
    )
    assert setup.acknowledged == [said]
    assert not setup.health.loops.returned(b"own loop" * 2, now), "the loop was not passed on"
    assert contents(setup.inbox.take()) == []


def test_what_was_sealed_for_us_and_makes_no_sense_is_dropped(setup: Setup) -> None:
    mallory = Envelopes(generate_identity())
    mallory._address = ALICE.public_key
    forged = Fragment(ID, 0, 1, b"as if from Alice", ALICE.public_key)
    setup.receiver.take(Pulled([mallory.seal(forged, OWN.public_key)]))
    assert contents(setup.inbox.take()) == []
    setup.receiver.settle()
    assert setup.said() is None


def test_what_a_later_version_sends_is_dropped(setup: Setup) -> None:
    for plaintext in (b"\2\1", b"\1\7", b"\1\1" + bytes(16) + b"\1"):
        padded = plaintext.ljust(927, b"\0")
        setup.receiver.take(Pulled([pysodium.crypto_box_seal(padded, OWN.public_key)]))
    assert contents(setup.inbox.take()) == []
    assert setup.acknowledged == []


def test_cover_of_others_takes_the_place_of_no_loop(setup: Setup) -> None:
    now = time.monotonic()
    setup.health.sent(b"own loop" * 2, ROUTE, now)
    setup.receiver.take(Pulled([sealed(Cover(b"not ours" * 2))]))
    assert setup.health.loops.returned(b"own loop" * 2, now)
    assert contents(setup.inbox.take()) == []


def noise(seed: int) -> bytes:
    """Random bytes, as many as an envelope has."""
    return Random(seed).randbytes(975)


ENVELOPES = [
    sealed(Cover(ID)),
    sealed(Fragment(ID, 0, 1, b"x")),
    sealed(Fragment(ID, 0, 1, b"x", ALICE.public_key)),
    sealed(Acknowledgement((Run(ID, 0, 3),), ALICE.public_key)),
]


# All examples share one journal, which hypothesis warns about. Each has an inbox of its own on it.
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(ENVELOPES), st.integers(0, 975 * 8 - 1), st.integers(-1, 1))
def test_a_damaged_envelope_is_noise_and_never_raises(
    journal: Journal, envelope: bytes, bit: int, longer: int
) -> None:
    setup = Setup(journal)
    damaged = bytearray(envelope)
    damaged[bit // 8] ^= 1 << bit % 8
    cut = bytes(damaged)[: 975 + longer] + bytes(max(0, longer))
    setup.receiver.take(Pulled([cut]))
    setup.receiver.settle()
    assert contents(setup.inbox.take()) == [cut]
    assert (setup.said(), setup.acknowledged, len(setup.assembly)) == (None, [], 0)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=1100) | st.integers().map(noise), max_size=5))
def test_random_bytes_are_messages_and_never_raise(journal: Journal, messages: list[bytes]) -> None:
    setup = Setup(journal)
    setup.receiver.take(Pulled(messages))
    setup.receiver.settle()
    expected = [m for m in messages if m not in (DUMMY, LOOP_COVER)]
    assert contents(setup.inbox.take()) == expected


def test_a_message_that_cannot_be_kept_takes_no_others_along(
    setup: Setup, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    deliver = setup.inbox.deliver

    def fail_once(*arguments: Any, **named: Any) -> bool:
        monkeypatch.undo()
        raise MemoryError

    monkeypatch.setattr(setup.inbox, "deliver", fail_once)
    setup.receiver.take(Pulled([b"one", b"two", b"three"]))
    assert setup.inbox.deliver == deliver
    setup.receiver.settle()
    assert contents(setup.inbox.take()) == [b"two", b"three"]
    assert "a message that arrived could not be kept" in caplog.text


def test_what_goes_wrong_with_many_messages_is_said_once(
    setup: Setup, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*arguments: Any, **named: Any) -> bool:
        raise MemoryError

    monkeypatch.setattr(setup.inbox, "deliver", fail)
    setup.receiver.take(Pulled([b"one", b"two", b"three"]))
    assert len(caplog.records) == 1


def test_an_answer_with_any_number_of_messages_holds_up_nobody(setup: Setup) -> None:
    turns = list[float]()

    def take_turns() -> None:
        while True:
            turns.append(time.perf_counter())
            gevent.sleep(0.001)

    other = gevent.spawn(take_turns)
    try:
        setup.receiver.take(Pulled([sealed(Cover(bytes(16)))] * 2000))
    finally:
        other.kill()
    assert len(turns) > 20
