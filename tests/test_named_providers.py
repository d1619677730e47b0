"""Addresses that carry their provider: as text, in contacts, over sockets, and without lists."""

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from nym.client import named as named_module
from nym.client.named import NamedProviders
from nym.client.notes import PAUSE, ProviderNotes
from nym.contacts import Contact, add_contact, load_contacts
from nym.envelope import ProviderNote
from nym.errors import ContactError, IncompleteDataError
from nym.identity import generate_identity
from nym.net.directory import fetch_topology
from nym.nodes.directory import Directory
from nym.nodes.inboxes.memory import MemoryInboxes
from nym.nodes.keys import Keyring, load_token_key
from nym.nodes.mixnode import Mixnode
from nym.nodes.provider import Provider
from nym.signing import generate_signer
from nym.store.journal import Journal
from nym.store.outgoing import Ends
from nym.topology import ProviderNode, Topology
from nym.view import CLAIM
from nym.whereabouts import Whereabouts
from nym.wire.addresses import NodeAddress
from nym.wire.clients import EMPTY
from nym.wire.directory import LISTS_PATH, MIXNODES_PATH, MixNode, encode_presence
from nym.wire.json_requests import decode_request
from nym.wire.keys import encode_base58
from nym.wire.recipients import Recipient, parse_recipient
from nym.wire.requests import Send
from nym.wire.versions import with_identity
from tests.harness import ANYWHERE, OTHER, OWN, PATIENCE, Application, wait_until

PROVIDER = bytes(range(32))
NAMED = f"{encode_base58(OTHER)}@{encode_base58(PROVIDER)}"


def test_a_recipient_has_one_form_with_a_provider_and_one_without() -> None:
    assert parse_recipient(NAMED) == Recipient(OTHER, PROVIDER)
    assert str(Recipient(OTHER, PROVIDER)) == NAMED
    bare = encode_base58(OTHER)
    assert parse_recipient(bare) == Recipient(OTHER)
    assert str(Recipient(OTHER)) == bare


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"{encode_base58(OTHER)}@", "behind the @"),
        (f"{NAMED}@", "behind the @"),
        (f"{encode_base58(OTHER)}@bob", "behind the @: a key has 32 bytes"),
        (f"@{encode_base58(PROVIDER)}", "a key has 32 bytes"),
        (f"{encode_base58(OTHER)[:-1]} @{encode_base58(PROVIDER)}", "letters and digits"),
    ],
)
def test_other_forms_are_refused_with_a_reason(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_recipient(text)


def test_json_takes_a_provider_with_the_address() -> None:
    request = {"type": "send", "recipient_address": NAMED, "message": "hi"}
    sent, _ = decode_request(request)
    assert isinstance(sent, Send)
    assert (sent.recipient, sent.provider) == (OTHER, PROVIDER)
    with pytest.raises(IncompleteDataError, match="behind the @"):
        decode_request(request | {"recipient_address": NAMED + "@"})


def test_contacts_keep_the_provider(tmp_path: Path) -> None:
    add_contact(tmp_path, "bob", Contact(OTHER, provider=PROVIDER))
    contacts = load_contacts(tmp_path)
    assert contacts.find("bob") == Contact(OTHER, provider=PROVIDER)
    assert contacts.find(encode_base58(OTHER)).provider == PROVIDER
    other = encode_base58(bytes(reversed(PROVIDER)))
    assert contacts.find(f"{encode_base58(OTHER)}@{other}").provider == bytes(reversed(PROVIDER))
    add_contact(tmp_path, "bob", Contact(OTHER))  # the same contact, without its provider
    assert load_contacts(tmp_path).find("bob").provider is None
    with pytest.raises(ContactError, match="isn't an address"):
        add_contact(tmp_path, NAMED, Contact(OTHER))


def test_what_was_named_last_counts_also_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(named_module, "MOST", 2)
    journal = Journal(tmp_path, bytes(32))
    named = NamedProviders(journal)
    first, second = bytes([7]) * 32, PROVIDER
    assert named.provider_of(OTHER) is None
    named.name(OTHER, first)
    named.name(OTHER, second)
    named.name(OTHER, second)
    named.name(OWN, first)
    journal.close()
    journal = Journal(tmp_path, bytes(32))
    again = NamedProviders(journal)
    assert (again.provider_of(OTHER), again.provider_of(OWN)) == (second, first)
    again.name(bytes(32), first)
    assert again.provider_of(OTHER) is None, "more than the limit are kept"
    journal.close()
    assert OTHER not in (tmp_path / "client.db").read_bytes()


def provider(number: int, identity: bytes | None = None) -> ProviderNode:
    at = NodeAddress("127.0.0.1", number)
    return ProviderNode(at, at, bytes([number]) * 32, EMPTY, identity)


def test_an_identity_means_the_provider_that_claimed_it_first() -> None:
    whereabouts = Whereabouts()

    def follow(now: float, *providers: ProviderNode) -> int | None:
        whereabouts.follow(Topology.of((), providers), now)
        node = whereabouts.named(PROVIDER)
        return node and node.address.port

    assert whereabouts.named(PROVIDER) is None
    assert follow(0.0, provider(1, PROVIDER), provider(2, PROVIDER)) is None, "either could be it"
    assert follow(1.0, provider(1, PROVIDER), provider(2)) == 1
    liar, renewed = provider(2, PROVIDER), provider(1, PROVIDER)._replace(public_key=bytes(32))
    assert follow(2.0, liar, provider(1, PROVIDER)) == 1
    assert follow(3.0, liar, renewed) == 1, "it has another key"
    assert follow(4.0, liar) is None, "it is away"
    assert follow(5.0, liar, renewed) == 1
    assert follow(6.0, liar) is None
    assert follow(6.0 + 2 * CLAIM, liar) == 2
    key = provider(3).public_key
    follow(7.0 + 2 * CLAIM, provider(3), liar)
    found = whereabouts.named(key)
    assert found is not None
    assert found.address.port == 3


def test_nobody_posts_an_identity_without_its_signature() -> None:
    directory = Directory("127.0.0.1", 0)
    url = directory.start()
    node = MixNode("192.0.2.1:1789", PROVIDER, 1, with_identity("0.4.0", PROVIDER))
    answer = requests.post(url + MIXNODES_PATH, data=encode_presence(node), timeout=PATIENCE)
    assert answer.status_code == 400
    assert "hasn't signed" in answer.text
    directory.stop()


class Listless:
    """A network of two providers whose directory keeps its lists to published clients."""

    def __init__(self, stack: ExitStack) -> None:
        self.directory = Directory("127.0.0.1", 0, client_lists=False)
        self.url = self.directory.start()
        stack.callback(self.directory.stop)
        nodes = [Mixnode(Keyring(None), ANYWHERE, layer) for layer in (1, 2, 3)]
        self.providers = [
            Provider(
                Keyring(None),
                load_token_key(None),
                ANYWHERE,
                ANYWHERE,
                MemoryInboxes(),
                signer=signer,
            )
            for signer in (generate_signer(), None)
        ]
        for node in [*nodes, *self.providers]:
            node.listen()
            node.start(self.url)
            stack.callback(node.stop)

    def key(self, number: int) -> str:
        return self.providers[number].keys.current.address

    def client(self, stack: ExitStack, number: int, **options: Any) -> Application:
        client = stack.enter_context(Application(self.url, provider=self.key(number), **options))
        wait_until(client.client._session.registered.is_set)
        return client


def test_a_network_without_lists_carries_messages_to_named_providers() -> None:
    with ExitStack() as stack:
        network = Listless(stack)
        alice, bob = network.client(stack, 0), network.client(stack, 1)
        alice_at = alice.client._session.provider
        bob_at = bob.client._session.provider
        assert alice_at is not None
        assert bob_at is not None
        assert (alice_at.identity is None, bob_at.identity) == (False, None)
        with alice.lines() as lines:
            lines.say(
                type="send",
                recipient_address=encode_base58(bob.address),
                message="unlisted",
            )
            unlisted = lines.hear()["id"]
            wait_until(
                lambda: lines.ask(type="progress", id=unlisted)["waits_for"] == "recipient",
                "a message without a provider waits",
            )
            to = Recipient(bob.address, bob_at.public_key)
            lines.ask(type="send", recipient_address=str(to), message="hello", reliable=True)
        assert sorted(bob.receive(2)) == [b"hello", b"unlisted"]
        with bob.lines() as lines:
            to = Recipient(alice.address, alice_at.identity)
            lines.ask(type="send", recipient_address=str(to), message="hi", reliable=True)
        assert alice.receive(1) == [b"hi"]
        # Published clients get the lists, and nobody else does.
        listed = fetch_topology(network.url, has_lists=True).records.providers
        assert {client for node in listed for client in node.clients} == {
            alice.address,
            bob.address,
        }
        bare = fetch_topology(network.url).records.providers
        assert all(node.clients == EMPTY and node.digest is None for node in bare)
        lists = network.directory._listed._lists
        for node in listed:
            assert lists.find(node.clients.digest) is not None
            path = f"{network.url}{LISTS_PATH}/{node.clients.digest}"
            if node.clients:
                assert requests.get(path, timeout=PATIENCE).status_code == 404


def test_a_named_provider_that_is_not_there_is_waited_for() -> None:
    with ExitStack() as stack:
        network = Listless(stack)
        alice = network.client(stack, 0)
        with alice.lines() as lines:
            lines.say(type="send", recipient_address=NAMED, message="hello")
            waiting = lines.hear()["id"]
            wait_until(lambda: lines.ask(type="progress", id=waiting)["waits_for"] == "provider")


# Notes, by which peers learn where a client is.


def note(created: int, provider: bytes, sender: bytes = OTHER) -> ProviderNote:
    return ProviderNote(provider, created, sender)


def test_the_newest_note_counts_and_an_older_one_that_comes_again_does_not(
    tmp_path: Path,
) -> None:
    journal = Journal(tmp_path, bytes(32))
    named = NamedProviders(journal)
    old, new = bytes([1]) * 32, bytes([2]) * 32
    named.name(OTHER, old)
    named.learn(note(10, new))
    named.name(OTHER, old)  # whoever writes to the address as before
    assert named.provider_of(OTHER) == new
    named.learn(note(9, old))
    assert named.provider_of(OTHER) == new
    journal.close()
    journal = Journal(tmp_path, bytes(32))
    again = NamedProviders(journal)
    again.learn(note(10, old))
    assert again.provider_of(OTHER) == new
    again.name(OTHER, PROVIDER)
    assert again.provider_of(OTHER) == PROVIDER, "another name is newer than the note"
    again.learn(note(11, old))
    assert again.provider_of(OTHER) == old
    journal.close()


def test_strangers_notes_push_out_no_name(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(named_module, "MOST", 3)
    named = NamedProviders(journal)
    named.name(OTHER, PROVIDER)
    strangers = [bytes([number]) * 32 for number in range(5)]
    for number, stranger in enumerate(strangers):
        named.learn(note(number, PROVIDER, stranger))
    assert named.is_said(OTHER)
    assert [named.provider_of(one) is not None for one in strangers] == [0, 0, 0, 1, 1]


def test_a_peer_is_told_a_few_times_of_each_provider() -> None:
    at = [provider(1, PROVIDER)]
    notes = ProviderNotes(OWN, lambda: at[0] if at else None)
    notes.meet(Ends(b"", OTHER), 0.0)
    notes.meet(Ends(b"", OWN), 0.0)

    def told(now: float) -> bytes | None:
        due = notes.next(now, lambda _: True)
        assert due is None or due[0] == Ends(b"", OTHER)
        return due and due[1].provider

    assert notes.next(0.0, lambda _: False) is None, "its provider isn't known"
    assert [told(0.0), told(1.0)] == [PROVIDER, None]
    notes.meet(Ends(b"", OTHER), 2.0)
    assert [told(PAUSE), told(2 * PAUSE), told(3 * PAUSE)] == [PROVIDER, PROVIDER, None]
    at[0] = provider(2)
    assert told(3 * PAUSE) == at[0].public_key
    at.clear()
    assert told(9 * PAUSE) is None


def test_reliable_messages_are_acknowledged_without_lists() -> None:
    with ExitStack() as stack:
        network = Listless(stack)
        alice, bob = network.client(stack, 0), network.client(stack, 1)
        to = Recipient(bob.address, bob.client._session.provider.public_key)  # type: ignore[union-attr]
        with alice.lines() as lines:
            lines.ask(type="send", recipient_address=str(to), message="hello", reliable=True)
            assert bob.receive(1) == [b"hello"]
            wait_until(lambda: not lines.ask(type="status")["outbox"], "an acknowledgement")


def test_peers_follow_a_client_to_another_provider(tmp_path: Path) -> None:
    with ExitStack() as stack:
        network = Listless(stack)
        bob = network.client(stack, 1)
        bob_at = Recipient(bob.address, bob.client._session.provider.public_key)  # type: ignore[union-attr]
        identity = generate_identity()
        for number in (0, 1):
            with ExitStack() as run, bob.lines() as lines:
                alice = network.client(run, number, folder=tmp_path, identity=identity)
                own = alice.client._session.provider
                assert own is not None
                name = own.identity or own.public_key
                with alice.lines() as hers:
                    hers.ask(
                        type="send", recipient_address=str(bob_at), message="here", reliable=True
                    )
                    assert bob.receive(1) == [b"here"]
                wait_until(partial(bob_knows, bob, alice.address, name))
                lines.ask(
                    type="send",
                    recipient_address=encode_base58(alice.address),
                    message="I see",
                    reliable=True,
                )
                assert alice.receive(1) == [b"I see"]
                wait_until(lambda: not lines.ask(type="status")["outbox"])


def bob_knows(bob: Application, address: bytes, provider: bytes) -> bool:
    """Whether this is the provider that bob's client knows for the address."""
    return bob.client._outgoing._packets._named.provider_of(address) == provider
