"""The client and its provider: choosing one, registering, pulling, and leaving it for another.

The clock is set by the tests, so that the client's patience ends at once.
"""

import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from nym._secrets import random_scalar
from nym.client import session as session_module
from nym.client.others import MOST_OTHERS, Others
from nym.client.registration import Registration
from nym.client.session import ProviderSession
from nym.errors import UnreachableError
from nym.identity import Identity
from nym.nodes.inboxes.memory import MemoryInboxes
from nym.nodes.keys import load_token_key
from nym.nodes.provider import Provider
from nym.store.inbox import Inbox
from nym.store.journal import Journal
from nym.store.state import State
from nym.topology import Mix, ProviderNode, Topology
from nym.wire.addresses import NodeAddress
from nym.wire.provider import (
    DUMMY,
    LOOP_COVER,
    REFUSED,
    Register,
    decode_request,
    encode_messages,
)
from tests.harness import (
    contents,
    free_port,
    memory_provider,
    serving,
    serving_http,
    without_descriptors,
)
from tests.pulling import Pulling

ADDRESS = bytes(range(32))  # which no provider checks unless it is proven
PRIVATE_KEY = random_scalar()
OWN = Identity(PRIVATE_KEY, ADDRESS)
PATIENCE = 600.0


def own(number: int) -> Identity:
    return Identity(PRIVATE_KEY, bytes([number]) * 32)


def nothing(provider: bytes) -> tuple[int, ...]:
    """What a client names that has no message of its provider yet."""
    return ()


def node(number: int, client_port: int = 1) -> ProviderNode:
    at = NodeAddress("127.0.0.1", client_port)
    return ProviderNode(at, at, bytes([number]) * 32, frozenset())


def network(*providers: ProviderNode, mixnode: bytes = bytes(32)) -> Topology:
    return Topology.of(((Mix(NodeAddress("127.0.0.1", 100 + mixnode[0]), mixnode),),), providers)


def leave_for(session: ProviderSession, clock: "Clock", there: ProviderNode) -> None:
    """List only the provider `there` until the client gives up its own one."""
    session.follow(network(there))
    clock.now += PATIENCE + 1
    session.follow(network(there))


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


def online() -> bool:
    return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(session_module, "time", clock)
    return clock


def test_a_client_keeps_its_provider_and_clients_spread(journal: Journal) -> None:
    providers = [node(i, i) for i in range(1, 5)]
    chosen = set()
    for number in range(40):
        session = ProviderSession(
            Identity(PRIVATE_KEY, bytes([number]) * 32), None, PATIENCE, State(journal), online
        )
        session.follow(network(*providers))
        again = ProviderSession(
            Identity(PRIVATE_KEY, bytes([number]) * 32), None, PATIENCE, State(journal), online
        )
        again.follow(network(*reversed(providers)))
        assert session.provider == again.provider
        chosen.add(session.provider)
    assert chosen == set(providers)


def test_a_preferred_provider_is_waited_for(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    session = ProviderSession(OWN, node(2).public_key, PATIENCE, State(journal), online)
    for _ in range(3):
        session.follow(network(node(1)))
    assert session.provider is None
    assert "is not in the directory" in (session.missed or "")
    assert len(caplog.records) == 1
    assert "is not in the directory" in caplog.text
    session.follow(network(node(1), node(2)))
    assert session.provider == node(2)
    assert session.missed is None


def test_a_provider_with_a_new_key_is_followed_by_its_address(journal: Journal) -> None:
    session = ProviderSession(OWN, None, PATIENCE, State(journal), online)
    session.follow(network(node(1, 7)))
    session.follow(network(node(2, 8), node(3, 7)))
    assert session.provider == node(3, 7)
    session.follow(network(node(2, 7), node(3, 9)))
    assert session.provider == node(3, 9), "a record with the provider's key was not followed"


def registered(session: ProviderSession, token: bytes = b"t" * 32) -> ProviderSession:
    """The session, with a token of its provider."""
    session._known().token = token
    session.registered.set()
    session.remember()
    return session


def test_a_token_is_kept_when_the_key_changes_and_goes_to_no_other_place(journal: Journal) -> None:
    state = State(journal)
    session = ProviderSession(OWN, None, PATIENCE, state, online)
    session.follow(network(node(1, 7)))
    registered(session)
    session.follow(network(node(3, 7)))
    assert session.provider == node(3, 7)
    assert session.can_pull
    again = ProviderSession(OWN, None, PATIENCE, state, online)
    again.follow(network(node(4, 7)))
    assert again.can_pull, "a client that was away while the key changed registers again"
    again.follow(network(node(4, 9)))
    assert again.provider == node(4, 9)
    assert not again.can_pull, "anybody can list a key at another place"


def test_an_old_key_that_somebody_lists_elsewhere_takes_nobody_away(journal: Journal) -> None:
    state = State(journal)
    session = ProviderSession(OWN, None, PATIENCE, state, online)
    session.follow(network(node(1, 7)))
    registered(session)
    # The client was away. The provider has another key by now, and somebody lists the old one.
    for one in (session, ProviderSession(OWN, None, PATIENCE, state, online)):
        for records in ((node(1, 9), node(2, 7)), (node(2, 7), node(1, 9))):
            one.follow(network(*records))
            assert one.provider == node(2, 7)
            assert one.can_pull


def test_a_place_is_both_places(journal: Journal) -> None:
    session = ProviderSession(OWN, None, PATIENCE, State(journal), online)
    session.follow(network(node(1, 7)))
    # Where clients go is the provider's; where packets go isn't.
    trap = node(2, 9)._replace(client_address=node(1, 7).client_address)
    session.follow(network(trap))
    assert session.provider == node(1, 7)
    assert session.missed


def claims(identity: bytes, provider: ProviderNode) -> ProviderNode:
    return provider._replace(identity=identity)


IDENTITY = b"i" * 32


def test_a_provider_is_found_by_its_identity_and_then_kept_by_its_place(journal: Journal) -> None:
    state = State(journal)
    session = ProviderSession(OWN, IDENTITY, PATIENCE, state, online)
    session.follow(network(node(1, 7), node(2, 8)))
    assert session.provider is None
    ours = claims(IDENTITY, node(3, 9))
    session.follow(network(node(1, 7), node(2, 8), ours))
    assert session.provider == ours
    # From now on, others may claim what they like, and ours has another key, or claims nothing.
    for one in (session, ProviderSession(OWN, IDENTITY, PATIENCE, state, online)):
        for changed in (claims(IDENTITY, node(4, 9)), node(5, 9)):
            one.follow(network(claims(IDENTITY, node(1, 7)), changed))
            assert one.provider == changed
            one.follow(network(claims(IDENTITY, node(1, 7))))
            assert one.provider == changed
            assert "is not in the directory" in (one.missed or "")


def test_of_several_providers_that_claim_an_identity_none_is_taken(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    session = ProviderSession(OWN, IDENTITY, PATIENCE, State(journal), online)
    session.follow(network(claims(IDENTITY, node(1, 7)), claims(IDENTITY, node(2, 8))))
    assert session.provider is None
    assert "more than one provider in the directory claims to be provider" in caplog.text
    session.follow(network(node(1, 7), claims(IDENTITY, node(2, 8))))
    assert session.provider == claims(IDENTITY, node(2, 8))


def test_a_provider_named_by_its_key_is_followed_to_the_next_key(journal: Journal) -> None:
    state = State(journal)
    session = ProviderSession(OWN, node(1).public_key, PATIENCE, state, online)
    session.follow(network(node(1, 7), node(2, 8)))
    assert session.provider == node(1, 7)
    session.follow(network(node(3, 7), node(2, 8), node(1, 9)))
    assert session.provider == node(3, 7)
    again = ProviderSession(OWN, node(1).public_key, PATIENCE, state, online)
    again.follow(network(node(4, 7), node(2, 8)))
    assert again.provider == node(4, 7)
    # Another name is another provider.
    other = ProviderSession(OWN, node(2).public_key, PATIENCE, state, online)
    other.follow(network(node(4, 7), node(2, 8)))
    assert other.provider == node(2, 8)


def test_another_provider_is_taken_when_patience_ends(journal: Journal, clock: Clock) -> None:
    session = ProviderSession(OWN, None, PATIENCE, State(journal), online)
    session.follow(network(node(1, 7)))
    clock.now += 2 * PATIENCE  # patience counts only from when the provider is first missed
    session.follow(network(node(2, 8)))
    clock.now += PATIENCE - 1
    session.follow(network(node(2, 8)))
    assert session.provider == node(1, 7)
    clock.now += 2
    session.follow(network(node(2, 8)))
    assert session.provider == node(2, 8)


def test_in_another_network_another_provider_is_taken_at_once(journal: Journal) -> None:
    session = ProviderSession(OWN, None, PATIENCE, State(journal), online)
    session.follow(network(node(1, 7), mixnode=b"a" * 32))
    session.follow(network(node(2, 8), mixnode=b"a" * 32))
    assert session.provider == node(1, 7)
    session.follow(network(node(3, 9), mixnode=b"b" * 32))
    assert session.provider == node(3, 9)


def test_a_provider_that_is_alone_is_asked_too_while_ours_is_missed(
    journal: Journal, clock: Clock, provider: Provider
) -> None:
    inbox = Inbox(journal)
    ours, lone = node(1, 7), node(2, provider.client_address.port)
    session = ProviderSession(OWN, None, PATIENCE, State(journal), online)
    polling = Pulling(session, journal, OWN, inbox).poller
    session.follow(network(ours))
    session.follow(network(node(3, 8), lone))
    assert session.others() == []
    for _ in range(2):
        session.follow(network(lone))
    polling.tick_others()
    provider._inboxes.put(ADDRESS, b"sent there meanwhile")
    polling.tick_others()
    assert contents(inbox.take()) == [b"sent there meanwhile"]
    assert session.provider == ours
    clock.now += PATIENCE + 1
    session.follow(network(lone))
    assert session.provider == lone
    assert session.can_pull
    assert [other.node for other in session._others] == [ours]


def test_no_other_than_the_preferred_provider_is_asked(journal: Journal) -> None:
    session = ProviderSession(OWN, node(1).public_key, PATIENCE, State(journal), online)
    session.follow(network(node(1, 7)))
    session.follow(network(node(2, 8)))
    assert session.others() == []


class Setup:
    """A poller, and the session and inbox that it works with."""

    def __init__(self, client_port: int, monkeypatch: pytest.MonkeyPatch, journal: Journal) -> None:
        monkeypatch.setattr("nym.client.poller.FIRST_RETRY", 0.0)
        self.session = ProviderSession(OWN, None, PATIENCE, State(journal), online)
        self.session.follow(network(node(1, client_port)))
        self.inbox = Inbox(journal)
        self.poller = Pulling(self.session, journal, OWN, self.inbox).poller


@pytest.fixture
def provider() -> Iterator[Provider]:
    with serving_http(lambda: b"{}") as directory:
        provider = memory_provider()
        provider.listen()
        provider.start(directory)
        yield provider
        provider.stop()


def test_it_registers_then_pulls_and_keeps_only_messages(
    journal: Journal, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = Setup(provider.client_address.port, monkeypatch, journal)
    setup.poller.tick()
    assert setup.session.registered.is_set()
    for message in (b"hello", LOOP_COVER, DUMMY, b""):
        provider._inboxes.put(ADDRESS, message)
    setup.poller.tick()
    assert contents(setup.inbox.take()) == [b"hello", b""]


def test_a_provider_that_forgot_the_client_is_registered_at_again(
    journal: Journal,
    provider: Provider,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    setup = Setup(provider.client_address.port, monkeypatch, journal)
    setup.poller.tick()
    provider._reception.tokens = load_token_key(None)
    provider._inboxes = provider._reception.inboxes = MemoryInboxes()
    setup.poller.tick()
    setup.poller.tick()
    provider._inboxes.put(ADDRESS, b"after")
    setup.poller.tick()
    assert contents(setup.inbox.take()) == [b"after"]
    assert caplog.text.count("provider: ") == 2  # one line for the refusal, one for its end


def test_a_provider_that_is_away_is_said_once(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    setup = Setup(free_port(), monkeypatch, journal)
    for _ in range(5):
        setup.poller.tick()
    assert not setup.session.registered.is_set()
    assert sum("can't be reached" in record.message for record in caplog.records) == 1


def test_before_the_first_registration_another_provider_is_tried(
    journal: Journal, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nym.client.poller.FIRST_RETRY", 0.0)
    alive = node(9, provider.client_address.port)
    dead = [node(number, free_port()) for number in range(1, 6)]
    for number in range(4):
        session = ProviderSession(
            Identity(PRIVATE_KEY, bytes([number]) * 32), None, PATIENCE, State(journal), online
        )
        polling = Pulling(session, journal, OWN).poller
        for _ in range(len(dead) + 1):
            session.follow(network(*dead, alive))
            polling.tick()
        assert session.provider == alive
        assert session.registered.is_set()


def test_no_provider_is_left_over_a_fault_of_this_machine(
    journal: Journal, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nym.client.poller.FIRST_RETRY", 0.0)
    providers = [node(number, provider.client_address.port) for number in range(1, 4)]
    session = ProviderSession(OWN, None, PATIENCE, State(journal), online)
    session.follow(network(*providers))
    chosen, polling = session.provider, Pulling(session, journal, OWN).poller
    with without_descriptors():
        polling.tick()
        assert "reached its limit" in (polling.outage.reason or "")
    polling.tick()
    assert session.registered.is_set()
    assert session.provider == chosen


def test_a_preferred_provider_is_not_left_for_a_reachable_one(
    journal: Journal, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nym.client.poller.FIRST_RETRY", 0.0)
    preferred, alive = node(1, free_port()), node(9, provider.client_address.port)
    session = ProviderSession(OWN, preferred.public_key, PATIENCE, State(journal), online)
    session.follow(network(preferred, alive))
    polling = Pulling(session, journal, OWN).poller
    for _ in range(3):
        polling.tick()
    assert session.provider == preferred
    assert not session.registered.is_set()


def test_registering_backs_off(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = []

    def refuse(connection: socket.socket) -> None:
        attempts.append(connection.recv(100))
        connection.sendall(REFUSED)

    with serving(refuse) as address:
        setup = Setup(address.port, monkeypatch, journal)
        monkeypatch.setattr("nym.client.poller.FIRST_RETRY", 60.0)
        polling = Pulling(setup.session, journal, OWN).poller
        for _ in range(5):
            polling.tick()
    assert attempts == [Register(ADDRESS).encode()]


@pytest.mark.parametrize(
    ("answer", "received"),
    [
        (b"", []),
        (b"\0", []),
        (b"\xff\xff", []),
        (encode_messages([b"one", b"two"])[:-1], [b"one"]),
        (encode_messages([b"one"]) + b"rest", []),
        (encode_messages([b"%d" % i for i in range(50)]), [b"%d" % i for i in range(50)]),
        (REFUSED, []),
    ],
)
def test_answers_that_are_not_as_they_should_be(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, answer: bytes, received: list[bytes]
) -> None:
    def serve(connection: socket.socket) -> None:
        request = decode_request(connection.recv(100))
        connection.sendall(bytes(32) if isinstance(request, Register) else answer)

    with serving(serve) as address:
        setup = Setup(address.port, monkeypatch, journal)
        for _ in range(2):
            setup.poller.tick()
    assert contents(setup.inbox.take()) == received


def test_provider_token_and_former_providers_are_known_at_the_next_start(
    journal: Journal, tmp_path: Path, clock: Clock, provider: Provider
) -> None:
    here = node(1, provider.client_address.port)
    session = ProviderSession(OWN, None, PATIENCE, State(journal), online)
    session.follow(network(node(9, 7)))
    leave_for(session, clock, here)
    session.register()
    journal.close()
    reopened = Journal(tmp_path, bytes(32))
    again = ProviderSession(OWN, None, PATIENCE, State(reopened), online)
    assert again.provider is None, "a provider is used before any topology lists it"
    again.follow(network(node(2, 8), here, node(9, 7)))
    assert again.provider == here
    assert again.registered.is_set()
    assert again.pull(nothing).messages == [DUMMY] * 5
    assert [registration.node for registration in again.others()] == [node(9, 7)]
    reopened.close()


def test_a_provider_that_is_listed_and_silent_is_left_when_patience_ends(
    journal: Journal, clock: Clock, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    port = provider.client_address.port
    session = ProviderSession(OWN, None, PATIENCE, State(journal), online)
    first = node(1, port)
    session.follow(network(first))
    session.register()
    provider.stop()
    both = network(first, node(2, 8))
    for _ in range(3):
        clock.now += PATIENCE / 2
        session.follow(both)
        with pytest.raises(UnreachableError):
            session.pull(nothing)
        assert session.provider == first
    clock.now += 1
    with pytest.raises(UnreachableError):
        session.pull(nothing)
    assert session.provider == node(2, 8)
    assert not session.can_pull
    assert [registration.node for registration in session.others()] == [first]
    assert "leaving provider " in caplog.text


def test_without_a_line_of_our_own_no_provider_is_blamed(
    journal: Journal, clock: Clock, provider: Provider
) -> None:
    session = ProviderSession(OWN, None, PATIENCE, State(journal), lambda: False)
    first = node(1, provider.client_address.port)
    session.follow(network(first))
    session.register()
    provider.stop()
    for _ in range(5):
        clock.now += PATIENCE
        with pytest.raises(UnreachableError):
            session.pull(nothing)
        session.follow(network(first, node(2, 8)))
        assert session.provider == first


def test_going_back_to_a_former_provider_takes_its_token_along(
    journal: Journal, clock: Clock, provider: Provider
) -> None:
    session = ProviderSession(OWN, None, PATIENCE, State(journal), online)
    first, second = node(1, provider.client_address.port), node(2, 8)
    session.follow(network(first))
    session.register()
    for there in (second, first):
        leave_for(session, clock, there)
        assert session.provider == there
    assert session.can_pull
    assert session.pull(nothing).messages == [DUMMY] * 5
    assert len(list(session._others)) == 1


@pytest.mark.parametrize("others", [8, 9, MOST_OTHERS - 1])
def test_a_provider_that_returns_after_many_others_still_has_its_token(
    journal: Journal, clock: Clock, provider: Provider, others: int
) -> None:
    session = ProviderSession(OWN, None, PATIENCE, State(journal), online)
    first = node(1, provider.client_address.port)
    session.follow(network(first))
    session.register()
    for there in [*(node(2 + i, 20_000 + i) for i in range(others)), first]:
        leave_for(session, clock, there)
        assert session.provider == there
    assert session.can_pull
    assert session.pull(nothing).messages == [DUMMY] * 5


def test_of_too_many_other_providers_the_oldest_without_a_token_is_forgotten() -> None:
    tokens = {1: b"first", 3: b"third"}
    others = Others()
    for i in range(MOST_OTHERS + 1):
        others.add(Registration(OWN, node(i, i), tokens.get(i)))
    assert len(list(others)) == MOST_OTHERS
    assert others.find(node(0, 0)) is None
    for i in range(MOST_OTHERS + 1, 2 * MOST_OTHERS - 1):
        others.add(Registration(OWN, node(i, i), b"another"))
    assert [other.token for other in others].count(b"first") == 1
    others.add(Registration(OWN, node(200, 200), b"another"))
    assert others.find(node(1, 1)) is None
    assert others.find(node(3, 3))
    others.add(new := Registration(OWN, node(201, 201), None))
    assert others.find(node(201, 201)) is new, (
        "the newest provider is forgotten before the client can register there"
    )


def test_a_provider_whose_address_is_a_new_one_is_kept_so(journal: Journal) -> None:
    session = ProviderSession(OWN, None, PATIENCE, State(journal), online)
    session.follow(network(node(1, 7)))
    session.follow(network(node(1, 8)))
    again = ProviderSession(OWN, None, PATIENCE, State(journal), online)
    again.follow(network(node(2, 8)))
    assert again.provider == node(2, 8), "after a start, the provider is not known by its new place"


def test_former_providers_are_asked_and_registered_at_again(
    journal: Journal, clock: Clock, provider: Provider
) -> None:
    inbox = Inbox(journal)
    session = ProviderSession(OWN, None, PATIENCE, State(journal), online)
    first = node(1, provider.client_address.port)
    session.follow(network(first))
    polling = Pulling(session, journal, OWN, inbox).poller
    polling.tick()
    leave_for(session, clock, node(2, 8))
    provider._inboxes.put(ADDRESS, b"waited there")
    polling.tick_others()
    assert contents(inbox.take()) == [], "a provider is asked that the directory doesn't list"
    provider._reception.tokens = load_token_key(None)
    session.follow(network(node(2, 8), first._replace(public_key=b"n" * 32)))
    for _ in range(2):  # it refuses the token, and then gives another one
        polling.tick_others()
    assert contents(inbox.take()) == [b"waited there"]
