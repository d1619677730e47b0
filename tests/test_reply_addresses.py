"""Reply addresses: whom they serve, when they end, and what nobody learns by writing to them."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from random import SystemRandom

import pytest

from nym._secrets import random_scalar
from nym.client.acknowledgements import Acknowledgements
from nym.client.assembly import Assembly
from nym.client.deliveries import Deliveries
from nym.client.delivery import Stage, Way
from nym.client.named import NamedProviders
from nym.client.notes import ProviderNotes
from nym.client.packets import PacketMaker
from nym.client.receiver import Receiver
from nym.client.reply_address import ReplyAddress
from nym.client.taken import Taken
from nym.envelope import (
    Acknowledgement,
    Content,
    Cover,
    Envelopes,
    Fragment,
    ProviderNote,
    Reply,
    ReplyHead,
    Run,
    fragment,
)
from nym.errors import NoAnswersError, NoReplyAddressError, NoSuchTagError
from nym.health import Health
from nym.identity import Identity, generate_identity
from nym.store.inbox import Inbox
from nym.store.journal import Journal
from nym.store.outbox import Ends, Manner, Outbox, Outgoing, new_id
from nym.store.sqlite import PAGE
from nym.store.state import State
from nym.topology import Mix, Topology
from nym.whereabouts import Whereabouts
from nym.wire.addresses import NodeAddress
from nym.wire.pieces import prefix
from nym.wire.provider import Pulled
from tests.harness import REPLY_LIFETIME, Addresses
from tests.test_replies_hostile import Setup

ALICE, BOB, CAROL = (generate_identity() for _ in range(3))
AT = NodeAddress("127.0.0.1", 1)


class Client(Setup):
    """What of a client decides about answers; nothing is sent."""

    def __init__(self, journal: Journal, identity: Identity = ALICE) -> None:
        super().__init__(journal, identity)
        self.inbox = Inbox(journal)
        self.main = identity.public_key
        self.owed = Acknowledgements(self.main, 0.0)
        self.outbox, self.named = Outbox(journal), NamedProviders(journal)
        self.deliveries = Deliveries(
            self.outbox, self.main, 10.0, lambda ends: None, lambda: Way(0.0), 0.0
        )
        self.receiver = Receiver(
            self.own,
            self.inbox,
            Assembly(journal, self.inbox, 0.0, (), self.own.unpack),
            self.owed,
            Taken(State(journal)),
            lambda loop, now: None,
            self.deliveries.acknowledged,
            self.named.learn,
        )

    def give(self, correspondent: bytes) -> tuple[bytes, ReplyHead]:
        """A reply address that this correspondent is told of, and what it is told."""
        address, head = self.replies.address_for(correspondent)
        decoded = ReplyHead.decode(head)
        assert decoded is not None
        return address, decoded

    def take(self, *envelopes: bytes, own: bytes = b"") -> None:
        """Let these envelopes come to one of the addresses."""
        self.receiver.take(Pulled(list(envelopes)), own)
        self.receiver.settle()

    def said(self) -> list[tuple[Ends, tuple[Run, ...]]]:
        """All acknowledgements that are owed."""
        now = time.monotonic() + 100
        said = []
        for own in (b"", *(one.address for one in self.addresses.ready())):
            while due := self.owed.next(now, lambda ends: True, own):
                said.append((due[0], due[1].runs))
        return said


@pytest.fixture
def alice(journal: Journal) -> Client:
    client = Client(journal)
    client.register()
    return client


def sealed(content: Content, recipient: bytes, secret: bytes = b"", by: Identity = BOB) -> bytes:
    return Envelopes(by).seal(content, recipient, secret)


def answer(
    data: bytes = b"answer",
    message_id: bytes = b"",
    index: int = 0,
    by: Identity = BOB,
    *,
    is_acknowledged: bool = True,
    is_answerable: bool = False,
) -> Fragment:
    kind = Reply(is_acknowledged, is_answerable)
    return fragment(data, message_id or os.urandom(16), index, by.public_key, kind)


def test_only_who_knows_the_secret_writes_to_a_reply_address(alice: Client) -> None:
    address, head = alice.give(BOB.public_key)
    strangers = [
        sealed(answer(), address),
        sealed(answer(), address, bytes(16)),
        sealed(answer(), address, head.secret[::-1]),
        sealed(fragment(b"anonymous", bytes(16), 0), address),
        sealed(fragment(b"reliable", bytes(16), 0, BOB.public_key), address),
        sealed(ProviderNote(bytes(32), 1, BOB.public_key), address),
        b"plain",
    ]
    alice.take(*strangers, own=address)
    assert len(alice.inbox) == 0
    assert alice.said() == []
    assert alice.named.provider_of(BOB.public_key) is None
    alice.take(sealed(answer(), address, head.secret), own=address)
    (received,) = alice.inbox.take()
    assert (received.message, received.sender) == (b"answer", BOB.public_key)
    assert received.reply_from == BOB.public_key


def test_a_secret_opens_one_address_only(alice: Client) -> None:
    (_, for_bob), (for_carol, _) = alice.give(BOB.public_key), alice.give(CAROL.public_key)
    alice.take(sealed(answer(), for_carol, for_bob.secret), own=for_carol)
    assert len(alice.inbox) == 0


def test_one_id_at_two_addresses_is_two_messages(alice: Client) -> None:
    """Otherwise the answer to the second one would show that both have one owner."""
    address, head = alice.give(BOB.public_key)
    name = os.urandom(16)
    alice.take(sealed(fragment(b"main", name, 0, BOB.public_key), alice.main))
    first = answer(bytes(2000), name)
    alice.take(sealed(first, address, head.secret), own=address)
    assert first.count == 3
    assert alice.said() == [
        (Ends(b"", BOB.public_key), (Run(name, 0, 0),)),
        (Ends(address, BOB.public_key), (Run(name, 0, 0),)),
    ]
    rest = [answer(bytes(2000), name, index) for index in (1, 2)]
    alice.take(*(sealed(one, address, head.secret) for one in rest), own=address)
    assert [len(received.message) for received in alice.inbox.take()] == [4, 2000]


def test_acknowledgements_count_where_the_message_left(alice: Client) -> None:
    """If one came to another address and counted, the recipient would see that nothing comes."""
    address, _ = alice.give(BOB.public_key)
    message = Outgoing(new_id(), BOB.public_key, b"x", Manner.RELIABLE, own=address)
    assert alice.outbox.accept([message]) == [None]
    piece = alice.deliveries.next(0.0)
    assert piece is not None
    alice.deliveries.taken(*piece, 0.0)
    said = Acknowledgement((Run(bytes.fromhex(message.id), 0, 0),), BOB.public_key)
    alice.take(sealed(said, alice.main))
    assert message.id in alice.outbox
    alice.take(sealed(said, address), own=address)
    assert message.id not in alice.outbox


def test_what_leaves_from_a_reply_address_names_no_other(alice: Client) -> None:
    address, head = alice.give(BOB.public_key)
    for manner, kind in (Manner.SEALED, Reply(False, True)), (Manner.RELIABLE, Reply(True, True)):
        message = prefix(head.encode(), b"question")
        outgoing = Outgoing(new_id(), BOB.public_key, message, manner, own=address)
        assert alice.outbox.accept([outgoing]) == [None]
        due = alice.deliveries.next(0.0)
        assert due is not None
        content = due[0].content(due[1])
        assert isinstance(content, Fragment)
        assert (content.sender, content.reply) == (address, kind)
        opened = Envelopes(BOB).open(alice.own.seal(content, outgoing.ends))
        assert opened == content
        alice.outbox.cancel(outgoing.id)
        alice.deliveries.taken(*due, 0.0)


def test_nobody_who_is_written_to_from_a_reply_address_gets_a_note(alice: Client) -> None:
    address, _ = alice.give(BOB.public_key)
    notes = ProviderNotes(alice.main, lambda: alice.first)
    notes.meet(Ends(address, BOB.public_key), 0.0)
    notes.meet(Ends(b"", BOB.public_key, bytes(16)), 0.0)
    assert notes.next(100.0, lambda ends: True) is None
    notes.meet(Ends(b"", BOB.public_key), 0.0)
    assert notes.next(100.0, lambda ends: True) is not None


def packets(client: Client) -> PacketMaker:
    topology = Topology.of([[Mix(AT, bytes(32))]], (client.first, client.second))
    whereabouts = Whereabouts()
    whereabouts.follow(topology, 0.0)
    return PacketMaker(
        client.own,
        client.tags,
        lambda: topology,
        whereabouts,
        client.named,
        client.session,
        Health(20.0),
        0.1,
        SystemRandom(),
    )


def test_what_a_peer_says_to_one_address_steers_no_packets_of_another(alice: Client) -> None:
    address, _ = alice.give(BOB.public_key)
    maker = packets(alice)
    alice.take(sealed(ProviderNote(alice.first.public_key, 1, BOB.public_key), alice.main))
    assert maker.is_routable(Ends(b"", BOB.public_key))
    assert not maker.is_routable(Ends(address, BOB.public_key))
    alice.named.name(BOB.public_key, alice.second.public_key)
    assert maker.is_routable(Ends(address, BOB.public_key))
    # A note is newer than the name, but it was told to the main address.
    alice.take(sealed(ProviderNote(alice.first.public_key, 2, BOB.public_key), alice.main))
    assert maker._provider(Ends(b"", BOB.public_key)) == alice.first
    assert maker._provider(Ends(address, BOB.public_key)) == alice.second


def test_a_full_share_at_one_address_refuses_nothing_at_another(
    alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nym.store.shares.MOST_MESSAGES", 4)
    for_bob, for_carol = alice.give(BOB.public_key), alice.give(CAROL.public_key)
    for _ in range(5):
        for address, head in (for_bob, for_carol):
            alice.take(sealed(answer(), address, head.secret), own=address)
        alice.take(sealed(fragment(b"x", os.urandom(16), 0, BOB.public_key), alice.main))
    taken = alice.inbox.take()
    assert sorted(received.account for received in taken) == sorted(
        [b"", b"", *[for_bob[0]] * 2, *[for_carol[0]] * 2]
    )


def test_one_address_serves_one_correspondent(alice: Client) -> None:
    for_bob, for_carol = alice.give(BOB.public_key), alice.give(CAROL.public_key)
    assert len({alice.main, for_bob[0], for_carol[0]}) == 3
    assert for_bob[1].secret != for_carol[1].secret
    assert alice.give(BOB.public_key)[0] == for_bob[0]
    assert set(alice.replies.correspondents()) == {BOB.public_key, CAROL.public_key}
    with pytest.raises(NoReplyAddressError, match="the next one will be in"):
        alice.give(generate_identity().public_key)


def test_a_client_without_addresses_does_not_promise_any(journal: Journal) -> None:
    without = Addresses(journal, count=0)
    with pytest.raises(NoAnswersError):
        without.replies.address_for(BOB.public_key)


def test_addresses_are_kept_and_given_as_before_after_a_restart(
    journal: Journal, alice: Client, reopen: Callable[[], Journal]
) -> None:
    address, head = alice.give(BOB.public_key)
    alice.addresses._keep(alice.addresses._all[address])
    again = Client(reopen())
    assert again.give(BOB.public_key)[0] == address
    again.take(sealed(answer(), address, head.secret), own=address)
    assert len(again.inbox) == 1


def test_entries_without_a_page_of_zeros_are_read_too() -> None:
    key, one = random_scalar(), ReplyAddress.drawn(1.0, 2.0)
    body = one.encode(key)
    for stored in (body, body.removeprefix(bytes(PAGE))):
        restored = ReplyAddress.decode(stored, key)
        assert (restored.address, restored.secret) == (one.address, one.secret)
        assert (restored.begins, restored.ends) == (1.0, 2.0)
    assert len(body) > PAGE


def test_an_address_ends_and_what_is_sent_to_it_stays_closed(alice: Client) -> None:
    address, head = alice.give(BOB.public_key)
    alice.now += REPLY_LIFETIME * 1.5 + 1
    assert alice.replies.correspondents() == [BOB.public_key]
    alice.addresses.look()
    assert address in alice.gone
    assert alice.replies.correspondents() == []
    assert alice.addresses.get(address) is None
    # As if a pull had been under way.
    alice.take(sealed(answer(), address, head.secret), own=address)
    assert len(alice.inbox) == 0
    with pytest.raises(LookupError):
        alice.own.seal(answer(by=ALICE), Ends(address, BOB.public_key))
    maker = packets(alice)
    assert maker.obstacle(Ends(address, BOB.public_key)) is Stage.EXPIRED
    assert not maker.is_routable(Ends(address, BOB.public_key))


def test_nothing_is_given_away_that_ends_too_soon(alice: Client) -> None:
    first = alice.give(BOB.public_key)[0]
    alice.now += REPLY_LIFETIME * 1.5
    alice.register()
    alice.now += 1
    alice.register()
    second, head = alice.give(BOB.public_key)
    assert second != first
    left = head.expires / 1000 - time.time()
    assert REPLY_LIFETIME / 4 < left <= REPLY_LIFETIME * 1.5


@pytest.fixture
def bob(tmp_path: Path) -> Client:
    folder = tmp_path / "bob"
    folder.mkdir()
    client = Client(Journal(folder, BOB.private_key), BOB)
    client.register()
    return client


def question(
    client: Client, address: Identity, data: bytes = b"?", lasts: float = 1000.0
) -> tuple[bytes, ReplyHead]:
    """Let a message come that can be answered; returns its tag, and what it said."""
    head = ReplyHead(round((time.time() + lasts) * 1000), client.first.public_key, os.urandom(16))
    whole = prefix(head.encode(), data)
    piece = answer(bytes(whole), by=address, is_answerable=True)
    client.take(sealed(piece, client.main, by=address))
    (received,) = client.inbox.take()
    assert (received.message, received.sender) == (data, None)
    assert received.reply_to is not None
    return received.reply_to, head


def test_an_answer_leaves_from_where_the_question_came(bob: Client) -> None:
    asking = generate_identity()
    tag, head = question(bob, asking)
    ends, begin = bob.replies.way_to(tag, is_answerable=False)
    assert (ends, begin) == (Ends(b"", asking.public_key, tag), b"")
    opened = Envelopes(asking, head.secret).open(bob.own.seal(answer(), ends))
    assert isinstance(opened, Fragment)
    own, _ = bob.replies.way_to(tag, is_answerable=True)
    assert own.own != b""
    assert own.peer == asking.public_key


def test_an_answer_never_leaves_from_the_main_address_in_the_place_of_another(bob: Client) -> None:
    asking = generate_identity()
    address, head = bob.give(CAROL.public_key)
    whole = ReplyHead(round((time.time() + 10**6) * 1000), bytes(32), bytes(16)).encode()
    piece = answer(whole, by=asking, is_answerable=True)
    bob.take(sealed(piece, address, head.secret, by=asking), own=address)
    (received,) = bob.inbox.take()
    assert received.reply_to is not None
    assert bob.replies.way_to(received.reply_to, is_answerable=False)[0].own == address
    bob.now += 1.5 * REPLY_LIFETIME + 1
    bob.register()
    with pytest.raises(NoSuchTagError, match="has expired; to answer from another one, ask for"):
        bob.replies.way_to(received.reply_to, is_answerable=False)
    bob.now += 1
    bob.register()
    ends, _ = bob.replies.way_to(received.reply_to, is_answerable=True)
    assert ends.own not in (b"", address)


def test_an_address_that_writes_to_two_addresses_has_two_tags(bob: Client) -> None:
    asking = generate_identity()
    tag, _ = question(bob, asking)
    address, head = bob.give(CAROL.public_key)
    whole = ReplyHead(round((time.time() + 1000) * 1000), bytes(32), bytes(16)).encode()
    piece = answer(whole, by=asking, is_answerable=True)
    bob.take(sealed(piece, address, head.secret, by=asking), own=address)
    (received,) = bob.inbox.take()
    assert received.reply_to not in (None, tag)


def test_an_answer_that_comes_too_late_is_refused(bob: Client) -> None:
    tag, _ = question(bob, generate_identity(), lasts=-1.0)
    with pytest.raises(NoSuchTagError):
        bob.replies.way_to(tag, is_answerable=False)
    with pytest.raises(NoSuchTagError):
        bob.replies.way_to(bytes(16), is_answerable=True)


def test_what_was_answered_is_listed_as_long_as_it_can_be(
    bob: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, head = bob.give(CAROL.public_key)
    whole = ReplyHead(round((time.time() + 1000) * 1000), bytes(32), bytes(16)).encode()
    bob.take(sealed(answer(whole, is_answerable=True), address, head.secret), own=address)
    (at_reply_address,) = bob.inbox.take()
    assert at_reply_address.reply_to is not None
    tag, _ = question(bob, generate_identity())
    question(bob, generate_identity())
    assert bob.replies.answered() == []
    for answered in (tag, at_reply_address.reply_to):
        bob.replies.way_to(answered, is_answerable=False)
    assert bob.replies.answered() == [tag]
    later = time.time() + 10**6
    monkeypatch.setattr(bob.tags, "_now", lambda: later)
    assert bob.replies.answered() == []


def test_an_address_that_lasts_for_ever_is_forgotten_all_the_same(bob: Client) -> None:
    tag, _ = question(bob, generate_identity(), lasts=10**9)
    known = bob.tags.find(tag)
    assert known is not None
    assert known.expires <= time.time() + 90 * 86_400


def test_a_message_without_its_head_is_acknowledged_and_dropped(bob: Client) -> None:
    asking = generate_identity()
    piece = answer(b"too short", by=asking, is_answerable=True)
    bob.take(sealed(piece, bob.main, by=asking))
    assert len(bob.inbox) == 0
    assert [ends for ends, _ in bob.said()] == [Ends(b"", asking.public_key)]


def test_tags_are_bounded_and_those_that_were_answered_stay(
    bob: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nym.client.tags.MOST", 3)
    tag, _ = question(bob, generate_identity())
    bob.replies.way_to(tag, is_answerable=False)
    for _ in range(5):
        question(bob, generate_identity())
    assert len(bob.tags._by_name) == 3
    assert bob.tags.find(tag) is not None
    # Those of a reply address have a limit of their own.
    address, head = bob.give(CAROL.public_key)
    whole = ReplyHead(round((time.time() + 1000) * 1000), bytes(32), bytes(16)).encode()
    piece = answer(whole, by=CAROL, is_answerable=True)
    bob.take(sealed(piece, address, head.secret, by=CAROL), own=address)
    assert len(bob.inbox.take()) == 1
    assert len(bob.tags._by_name) == 4
    for _ in range(5):
        question(bob, generate_identity())
    assert bob.tags.of(address, CAROL.public_key) is not None


def test_loops_and_pulls_treat_all_addresses_alike(alice: Client) -> None:
    addresses = [one.address for one in alice.addresses.ready()]
    turns = [alice.own.turn() for _ in range(9)]
    assert turns == [*addresses, b""] * 3
    drawn = [alice.own.draw() for _ in range(3000)]
    assert all(850 < drawn.count(own) < 1150 for own in (b"", *addresses))
    for own in (b"", *addresses):
        loop = sealed(Cover(bytes(16)), alice.own.address(own))
        assert alice.own.open(loop, own) == Cover(bytes(16))


def test_an_address_that_ends_within_a_turn_has_no_pull_any_more(alice: Client) -> None:
    first, second = (one.address for one in alice.addresses.ready())
    assert alice.own.turn() == first
    alice.now = alice.addresses._all[second].ends
    alice.addresses.look()
    assert alice.addresses.get(second) is None
    assert alice.own.turn() == b""


def test_registrations_have_moments_of_their_own(journal: Journal) -> None:
    client = Addresses(journal, count=4, is_at_once=False)
    client.addresses.look()
    begins = [one.begins - client.now for one in client.addresses._all.values()]
    assert len(set(begins)) == 4
    assert all(600 <= wait <= 4 * 3600 for wait in begins)
    lasts = {one.ends - one.begins for one in client.addresses._all.values()}
    assert len(lasts) == 4
    assert all(REPLY_LIFETIME <= seconds <= 1.5 * REPLY_LIFETIME for seconds in lasts)
