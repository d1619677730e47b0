"""Correspondents who look for links between two addresses of one client, and ends at bad moments.

In each test, what comes to one address must not change what the client does at another one.
"""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from nym._secrets import derive
from nym.client.acknowledgements import MOST_SENDERS, Acknowledgements
from nym.client.assembly import PATIENCE, Assembly
from nym.client.registration import Registration
from nym.client.reply_address import ReplyAddress
from nym.envelope import RELIABLE_CAPACITY, Cover, Envelopes, Fragment, Reply, Run, Unreadable
from nym.identity import Identity, generate_identity
from nym.store import shares
from nym.store.aside import FILE
from nym.store.inbox import REVIEW, Inbox
from nym.store.journal import Journal
from nym.store.outbox import Ends, Manner, Outbox, Outgoing, new_id
from nym.store.seen import GENERATIONS, Key, Seen
from nym.store.sqlite import PAGE, empty_log
from nym.topology import ProviderNode, Topology
from nym.wire.addresses import NodeAddress
from tests.harness import REPLY_LIFETIME, Addresses

ONE, OTHER = (generate_identity().public_key for _ in range(2))  # two addresses of one client
MALLORY = generate_identity()
SENDER = MALLORY.public_key
NONCE = 24  # bytes before what is sealed in an entry
ACKNOWLEDGED = Reply(is_acknowledged=True, is_answerable=False)


def provider(port: int) -> ProviderNode:
    place = NodeAddress("127.0.0.1", port)
    return ProviderNode(place, place, generate_identity().public_key, frozenset())


class Setup(Addresses):
    """The addresses of a client that uses the first of two providers."""

    def __init__(self, journal: Journal, identity: Identity | None = None) -> None:
        super().__init__(journal, identity)
        self.first, self.second = provider(1), provider(2)
        self.session.follow(Topology.of([], (self.first,)))

    def register(self) -> list[bytes]:
        """Make all addresses, as if the provider had taken them; return them."""
        self.addresses.look()
        for one in self.addresses._all.values():
            one.registration = one.registration or Registration(one.identity, self.first, bytes(32))
        return [one.address for one in self.addresses.ready()]


@pytest.fixture
def setup(journal: Journal) -> Setup:
    return Setup(journal)


def test_a_provider_that_is_left_does_not_see_which_addresses_were_used(setup: Setup) -> None:
    addresses = setup.register()
    setup.addresses.give(SENDER)
    setup.session.leave_for(setup.second, "test")
    setup.addresses.look()
    assert [own for own, _ in setup.own.elsewhere()] == addresses
    assert not setup.gone


def test_what_comes_to_an_address_that_has_just_ended_is_dropped(setup: Setup) -> None:
    one = setup.register()[0]
    sealed = Envelopes(MALLORY).seal(Cover(bytes(16)), one)
    assert setup.own.open(sealed, one) == Cover(bytes(16))
    setup.now += 2 * REPLY_LIFETIME
    setup.addresses.look()
    assert one in setup.gone
    assert isinstance(setup.own.open(sealed, one), Unreadable)


def test_an_address_that_has_ended_owes_no_acknowledgements(setup: Setup) -> None:
    owed = Acknowledgements(setup.identity.public_key, 0.0)
    for own in (ONE, OTHER):
        owed.add(Ends(own, SENDER), Run(bytes(16), 0, 0), 0.0, is_complete=True)
    owed.forsake(ONE)
    assert owed.next(1.0, lambda ends: True, OTHER) is not None
    assert owed.next(1.0, lambda ends: True, ONE) is None


def test_filling_one_address_makes_no_repetition_at_another_new(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nym.store.seen.GENERATION", 4)
    seen = Seen(journal)
    keys = [Key(SENDER, bytes(16), own) for own in (b"", ONE, OTHER)]
    for key in keys:
        seen.add(key)
    for number in range(4 * (GENERATIONS + 1)):
        seen.add(Key(SENDER, number.to_bytes(16, "big"), ONE))
    assert [key in seen for key in keys] == [True, False, True]
    for number in range(4 * (GENERATIONS + 1)):
        seen.add(Key(SENDER, number.to_bytes(16, "big")))
    assert [key in seen for key in keys] == [False, False, True]
    seen.forget(OTHER)
    assert keys[2] not in seen


def part(own: bytes, name: int) -> tuple[Fragment, bytes]:
    """The first fragment of a message of two, and the address that it came to."""
    data = bytes(RELIABLE_CAPACITY)
    return Fragment(name.to_bytes(16, "big"), 0, 2, data, SENDER, ACKNOWLEDGED), own


def test_expired_messages_at_one_address_do_not_delay_those_at_another(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nym.client.assembly.MOST_EXPIRED", 10)
    assembly = Assembly(journal, Inbox(journal), 0.0)
    for number in range(50):
        fragment, own = part(ONE, number)
        assembly.add(fragment, 0.0, own)
    fragment, own = part(OTHER, 1)
    assembly.add(fragment, 0.0, own)
    assembly.expire(PATIENCE + 1.0)
    assert len(assembly) == 40


def test_an_address_that_has_ended_leaves_no_incomplete_message(journal: Journal) -> None:
    assembly = Assembly(journal, Inbox(journal), 0.0)
    for own in (ONE, OTHER):
        for number in range(3):
            fragment, _ = part(own, number)
            assembly.add(fragment, 0.0, own)
    assembly.forsake(ONE)
    assert len(assembly) == 3


def test_when_two_full_addresses_are_let_in_again_does_not_link_them(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares, "MOST_MESSAGES", 2)
    now = 0.0
    inbox = Inbox(journal, clock=lambda: now)

    def arrives(own: bytes) -> bool:
        return inbox.deliver(b"", SENDER, is_sealed=True, reply_from=SENDER, account=own)

    def refused() -> list[bool]:
        return [not arrives(own) for own in (ONE, OTHER)]

    now = 0.4 * REVIEW
    assert [arrives(ONE), arrives(ONE)] == [True, False]
    now = 0.7 * REVIEW
    assert [arrives(OTHER), arrives(OTHER)] == [True, False]
    inbox.settle()
    inbox.handed_over(inbox.take())
    now = 1.1 * REVIEW  # after the review of those who write to the main address
    assert refused() == [True, True]
    now = 1.5 * REVIEW
    assert refused() == [False, True]
    now = 1.8 * REVIEW
    assert not refused()[1]


def test_a_recipient_who_takes_nothing_at_one_address_keeps_nobody_out_at_another(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nym.store.room.MOST_MESSAGES", 10)
    outbox = Outbox(journal)

    def accepted(own: bytes) -> bool:
        message = Outgoing(new_id(), SENDER, b"", Manner.RELIABLE, own=own)
        return outbox.accept([message]) == [None]

    assert [accepted(ONE) for _ in range(6)] == [True] * 5 + [False]
    assert accepted(b"")
    assert accepted(OTHER)


def test_what_one_address_owes_takes_no_turn_of_another() -> None:
    owed = Acknowledgements(generate_identity().public_key, 0.0)
    owed.add(Ends(OTHER, SENDER), Run(bytes(16), 0, 0), 0.0, is_complete=True)
    for number in range(MOST_SENDERS + 1):
        stranger = number.to_bytes(32, "big")
        owed.add(Ends(b"", stranger), Run(bytes(16), 0, 0), 0.0, is_complete=True)
    owed.add(Ends(ONE, SENDER), Run(bytes(16), 0, 0), 0.0, is_complete=True)
    due = owed.next(1.0, lambda ends: True, ONE)
    assert due is not None
    assert due[0] == Ends(ONE, SENDER)
    assert owed.next(1.0, lambda ends: True, ONE) is None
    assert owed.next(1.0, lambda ends: True, OTHER) is not None


def test_turns_are_drawn_for_all_addresses_alike(setup: Setup) -> None:
    addresses = setup.register()
    assert sorted(setup.own.all()) == sorted([b"", *addresses])


def test_a_step_of_the_clock_does_not_show_in_conversations(setup: Setup) -> None:
    setup.register()
    one = setup.addresses.give(SENDER)
    before = setup.addresses.head(one)
    assert abs(before.expires / 1000 - time.time() - (one.ends - setup.now)) < 1.0
    setup.now += 3.0  # without that the wall clock goes on
    assert setup.addresses.head(one) == before
    key = derive(setup.identity.private_key, b"test")
    assert ReplyAddress.decode(one.encode(key), key).told == before.expires


def left_of(sealed: bytes, folder: Path) -> list[int]:
    """Where parts of the sealed entry begin that are still in the files of the database."""
    files = b"".join(path.read_bytes() for path in folder.glob(f"{FILE}*"))
    return [at for at in range(0, len(sealed), 20) if sealed[at : at + 20] in files]


def sealed_entries(journal: Journal, kind: str) -> list[bytes]:
    """The entries of a kind, as they are on the disk."""
    journal.flush()
    rows = journal._database._connection.execute("SELECT body FROM entry WHERE kind = ?", (kind,))
    return [body for (body,) in rows]


def test_the_key_of_an_address_that_has_ended_is_gone_from_the_disk(
    setup: Setup, journal: Journal, tmp_path: Path
) -> None:
    for number in range(50):
        journal.put("seen", str(number), bytes(100))
    setup.register()
    setup.addresses.give(SENDER)  # writes the address again
    sealed = sealed_entries(journal, "reply address")
    assert len(sealed) == 2
    assert all(left_of(one, tmp_path) for one in sealed)
    setup.now += 2 * REPLY_LIFETIME
    setup.addresses.look()
    journal.flush()
    assert len(setup.gone) == 2
    assert not any(left_of(one, tmp_path) for one in sealed)


def test_no_page_in_which_entries_are_moved_has_a_key(
    setup: Setup, journal: Journal, tmp_path: Path
) -> None:
    for number in range(50):
        journal.put("seen", str(number), bytes(100))
    setup.register()
    setup.addresses.give(SENDER)
    sealed = sealed_entries(journal, "reply address")
    empty_log(journal._database._connection)
    data = (tmp_path / FILE).read_bytes()
    for one in sealed:
        at = data.index(one[-100:])
        # A page for the rest of one entry begins with the number of the next page, or with zeros. A
        # page of entries begins with its type.
        assert data[at - at % PAGE] == 0
        key = one[NONCE + PAGE :]
        assert at + 100 - len(key) > at - at % PAGE, "the key begins in the same page"


def test_a_key_that_could_not_be_erased_is_erased_with_the_next_change(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("the disk is full")

    journal.put("reply address", "one", bytes(300))
    (sealed,) = sealed_entries(journal, "reply address")
    with monkeypatch.context() as patch:
        patch.setattr("nym.store.sqlite.empty_log", fail)
        journal.erase("reply address", "one")
        journal.flush()  # no error: the entry itself is deleted
    assert sealed_entries(journal, "reply address") == []
    assert left_of(sealed, tmp_path)
    # The files as a kill at this moment would leave them.
    killed = tmp_path / "killed"
    killed.mkdir()
    for path in tmp_path.glob(f"{FILE}*"):
        (killed / path.name).write_bytes(path.read_bytes())

    journal.put("seen", "1", b"")
    journal.flush()
    assert not left_of(sealed, tmp_path)
    with closing(Journal(killed, bytes(32))) as again:
        assert left_of(sealed, killed)
        again.put("seen", "1", b"")
        again.flush()
        assert not left_of(sealed, killed)
