"""At which provider a client looks for a recipient, whatever providers claim about clients."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nym import whereabouts
from nym.topology import ProviderNode, Topology
from nym.view import CLAIM
from nym.whereabouts import Whereabouts
from nym.wire.addresses import NodeAddress

CLIENT, OTHER, STRANGER = b"c" * 32, b"o" * 32, b"x" * 32


def provider(number: int, *clients: bytes) -> ProviderNode:
    at = NodeAddress("127.0.0.1", number)
    return ProviderNode(at, at, bytes([number]) * 32, frozenset(clients))


class Network:
    """What one client knows about recipients, and a clock that goes on with each listing."""

    def __init__(self) -> None:
        self.whereabouts = Whereabouts()
        self.now = 0.0

    def list(self, *providers: ProviderNode, after: float = 10.0) -> None:
        """Let the directory list these providers, so many seconds later."""
        self.now += after
        self.whereabouts.follow(Topology.of((), providers), self.now)

    def place(self, recipient: bytes) -> int | None:
        """The number of the provider to which the client would send, if it knows one."""
        node = self.whereabouts.provider_of(recipient)
        return node and node.address.port


def test_a_recipient_is_where_it_is_listed() -> None:
    network = Network()
    assert network.place(CLIENT) is None
    network.list(provider(1, OTHER), provider(2, CLIENT))
    assert network.place(CLIENT) == 2
    assert network.place(OTHER) == 1
    assert network.place(STRANGER) is None


def test_another_list_moves_nobody_as_long_as_the_first_one_has_them() -> None:
    for first in (1, 2, 3):
        network = Network()
        network.list(provider(first, CLIENT))
        other = first % 3 + 1
        for _ in range(3):
            network.list(provider(other, CLIENT), provider(first, CLIENT))
            assert network.place(CLIENT) == first
        network.list(provider(other, CLIENT), provider(first))
        assert network.place(CLIENT) == other
        network.list(provider(other, CLIENT), provider(first, CLIENT))
        assert network.place(CLIENT) == other


def test_a_provider_that_comes_back_has_its_clients_again_for_a_day() -> None:
    for away, place in ((CLAIM / 2, 1), (CLAIM + 20, 2)):
        network = Network()
        network.list(provider(1, CLIENT), provider(2))
        network.list(provider(2, CLIENT))
        assert network.place(CLIENT) == 2, "the only provider that lists the recipient isn't used"
        network.list(provider(2, CLIENT), after=away)
        network.list(provider(1, CLIENT), provider(2, CLIENT))
        assert network.place(CLIENT) == place


def test_clients_of_a_provider_that_is_away_are_not_looked_for_at_the_lone_one() -> None:
    network = Network()
    network.list(provider(1, CLIENT), provider(2))
    for _ in range(3):
        network.list(provider(2), after=CLAIM)
        assert network.place(CLIENT) is None
        assert network.place(STRANGER) == 2
    renewed = provider(3)  # instead of provider 1, under another key and address
    network.list(renewed)
    assert network.place(CLIENT) is None
    network.list(provider(3, CLIENT))
    assert network.place(CLIENT) == 3


def with_key(number: int, node: ProviderNode) -> ProviderNode:
    return node._replace(public_key=bytes([number]) * 32)


def test_a_recipient_stays_at_its_provider_when_that_has_another_key() -> None:
    for later in (10.0, CLAIM / 2):
        network = Network()
        network.list(provider(1, CLIENT), provider(2))
        # Whatever its key, whoever lists the recipient too, and whoever lists the old key.
        for old, number in ((1, 11), (11, 12)):
            liars = provider(2, CLIENT), with_key(old, provider(3, CLIENT))
            network.list(*liars, with_key(number, provider(1, CLIENT)), after=later)
            assert network.place(CLIENT) == 1
            network.list(with_key(number, provider(1, CLIENT)), *liars, after=later)
            assert network.place(CLIENT) == 1


def test_a_provider_that_was_away_has_its_clients_again_under_another_key() -> None:
    network = Network()
    network.list(provider(1, CLIENT), provider(2))
    network.list(provider(2, CLIENT))
    assert network.place(CLIENT) == 2
    network.list(provider(2, CLIENT), after=CLAIM / 2)
    network.list(with_key(9, provider(1, CLIENT)), provider(2, CLIENT))
    assert network.place(CLIENT) == 1


def test_somebody_who_was_written_to_at_a_lone_provider_stays_when_its_key_changes() -> None:
    network = Network()
    network.list(provider(1))
    assert network.place(CLIENT) == 1
    network.list(with_key(9, provider(1)), provider(2))
    assert network.place(CLIENT) == 1


def test_a_provider_that_moves_with_its_key_keeps_its_clients() -> None:
    network = Network()
    network.list(provider(1, CLIENT), provider(2))
    network.list(with_key(1, provider(5, CLIENT)), with_key(2, provider(1, CLIENT)))
    assert network.place(CLIENT) == 5, "the one that has taken over its address"


def test_who_was_known_at_a_lone_provider_stays_there() -> None:
    network = Network()
    network.list(provider(1))
    assert network.place(CLIENT) == 1
    network.list(provider(2), provider(1))
    assert network.place(CLIENT) == 1
    assert network.place(STRANGER) is None, (
        "a recipient that was never written to could be at either provider"
    )
    network.list(provider(2), provider(3))
    assert network.place(CLIENT) is None


def test_only_so_many_are_remembered_that_no_provider_lists(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(whereabouts, "MOST", 3)
    network = Network()
    network.list(provider(1))
    written_to = [bytes([number]) * 32 for number in range(5)]
    for recipient in [*written_to, written_to[-1]]:
        assert network.place(recipient) == 1
    network.list(provider(2), provider(1))
    assert [network.place(recipient) for recipient in written_to] == [None, None, 1, 1, 1]


def test_the_order_of_lists_does_not_say_where_a_new_recipient_is() -> None:
    recipients = [bytes([number]) * 32 for number in range(100)]
    there, back = Network(), Network()
    providers = [provider(number, *recipients) for number in (1, 2, 3)]
    there.list(*providers)
    back.list(*reversed(providers))
    places = [there.place(recipient) for recipient in recipients]
    assert places == [back.place(recipient) for recipient in recipients]
    assert set(places) == {1, 2, 3}


def test_work_grows_with_the_lists_not_with_their_square() -> None:
    providers = [
        provider(0, number.to_bytes(32, "big"))._replace(public_key=number.to_bytes(32, "little"))
        for number in range(10_000)
    ]
    network, began = Network(), time.process_time()
    for some in (providers, providers, providers[5000:], providers):
        network.list(*some)
    assert network.place((7).to_bytes(32, "big")) == 0
    assert time.process_time() - began < 5.0, "hundreds of seconds, if each was held against each"


LISTS = st.dictionaries(st.integers(1, 4), st.frozensets(st.sampled_from([CLIENT, OTHER])))
PAUSES = st.sampled_from([10.0, CLAIM / 2, 2 * CLAIM])


@given(st.lists(st.tuples(LISTS, PAUSES), max_size=6))
def test_whatever_others_list_a_recipient_stays_where_it_was_first(
    looks: list[tuple[dict[int, frozenset[bytes]], float]],
) -> None:
    network = Network()
    network.list(provider(9, CLIENT))
    for lists, after in looks:
        others = [provider(number, *clients) for number, clients in lists.items()]
        network.list(*others, provider(9, CLIENT), after=after)
        assert network.place(CLIENT) == 9


@given(st.lists(st.tuples(LISTS, PAUSES), min_size=1, max_size=6))
def test_who_is_listed_is_at_one_of_those_that_list_them(
    looks: list[tuple[dict[int, frozenset[bytes]], float]],
) -> None:
    network = Network()
    for lists, after in looks:
        network.list(*(provider(n, *clients) for n, clients in lists.items()), after=after)
        for recipient in (CLIENT, OTHER):
            if listing := [n for n, clients in lists.items() if recipient in clients]:
                assert network.place(recipient) in listing
