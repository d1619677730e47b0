"""What a pull brought goes where it belongs, and is on disk before anything is said of it."""

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nym.client.acknowledgements import Acknowledgements
from nym.client.assembly import Assembly
from nym.client.receiver import Receiver
from nym.envelope import Acknowledgement, Cover, Envelopes, Fragment, Run
from nym.errors import StoreError
from nym.health import Health
from nym.identity import generate_identity
from nym.store.inbox import Inbox
from nym.store.journal import Journal
from nym.wire.provider import DUMMY, LOOP_COVER
from tests.harness import contents

OWN, ALICE = generate_identity(), generate_identity()
ID = b"m" * 16


class Setup:
    """A receiver, and all that it hands to."""

    def __init__(self, journal: Journal) -> None:
        self.inbox, self.health = Inbox(journal), Health(20.0)
        self.owed = Acknowledgements(OWN.public_key, 0.0)
        self.acknowledged: list[Acknowledgement] = []
        self.receiver = Receiver(
            Envelopes(OWN),
            journal,
            self.inbox,
            Assembly(journal, self.inbox, time.monotonic()),
            self.owed,
            self.health,
            lambda acknowledgement, now: self.acknowledged.append(acknowledgement),
        )

    def said(self) -> Acknowledgement | None:
        due = self.owed.next(time.monotonic() + 1.0, lambda sender: True)
        return due and due[1]


@pytest.fixture
def setup(journal: Journal) -> Setup:
    return Setup(journal)


def sealed(content: Fragment | Acknowledgement | Cover) -> bytes:
    return Envelopes(ALICE).seal(content, OWN.public_key)


def test_what_is_no_envelope_is_delivered_as_it_came(setup: Setup) -> None:
    plain = [b"from a published client", b"", bytes(975)]
    setup.receiver.take([DUMMY, plain[0], LOOP_COVER, *plain[1:], DUMMY])
    assert contents(setup.inbox.take()) == plain


def test_fragments_become_messages_and_only_reliable_ones_are_acknowledged(setup: Setup) -> None:
    reliable = Fragment(ID, 0, 1, b"reliable", ALICE.public_key)
    setup.receiver.take([sealed(Fragment(ID, 0, 1, b"anonymous")), sealed(reliable)])
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
    setup.receiver.take([sealed(Fragment(ID, 0, 1, bytes(800), ALICE.public_key)), bytes(5000)])
    for _ in range(2):
        with pytest.raises(StoreError):
            setup.receiver.settle()
        assert setup.said() is None
    database.execute("PRAGMA max_page_count = 10000")
    setup.receiver.settle()
    assert setup.said() is not None


def test_loops_and_acknowledgements_are_passed_on(setup: Setup) -> None:
    now = time.monotonic()
    setup.health.sent(b"own loop" * 2, (b"1" * 32,), now)
    said = Acknowledgement((Run(ID, 0, 3),), ALICE.public_key)
    setup.receiver.take([sealed(Cover(b"own loop" * 2)), sealed(Cover(bytes(16))), sealed(said)])
    assert setup.acknowledged == [said]
    assert not setup.health.returned(b"own loop" * 2, now), "it is back already"
    assert contents(setup.inbox.take()) == []


def test_what_was_sealed_for_us_and_makes_no_sense_is_dropped(setup: Setup) -> None:
    mallory = Envelopes(generate_identity())
    mallory._address = ALICE.public_key
    forged = Fragment(ID, 0, 1, b"as if from Alice", ALICE.public_key)
    setup.receiver.take([mallory.seal(forged, OWN.public_key)])
    assert contents(setup.inbox.take()) == []
    setup.receiver.settle()
    assert setup.said() is None


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=1100), max_size=5))
def test_random_bytes_are_messages_and_never_raise(journal: Journal, messages: list[bytes]) -> None:
    setup = Setup(journal)
    setup.receiver.take(messages)
    expected = [m for m in messages if m not in (DUMMY, LOOP_COVER)]
    assert contents(setup.inbox.take()) == expected
