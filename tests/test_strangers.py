"""Attacks by strangers, and by the provider, on clients that run on a local network.

Strangers put sealed envelopes into the provider's inbox of their victim. The limits are small, so
that few messages fill them.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from nym.client.client import Client
from nym.envelope import ANONYMOUS_CAPACITY, Envelopes, Fragment, fragment, fragment_count
from nym.identity import Identity, generate_identity
from nym.localnet.network import Network
from nym.store import shares
from nym.store.inbox import REVIEW
from nym.store.seen import GENERATIONS
from tests.harness import FAST, Application, Lines, running, wait_until

# Little cover, so that even on a busy machine pulls bring everything that strangers send.
QUIET = replace(FAST, message_sending_average_delay=0.3, loop_cover_traffic_average_delay=1.0)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


class Stranger:
    """Anyone who can put envelopes into a client's provider: a sender, or the provider itself."""

    def __init__(self, network: Network, victim: Application, identity: Identity | None = None):
        self._inboxes = network.providers[0]._inboxes
        self._victim = victim.address
        self._identity = identity or generate_identity()
        self._envelopes = Envelopes(self._identity)

    def bring(self, *contents: Fragment) -> list[bytes]:
        """Seal these contents and put them into the provider; return the envelopes."""
        sealed = [self._envelopes.seal(content, self._victim) for content in contents]
        self.repeat(*sealed)
        return sealed

    def repeat(self, *sealed: bytes) -> None:
        """Put these envelopes into the provider, perhaps again; the client pulls them."""
        for envelope in sealed:
            self._inboxes.put(self._victim, envelope)

    def begin(self, messages: int) -> None:
        """Bring the first two fragments of each of so many messages, which never go on."""
        for _ in range(messages):
            name, data = os.urandom(16), bytes(ANONYMOUS_CAPACITY)
            self.bring(*(Fragment(name, index, 1000, data) for index in range(2)))

    def message(self, message: bytes, *, is_proven: bool) -> list[Fragment]:
        """All fragments of a message, reliable if `is_proven`, else anonymous."""
        sender = self._identity.public_key if is_proven else None
        message_id = os.urandom(16)
        pieces = range(fragment_count(len(message), reliable=is_proven))
        return [fragment(message, message_id, index, sender) for index in pieces]


def registered(stack: ExitStack, network: Network) -> tuple[Application, Lines]:
    """A client that is registered, and a connection to it for asking its status."""
    application = stack.enter_context(Application(network.url, traffic=QUIET))
    lines = stack.enter_context(application.lines())
    wait_until(lambda: lines.ask(type="status")["registered"], "a provider")
    return application, lines


def subscribed(stack: ExitStack, application: Application) -> Lines:
    lines = stack.enter_context(application.lines())
    assert lines.ask(type="subscribe") == {"type": "subscribe"}
    return lines


def end_hour(client: Client) -> None:
    """End the hour after which the inbox reviews whether refused senders have room again."""
    client._receiver._inbox._review.deadline -= REVIEW


def test_messages_that_are_begun_and_a_packet_between_two_others_push_out_no_message(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shares, "MOST_MESSAGES", 50)
    network = stack.enter_context(running(Network()))
    bob, watching = registered(stack, network)
    receiving = subscribed(stack, bob)
    stranger, honest = Stranger(network, bob), Stranger(network, bob)
    stranger.begin(50)
    wait_until(lambda: watching.ask(type="status")["partial"] == 50, "no room for another one")
    sent = [os.urandom(4 * ANONYMOUS_CAPACITY) for _ in range(10)]
    for message in sent:
        for piece in honest.message(message, is_proven=False):
            honest.bring(piece)
            stranger.begin(1)
    assert [receiving.receive().message for _ in sent] == sent
    warnings = [record for record in caplog.records if "given up" in record.getMessage()]
    assert len(warnings) == 1


def test_what_a_sender_proved_comes_once_though_the_provider_repeats_it_after_a_flood(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nym.store.seen.GENERATION", 4)
    network = stack.enter_context(running(Network()))
    bob, _ = registered(stack, network)
    receiving = subscribed(stack, bob)
    alice, provider = Stranger(network, bob), Stranger(network, bob)
    seal = alice.bring(*alice.message(b"pay 100", is_proven=True))
    assert receiving.receive().message == b"pay 100"
    flood = [provider.message(b"", is_proven=False)[0] for _ in range(4 * (GENERATIONS + 1))]
    provider.bring(*flood)
    provider.repeat(*seal)
    provider.bring(*provider.message(b"the last one", is_proven=False))
    came = [receiving.receive().message for _ in range(len(flood) + 1)]
    assert came == [b""] * len(flood) + [b"the last one"]


def test_acknowledgements_do_not_tell_when_an_application_fetched(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares, "MOST_MESSAGES", 8)
    network = stack.enter_context(running(Network()))
    mallory, (bob, watching) = (
        stack.enter_context(Application(network.url, traffic=QUIET)),
        registered(stack, network),
    )
    with mallory.lines() as lines:
        for number in range(4):
            lines.send(bob.address, b"fills %d" % number, reliable=True)
        wait_until(lambda: lines.ask(type="status")["outbox"] == 0, "an inbox that is full")
        ping = lines.send(bob.address, b"ping", reliable=True)

        def refused() -> int:
            return int(watching.ask(type="status")["inbox_refused"]["strangers"])

        wait_until(refused, "a refusal")
        assert len(bob.receive(4)) == 4
        before = refused()
        wait_until(lambda: refused() > before, "another attempt")
        assert lines.ask(type="progress", id=ping)["state"] == "waiting"
        end_hour(bob.client)
        assert bob.receive(1) == [b"ping"]
        wait_until(lambda: lines.ask(type="status")["outbox"] == 0, "the acknowledgement")


def test_what_contacts_send_has_room_whatever_strangers_filled(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares, "MOST_MESSAGES", 8)
    network = stack.enter_context(running(Network()))
    friend, (bob, watching) = (
        stack.enter_context(Application(network.url, traffic=QUIET)),
        registered(stack, network),
    )
    (bob.folder / "contacts.toml").write_text(f'[friend]\naddress = "{friend.identity.address}"\n')
    for number in range(10):
        stranger = Stranger(network, bob)
        stranger.bring(*stranger.message(b"proven %d" % number, is_proven=True))
        stranger.bring(*stranger.message(b"anonymous %d" % number, is_proven=False))
    with friend.lines() as lines:

        def is_full() -> bool:
            refused = watching.ask(type="status")["inbox_refused"]
            return bool(
                refused == {"anonymous": 2, "strangers": 2, "contacts": 0, "correspondents": 0}
            )

        wait_until(is_full, "an inbox without room for strangers")
        lines.send(bob.address, b"from a friend", reliable=True)
        wait_until(lambda: lines.ask(type="status")["outbox"] == 0, "the acknowledgement")
    assert b"from a friend" in bob.receive(17)
