"""The sealed line between a client and its provider, over real sockets, and who attacks it.

The attacks are those of docs/security.md: a watcher of the line, a man in the middle, a stranger, a
directory, and a provider's successor.
"""

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

import gevent
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nym._secrets import exchange_public_key
from nym.client.registration import Registration
from nym.client.session import ProviderSession
from nym.errors import (
    GroupElementError,
    LineError,
    ProviderRefusedError,
    StoreError,
    UnreachableError,
)
from nym.identity import Identity, generate_identity
from nym.net import line as line_module
from nym.net.line import ask
from nym.net.streams import read_to_end
from nym.net.transport import exchange
from nym.nodes.inboxes.memory import MemoryInboxes
from nym.nodes.keys import Keyring, load_token_key
from nym.nodes.provider import Provider
from nym.signing import generate_signer
from nym.store.journal import Journal
from nym.store.state import State
from nym.topology import Mix, ProviderNode, Topology
from nym.wire import line
from nym.wire import provider as plain
from nym.wire.addresses import NodeAddress
from nym.wire.clients import EMPTY
from nym.wire.keys import encode_base58
from nym.wire.line import Answer, Outcome, Request, decode_answer
from nym.wire.sizes import LONGEST_MESSAGE
from nym.wire.versions import identity_in, offers_line
from tests.harness import ANYWHERE, PATIENCE, serving, wait_until
from tests.xk import Initiator

REGISTER = Request(registers=True).encode()
FIVE = [bytes([number]) * LONGEST_MESSAGE for number in range(5)]
# What a client writes and reads, whatever it asks for.
WRITTEN = len(line.BEGINNING) + line.FIRST_LENGTH + line.THIRD_LENGTH
READ = line.SECOND_LENGTH + line.FOURTH_LENGTH


class Host:
    """A provider with an identity, in this process, and its record in a directory."""

    def __init__(self, place: NodeAddress = ANYWHERE, *, is_plain: bool = False) -> None:
        self.signer = None if is_plain else generate_signer()
        self.inboxes = MemoryInboxes()
        self.provider = Provider(
            Keyring(None), load_token_key(None), ANYWHERE, place, self.inboxes, signer=self.signer
        )
        self.provider.listen()

    def __enter__(self) -> "Host":
        return self

    def __exit__(self, *_: object) -> None:
        self.provider.stop()

    @property
    def identity(self) -> bytes:
        assert self.signer is not None
        return self.signer.public_key

    @property
    def place(self) -> NodeAddress:
        return self.provider.client_address

    def record(self, place: NodeAddress | None = None) -> ProviderNode:
        """What a directory lists; `place` is where it says that clients find the provider."""
        version = self.provider._record(EMPTY).version
        at = place or self.place
        key = self.provider.keys.current.public_key
        return ProviderNode(at, at, key, frozenset(), identity_in(version), offers_line(version))

    def counts(self) -> tuple[int, int]:
        """How many sealed requests were granted, and how many were refused."""
        sealed = self.provider._reception._sealed
        return sealed["register"] + sealed["pull"], sealed["refused"]


@pytest.fixture
def host() -> Iterator[Host]:
    with Host() as host:
        yield host


@pytest.fixture
def alice() -> Identity:
    return generate_identity()


def nothing(provider: bytes) -> tuple[int, ...]:
    """What a client names that has no message of its provider yet."""
    return ()


def registered(own: Identity, host: Host, place: NodeAddress | None = None) -> Registration:
    registration = Registration(own, host.record(place))
    registration.register()
    return registration


class Tap:
    """Stands between clients and a server, and records what goes each way.

    It passes on all bytes of a client, and up to `passes` bytes of each answer.
    """

    def __init__(self, server: NodeAddress) -> None:
        self.server = server
        self.passes = READ
        self.written: list[bytes] = []
        self.read: list[bytes] = []

    def serve(self, connection: socket.socket) -> None:
        with socket.create_connection(self.server) as other:
            number = len(self.written)
            self.written.append(b"")
            self.read.append(b"")
            up = gevent.spawn(self._pass_up, number, connection, other)
            for chunk in read_to_end(other, self.passes):
                self.read[number] += chunk
                connection.sendall(chunk)
            up.kill()

    def _pass_up(self, number: int, connection: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while chunk := connection.recv(1 << 16):
                self.written[number] += chunk
                other.sendall(chunk)
            other.shutdown(socket.SHUT_WR)


@contextmanager
def tapped(server: NodeAddress) -> Iterator[tuple[Tap, NodeAddress]]:
    tap = Tap(server)
    with serving(tap.serve) as place:
        yield tap, place


def say(place: NodeAddress, data: bytes) -> bytes:
    """Write these bytes, and read what comes until the peer closes the connection."""
    with socket.create_connection(place, timeout=PATIENCE) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(read_to_end(connection, 1 << 20))


def test_a_provider_with_an_identity_announces_the_line(host: Host) -> None:
    version = host.provider._record(EMPTY).version
    assert str(version).startswith(f"0.4.0+id.{encode_base58(host.identity)}.line.1.since.")
    with Host(is_plain=True) as other:
        assert other.provider._record(EMPTY).version == "0.4.0"


def test_messages_stay_until_the_next_pull_names_them(host: Host, alice: Identity) -> None:
    registration = registered(alice, host)
    assert host.inboxes.is_proven(alice.public_key)
    assert (registration.token, registration.line) == (None, host.identity)
    for message in (*FIVE, b"sixth"):
        host.inboxes.put(alice.public_key, message)
    pulled = registration.pull(nothing)
    assert (pulled.messages, pulled.is_drained, pulled.keeper) == (FIVE, False, host.identity)
    assert registration.pull(nothing) == pulled
    assert host.inboxes.count() == 6
    rest = registration.pull(lambda provider: pulled.numbers)
    assert (rest.messages, rest.is_drained) == ([b"sixth"], True)
    assert host.inboxes.count() == 1
    # Naming a message again, or one that was never there, does nothing.
    assert registration.pull(lambda provider: (*pulled.numbers[:3], 7)) == rest
    assert registration.pull(lambda provider: rest.numbers).messages == []
    assert host.inboxes.count() == 0
    assert host.counts() == (6, 0)


def test_a_watcher_sees_neither_who_nor_what_nor_how_much(host: Host, alice: Identity) -> None:
    with tapped(host.place) as (tap, place):
        registration = registered(alice, host, place)
        for message in FIVE:
            host.inboxes.put(alice.public_key, message)
        numbers = registration.pull(nothing).numbers
        registration.pull(lambda provider: numbers)
        with pytest.raises(ProviderRefusedError):
            Registration(generate_identity(), host.record(place), is_proven=True).pull(nothing)
    assert {len(bytes_) for bytes_ in tap.written} == {WRITTEN}
    assert {len(bytes_) for bytes_ in tap.read} == {READ}
    seen = b"".join((*tap.written, *tap.read))
    token = host.provider._reception._token(alice.public_key)
    shown = (alice.public_key, token, host.identity, exchange_public_key(host.identity), *FIVE)
    assert not [secret for secret in shown if secret[:16] in seen]
    # All that two connections have in common is what says that they are sealed lines.
    firsts = [written[2:34] for written in tap.written]
    assert len(set(firsts)) == len(firsts) == 4


def test_what_was_recorded_cannot_be_used_again(host: Host, alice: Identity) -> None:
    with tapped(host.place) as (tap, place):
        registration = registered(alice, host, place)
        host.inboxes.put(alice.public_key, b"waits")
        numbers = registration.pull(nothing).numbers
        registration.pull(lambda provider: numbers)
    host.inboxes.put(alice.public_key, b"waits still")
    # The provider has forgotten the client, so that a replay would show.
    host.provider._reception.inboxes = fresh = MemoryInboxes()
    granted, _ = host.counts()
    for number, written in enumerate(tap.written, 1):
        answer = say(host.place, written)
        # Its second message, and then no answer: what follows was for another handshake.
        assert answer[line.SECOND_LENGTH :] == plain.REFUSED
        assert host.counts() == (granted, number)
    assert len(fresh) == 0


def test_a_man_in_the_middle_is_refused_by_both_sides(host: Host, alice: Identity) -> None:
    with Host() as mallory:
        # The client means the provider, and Mallory answers.
        registration = Registration(alice, host.record(mallory.place))
        with pytest.raises(LineError, match="doesn't prove that it is"):
            registration.register()
        assert not registration.is_complete
        assert (mallory.counts(), host.counts()) == ((0, 1), (0, 0))
    with tapped(host.place) as (tap, place), Host() as mallory:
        # The client means Mallory, who passes on what it says to the provider.
        with pytest.raises(LineError):
            Registration(alice, mallory.record(place)).register()
        assert tap.read == [plain.REFUSED]
    assert len(host.inboxes) == 0


def attack(host: Host, attacker: Initiator) -> Answer | None:
    """What the provider answers to the registration of an attacker; None if it isn't sealed."""
    with socket.create_connection(host.place, timeout=PATIENCE) as connection:
        connection.sendall(line.BEGINNING + attacker.first())
        attacker.second(b"".join(read_to_end(connection, line.SECOND_LENGTH)))
        connection.sendall(attacker.third(REGISTER))
        answer = attacker.answer(b"".join(read_to_end(connection, 1 << 20)))
        return decode_answer(answer) if answer is not None else None


def claims(host: Host, static: Identity, claimed: bytes) -> Initiator:
    key = exchange_public_key(host.identity)
    return Initiator(bytes(static.private_key), claimed, key, line.PROLOGUE)


def test_nobody_proves_an_address_without_its_key(host: Host, alice: Identity) -> None:
    mallory = generate_identity()
    assert attack(host, claims(host, mallory, alice.public_key)) is None
    assert len(host.inboxes) == 0
    # The attacker's code is right: with its own address, it is served.
    assert attack(host, claims(host, mallory, mallory.public_key)) == Answer(Outcome.GRANTED)
    assert host.inboxes.clients() == [mallory.public_key]


def test_another_encoding_of_an_address_is_none(host: Host, alice: Identity) -> None:
    other = alice.public_key[:-1] + bytes([alice.public_key[-1] | 0x80])
    assert attack(host, claims(host, alice, other)) == Answer(Outcome.REFUSED)
    assert len(host.inboxes) == 0


def test_a_key_that_shares_no_secret_proves_nothing(host: Host, alice: Identity) -> None:
    assert attack(host, claims(host, alice, bytes(32))) is None
    assert len(host.inboxes) == 0


def test_a_proven_address_is_its_owners_alone(host: Host, alice: Identity) -> None:
    """A stranger registered it first, as anybody can at a provider of 0.4."""
    token = exchange(host.place, plain.Register(alice.public_key).encode(), 33)
    assert len(token) == 32
    registration = registered(alice, host)
    host.inboxes.put(alice.public_key, b"for alice")
    for request in (
        plain.Register(alice.public_key),
        plain.Pull(alice.public_key, token),
        plain.Pull(alice.public_key, bytes(32)),
    ):
        assert exchange(host.place, request.encode(), 100) == plain.REFUSED
    mallory = registered(generate_identity(), host)
    numbers = registration.pull(nothing).numbers
    assert mallory.pull(lambda provider: numbers).messages == []
    assert registration.pull(nothing).messages == [b"for alice"]


def test_published_clients_register_and_pull_as_before(host: Host, alice: Identity) -> None:
    """Registration without a line is what our client does at a published provider."""
    record = host.record()._replace(offers_line=False)
    registration = Registration(alice, record)
    registration.register()
    assert (registration.token, registration.line) != (None, None)
    assert not host.inboxes.is_proven(alice.public_key)
    host.inboxes.put(alice.public_key, b"plain")
    pulled = registration.pull(nothing)
    assert pulled.messages == [b"plain", *[plain.DUMMY] * 4]
    assert (pulled.keeper, host.inboxes.count(), host.counts()) == (None, 0, (0, 0))
    assert say(host.place, b"\x02\x02" + bytes(64)) == plain.REFUSED
    assert say(host.place, b"\x02") == plain.REFUSED


def test_an_answer_that_is_cut_anywhere_costs_nothing(host: Host, alice: Identity) -> None:
    with tapped(host.place) as (tap, place):
        registration = registered(alice, host, place)
        for message in FIVE:
            host.inboxes.put(alice.public_key, message)
        cuts = {0, 1, 47, 48, 49, READ - 1, *range(0, READ, 17)}
        for tap.passes in sorted(cuts):
            with pytest.raises((UnreachableError, LineError)):
                registration.pull(nothing)
        assert registration.is_complete
        tap.passes = READ
        assert registration.pull(nothing).messages == FIVE
    assert host.inboxes.count() == 5


def network(*providers: ProviderNode) -> Topology:
    return Topology.of(((Mix(NodeAddress("127.0.0.1", 9), bytes(32)),),), providers)


def session(own: Identity, journal: Journal, preferred: bytes | None = None) -> ProviderSession:
    return ProviderSession(own, preferred, 600.0, State(journal), lambda: True)


def downgraded(node: ProviderNode) -> ProviderNode:
    """The record as a directory would list it that wants to read along."""
    return node._replace(identity=None, offers_line=False)


def test_a_directory_cannot_make_a_client_speak_plainly_again(
    host: Host, alice: Identity, journal: Journal, reopen: Callable[[], Journal]
) -> None:
    first = session(alice, journal)
    with tapped(host.place) as (tap, place):
        first.follow(network(host.record(place)))
        assert not first.is_sealed
        first.register()
        assert first.is_sealed
        # The provider is the same one, so all goes on, whatever is listed.
        for one in (first, session(alice, reopen())):
            one.follow(network(downgraded(host.record(place))))
            one.pull(nothing)
            assert one.can_pull
            assert one.is_sealed
    assert {len(written) for written in tap.written} == {WRITTEN}


def test_a_plain_successor_at_the_same_place_is_told_nothing(
    host: Host, alice: Identity, journal: Journal, reopen: Callable[[], Journal]
) -> None:
    first = session(alice, journal)
    first.follow(network(host.record()))
    first.register()
    place, record = host.place, host.record()
    host.provider.stop()
    heard: list[bytes] = []

    def listen(connection: socket.socket) -> None:
        heard.append(connection.recv(1 << 16))
        connection.sendall(plain.REFUSED)

    with serving(listen, place.ip, place.port):
        for one in (first, session(alice, reopen())):
            one.follow(network(downgraded(record)))
            for use in (partial(one.pull, nothing), one.register):
                with pytest.raises(LineError, match="doesn't prove that it is"):
                    use()
    assert len(heard) == 4
    for data in heard:
        assert data.startswith(line.BEGINNING)
        assert len(data) == len(line.BEGINNING) + line.FIRST_LENGTH
        assert alice.public_key[:8] not in data


def test_another_identity_at_the_same_place_has_to_be_named(
    host: Host,
    alice: Identity,
    journal: Journal,
    reopen: Callable[[], Journal],
) -> None:
    first = session(alice, journal)
    first.follow(network(host.record()))
    first.register()
    old, place = host.identity, host.place
    host.provider.stop()
    with Host(place) as successor:
        first.follow(network(successor.record()))
        with pytest.raises(LineError, match=encode_base58(old)) as refusal:
            first.pull(nothing)
        assert "client.provider" in str(refusal.value)
        with pytest.raises(LineError):
            first.register()
        assert len(successor.inboxes) == 0
        # It makes no difference if the client has used another provider meanwhile.
        elsewhere = ProviderNode(ANYWHERE, NodeAddress("127.0.0.1", 1), bytes(32), frozenset())
        first.leave_for(elsewhere, "a test")
        named = session(alice, reopen(), successor.identity)
        named.follow(network(successor.record()))
        assert not named.can_pull
        named.register()
        assert named.pull(nothing).messages == []
        named.follow(network(successor.record()))
        assert named.can_pull
        assert successor.inboxes.is_proven(alice.public_key)


def test_a_named_identity_is_the_only_one_that_is_spoken_to(
    host: Host, alice: Identity, journal: Journal
) -> None:
    named = session(alice, journal, host.identity)
    named.follow(network(host.record()))
    with Host() as mallory:
        # Somebody takes over the place, before the client has ever spoken to its provider.
        named.follow(network(mallory.record()._replace(client_address=host.place)))
        mallory_record = mallory.record()._replace(public_key=host.record().public_key)
        named.follow(network(mallory_record))
        with pytest.raises(LineError, match=encode_base58(host.identity)):
            named.register()
        assert len(mallory.inboxes) == 0


def test_a_client_that_registered_plainly_proves_its_address_when_it_can(
    host: Host, alice: Identity, journal: Journal
) -> None:
    one = session(alice, journal)
    one.follow(network(downgraded(host.record())))
    one.register()
    assert one.can_pull
    one.follow(network(host.record()))
    assert not one.can_pull
    one.register()
    assert host.inboxes.is_proven(alice.public_key)


def test_a_provider_that_forgot_its_clients_is_registered_at_again(
    host: Host, alice: Identity
) -> None:
    registration = registered(alice, host)
    host.provider._reception.inboxes = fresh = MemoryInboxes()
    with pytest.raises(ProviderRefusedError):
        registration.pull(nothing)
    assert not registration.is_complete
    registration.register()
    assert fresh.is_proven(alice.public_key)


def test_each_request_of_the_owner_proves_its_address(host: Host, alice: Identity) -> None:
    registration = registered(alice, host)
    host.provider._reception.inboxes = fresh = MemoryInboxes()
    # The provider has forgotten its clients, and a stranger is quicker than the owner.
    token = exchange(host.place, plain.Register(alice.public_key).encode(), 33)
    fresh.put(alice.public_key, b"for alice")
    assert registration.pull(nothing).messages == [b"for alice"]
    request = plain.Pull(alice.public_key, token).encode()
    assert exchange(host.place, request, 100) == plain.REFUSED


def test_a_provider_whose_store_fails_need_not_be_registered_at_again(
    host: Host, alice: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    registration = registered(alice, host)

    def fail(*_: object) -> None:
        raise StoreError("no room")

    with monkeypatch.context() as failing:
        failing.setattr(host.inboxes, "hand_over", fail)
        with pytest.raises(UnreachableError, match="can't serve clients now"):
            registration.pull(nothing)
    assert registration.pull(nothing).messages == []


def test_an_identity_that_nobody_can_have_is_refused(host: Host, alice: Identity) -> None:
    record = host.record()._replace(identity=(2).to_bytes(32, "little"))
    with pytest.raises(GroupElementError):
        Registration(alice, record).register()


def test_whoever_is_slow_or_talks_nonsense_loses_the_connection(
    host: Host, alice: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert say(host.place, line.BEGINNING + bytes(line.FIRST_LENGTH)) == plain.REFUSED
    assert say(host.place, line.BEGINNING + bytes(7)) == plain.REFUSED
    monkeypatch.setattr(line_module, "TIMEOUT", 0.05)
    with socket.create_connection(host.place, timeout=PATIENCE) as connection:
        connection.sendall(line.BEGINNING)
        assert b"".join(read_to_end(connection, 100)) == plain.REFUSED
    monkeypatch.undo()
    wait_until(lambda: host.counts() == (0, 3))
    registered(alice, host)


@given(st.binary(max_size=line.FIRST_LENGTH))
def test_any_bytes_are_answered_and_end_nothing(first: bytes) -> None:
    with Host() as host:
        assert say(host.place, line.BEGINNING + first) == plain.REFUSED
        registered(generate_identity(), host)
        assert host.counts() == (1, 1)


def test_a_provider_that_closes_without_a_word_is_unreachable(alice: Identity) -> None:
    identity = generate_signer().public_key

    def leave(connection: socket.socket) -> None:
        connection.recv(100)

    with (
        serving(leave) as place,
        pytest.raises(UnreachableError, match="without an answer"),
    ):
        ask(place, alice, identity, lambda: REGISTER)


def test_neither_log_nor_errors_show_addresses_or_tokens(
    host: Host, alice: Identity, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = exchange(host.place, plain.Register(alice.public_key).encode(), 33)
    registration = registered(alice, host)
    registration.pull(nothing)
    exchange(host.place, plain.Pull(alice.public_key, token).encode(), 100)
    say(host.place, line.BEGINNING + bytes(48))
    assert "refused a client" in caplog.text
    for secret in (alice.public_key, token):
        for form in (secret.hex(), encode_base58(secret), repr(secret)[2:-1]):
            assert form not in caplog.text
