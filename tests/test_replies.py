"""Answers without an address, between whole clients on a network (docs/protocol/replies.md)."""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from nym.envelope import Envelopes
from nym.identity import generate_identity
from nym.localnet.network import Network
from nym.wire.answers import Received
from nym.wire.keys import decode_base58, encode_base58
from tests.harness import Application, running, wait_until

GRAM = 8  # bytes that two texts don't have in common by chance


@pytest.fixture
def network() -> Iterator[Network]:
    """A network of two providers."""
    with running(Network(providers=2)) as network:
        yield network


class Correspondent:
    """A client with reply addresses, which are registered at once, and its application."""

    def __init__(self, network: Network, stack: ExitStack, **settings: Any) -> None:
        self.client = stack.enter_context(
            Application(network.url, **{"reply_addresses": 2, **settings})
        )
        self.address = self.client.address
        self._asking = stack.enter_context(self.client.lines())
        self._news = stack.enter_context(self.client.lines())
        self._news.ask(type="subscribe")

    def wait_for_addresses(self) -> None:
        """Wait until a reply address is free."""
        wait_until(lambda: self.addresses()["free"] > 0, "a free reply address")

    def addresses(self) -> Any:
        """What `status` says about reply addresses."""
        return self.client.status()["reply_addresses"]

    def write(self, recipient: bytes, message: bytes, **flags: bool) -> str:
        """Send a message that can be answered."""
        return self._asking.send(recipient, message, anonymous_reply=True, **flags)

    def answer(self, question: Received, message: bytes, **flags: bool) -> str:
        """Answer a message that came."""
        assert question.reply_to is not None
        return self._asking.reply(question.reply_to, message, **flags)

    def receive(self) -> Received:
        """The next message."""
        return self._news.receive()

    def wait_for(self, message_id: str) -> None:
        """Wait until a message has been sent, or acknowledged."""
        wait_until(lambda: self.ask(type="progress", id=message_id)["state"] == "done")

    def ask(self, **request: object) -> Any:
        """Ask the client something."""
        return self._asking.ask(**request)


@pytest.fixture
def pair(network: Network) -> Iterator[tuple[Correspondent, Correspondent]]:
    """Two clients, the first of which has a free reply address."""
    with ExitStack() as stack:
        alice, bob = Correspondent(network, stack), Correspondent(network, stack)
        alice.wait_for_addresses()
        yield alice, bob


@pytest.mark.parametrize("is_reliable", [False, True])
def test_a_message_is_answered_without_an_address(
    pair: tuple[Correspondent, Correspondent], is_reliable: bool
) -> None:
    alice, bob = pair
    long = os.urandom(5000)  # several fragments
    sent = alice.write(bob.address, long, reliable=is_reliable)
    question = bob.receive()
    assert question.message == long
    assert question.sender is None
    answered = bob.answer(question, b"yes", reliable=is_reliable)
    answer = alice.receive()
    # Whoever writes to a reply address says who they are: only the correspondent may.
    assert (answer.message, answer.sender) == (b"yes", bob.address)
    assert (answer.reply_from, answer.reply_to) == (bob.address, None)
    alice.wait_for(sent)
    bob.wait_for(answered)


def test_a_correspondent_keeps_its_address_and_another_one_waits(network: Network) -> None:
    with ExitStack() as stack:
        alice = Correspondent(network, stack, reply_addresses=1)
        bob, carol = Correspondent(network, stack), Correspondent(network, stack)
        alice.wait_for_addresses()
        for _ in range(2):
            alice.write(bob.address, b"again")
        tags = {bob.receive().reply_to for _ in range(2)}
        assert len(tags) == 1
        assert alice.addresses() == {"registered": 1, "free": 0}
        refused = alice.ask(
            type="send",
            recipient_address=encode_base58(carol.address),
            message="",
            anonymous_reply=True,
        )
        assert refused["code"] == "no_reply_address"
        assert "the next one will be in" in refused["message"]


def test_both_sides_are_anonymous_to_each_other(pair: tuple[Correspondent, Correspondent]) -> None:
    alice, bob = pair
    bob.wait_for_addresses()
    alice.write(bob.address, b"1")
    question = bob.receive()
    bob.answer(question, b"2", anonymous_reply=True, reliable=True)
    tags = set()
    for number in range(3, 9):
        asked = alice if number % 2 else bob
        came = asked.receive()
        assert (came.message, came.sender) == (b"%d" % (number - 1), None)
        assert came.reply_from == (bob.address if asked is alice else question.reply_to)
        tags.add(came.reply_to)
        asked.answer(came, b"%d" % number, reliable=bool(number % 3))
    assert len(tags) == 2  # one at each side


def grams(texts: Iterable[bytes]) -> set[bytes]:
    """All pieces of GRAM bytes in them, but those with zeros, as numbers and padding have."""
    pieces = {text[at : at + GRAM] for text in texts for at in range(len(text) - GRAM + 1)}
    return {piece for piece in pieces if 0 not in piece}


def test_two_conversations_of_one_client_have_nothing_in_common(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bob and Carol lay side by side all that came to them, opened, and find nothing."""
    opened: defaultdict[bytes, list[bytes]] = defaultdict(list)
    unseal = Envelopes._unseal

    def noted(envelopes: Envelopes, data: bytes) -> bytes | None:
        if plaintext := unseal(envelopes, data):
            opened[envelopes._address] += [data, plaintext]
        return plaintext

    monkeypatch.setattr(Envelopes, "_unseal", noted)
    with ExitStack() as stack:
        alice = Correspondent(network, stack, reply_addresses=2)
        others = Correspondent(network, stack), Correspondent(network, stack)
        wait_until(lambda: alice.addresses()["free"] == 2)
        waiting = [
            alice.write(other.address, os.urandom(length), reliable=True)
            for length in (10, 3000)
            for other in others
        ]
        for other in others:
            for _ in range(2):
                other.answer(other.receive(), os.urandom(1500), reliable=True)
        for message_id in waiting:
            alice.wait_for(message_id)
        for _ in range(4):
            alice.receive()
        provider = decode_base58(alice.client.status()["provider_identity"])
    bob, carol = (grams(opened[other.address]) for other in others)
    assert min(len(bob), len(carol)) > 5000
    # Where to answer is the same, as for all clients of that provider.
    assert bob & carol == grams([provider])


def test_a_conversation_goes_on_after_both_clients_have_restarted(
    network: Network, tmp_path: Path
) -> None:
    homes = [(generate_identity(), tmp_path / name) for name in ("alice", "bob")]
    for _, folder in homes:
        folder.mkdir()

    def begun(stack: ExitStack) -> list[Correspondent]:
        return [
            Correspondent(network, stack, identity=identity, folder=folder)
            for identity, folder in homes
        ]

    with ExitStack() as stack:
        alice, bob = begun(stack)
        alice.wait_for_addresses()
        alice.write(bob.address, b"question")
        question = bob.receive()
    with ExitStack() as stack:
        alice, bob = begun(stack)
        bob.answer(question, b"answer", reliable=True)
        answer = alice.receive()
        assert (answer.message, answer.reply_from) == (b"answer", bob.address)


def test_after_its_end_an_address_is_followed_by_another(network: Network) -> None:
    with ExitStack() as stack:
        alice = Correspondent(network, stack, reply_addresses=1, reply_lifetime=15.0)
        bob = Correspondent(network, stack)
        alice.wait_for_addresses()
        alice.write(bob.address, b"first")
        first = bob.receive()
        assert first.reply_to is not None
        late = {"type": "reply", "tag": encode_base58(first.reply_to), "message": "late"}
        assert alice.addresses()["free"] == 0
        alice.wait_for_addresses()  # after the end of the first one
        assert bob.ask(**late)["code"] == "no_such_tag"
        alice.write(bob.address, b"second")
        second = bob.receive()
        assert second.message == b"second"
        assert second.reply_to != first.reply_to
        bob.answer(second, b"in time")
        assert alice.receive().message == b"in time"
