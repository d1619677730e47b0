"""When a client leaves a provider that loses nearly everything, and when it stays.

Loops are simulated, and so is the time.
"""

from random import Random

import pytest

from nym._secrets import random_scalar
from nym.client.session import ProviderSession
from nym.client.trial import LONGEST_TRIAL, ProviderTrial
from nym.identity import Identity
from nym.loops import Loops
from nym.store.journal import Journal
from nym.store.state import State
from nym.topology import Mix, ProviderNode, Topology
from nym.wire.addresses import NodeAddress
from tests.simulation import PATIENCE, ROUTE

OWN = Identity(random_scalar(), bytes(range(32)))
FOR = 600.0  # seconds for which a client bears with a provider that loses nearly everything


def node(number: int, *clients: bytes) -> ProviderNode:
    at = NodeAddress("127.0.0.1", number)
    return ProviderNode(at, at, bytes([number]) * 32, frozenset(clients))


def network(*providers: ProviderNode) -> Topology:
    return Topology.of(((Mix(NodeAddress("127.0.0.1", 9), bytes(32)),),), providers)


class Client:
    """A client's loops to its own provider and to one on trial; providers in `losing` lose them."""

    def __init__(self, journal: Journal, *numbers: int, preferred: bytes | None = None) -> None:
        self.nodes = [node(number) for number in numbers]
        self.session = ProviderSession(OWN, preferred, FOR, State(journal), lambda: True)
        self.session.follow(network(*self.nodes))
        self.loops, self.is_fair = Loops(PATIENCE), True
        self.trial = ProviderTrial(self.session, self.loops, lambda: self.is_fair, Random(1))
        self.first, self.now = self.provider, 0.0
        self.losing: set[ProviderNode] = set()
        self.tried: set[ProviderNode] = set()
        self.is_busy = False  # whether loops wait at the client's own provider
        self._waiting: list[bytes] = []
        self._coming: list[bytes] = []
        self._sent = 0

    @property
    def provider(self) -> ProviderNode:
        assert self.session.provider is not None
        return self.session.provider

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end and self.provider == self.first:
            self.now += 0.25
            self._sent += 1
            name, other = self._sent.to_bytes(8, "big"), self.trial.turn()
            if other:
                self.tried.add(other)
                self.trial.sent(name, other, self.now)
            else:
                self.loops.sent(name, ROUTE, self.now)
            if (other or self.provider) not in self.losing:
                (self._coming if other else self._waiting).append(name)
            if not self.is_busy:
                self._coming, self._waiting = self._coming + self._waiting, []
            while self._coming:
                self.trial.returned(self._coming.pop(0), self.now)
            for registration in self.session.others():
                registration.token = b"token"
                self.trial.pulled(registration, self.now, is_drained=True)
            self.loops.pulled(self.now, is_drained=not self.is_busy)
            self.trial.look(self.now)


def test_it_is_left_after_its_patience_for_one_that_brings_loops_back(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    client = Client(journal, 1, 2, 3)
    client.run(100.0)
    client.losing = {client.first}
    client.run(FOR)
    assert not client.tried
    assert client.trial.reason is None
    client.run(LONGEST_TRIAL)
    assert client.provider in client.tried
    assert client.provider != client.first
    assert [other.node for other in client.session.others()] == [client.first]
    assert client.loops.loss(client.now) is None, (
        "losses of the former provider count against the new one"
    )
    assert "is being tried" in caplog.text
    assert "it loses nearly everything" in caplog.text


def test_while_no_other_does_better_all_are_tried_and_none_is_taken(journal: Journal) -> None:
    client = Client(journal, 1, 2, 3)
    client.losing = set(client.nodes)
    client.run(FOR + 5 * LONGEST_TRIAL)
    assert client.provider == client.first
    assert client.tried == set(client.nodes) - {client.first}
    client.losing = set()
    client.run(PATIENCE + 200.0)
    assert client.provider == client.first
    assert client.trial.reason is None


def test_one_that_does_better_is_found_behind_one_that_does_not(journal: Journal) -> None:
    client = Client(journal, 1, 2, 3)
    client.losing = set(client.nodes)
    client.run(FOR + 100.0)
    client.losing = {client.first, *client.tried}
    client.run(2 * LONGEST_TRIAL)
    assert client.provider not in client.losing


def test_when_the_mixnodes_carry_again_a_busy_provider_is_not_left(journal: Journal) -> None:
    client = Client(journal, 1, 2)
    client.losing = set(client.nodes)
    client.run(FOR + 200.0)
    client.losing, client.is_busy = set(), True  # at the own provider, loops wait behind messages
    client.run(120.0)
    client.is_busy = False
    client.run(LONGEST_TRIAL)
    assert client.provider == client.first
    assert client.trial.reason is None


def test_it_is_not_blamed_while_our_own_line_is_down(journal: Journal) -> None:
    client = Client(journal, 1, 2)
    client.is_fair, client.losing = False, {client.first}
    client.run(3 * FOR)
    assert not client.tried


def test_it_gains_no_time_by_records_that_change(journal: Journal) -> None:
    client = Client(journal, 1, 2)
    client.losing = {client.first}
    for i in range(int(FOR) // 10 + 30):
        other = next(n for n in client.nodes if n != client.first)
        if client.provider.public_key != client.first.public_key:
            break
        client.first = client.first._replace(clients=frozenset([bytes([i]) * 32]))
        client.losing.add(client.first)
        client.session.follow(network(client.first, other))
        client.run(10.0)
    assert client.provider.public_key == other.public_key


def test_one_that_the_settings_name_is_kept_and_so_is_a_lone_one(journal: Journal) -> None:
    for client, why in (
        (Client(journal, 1, 2, preferred=bytes([1]) * 32), "because client.provider names it"),
        (Client(journal, 1), "because the directory lists no other"),
    ):
        client.losing = {client.first}
        client.run(2 * FOR)
        assert client.provider == client.first
        assert why in (client.trial.reason or "")


def test_a_loss_of_half_is_borne(journal: Journal) -> None:
    client, random = Client(journal, 1, 2), Random(2)
    for _ in range(4000):
        client.losing = {client.first} if random.random() < 0.5 else set()
        client.run(0.25)
    assert client.provider == client.first
    assert not client.tried
