"""The two streams: when and where a packet goes, and its delays, don't show what it carries.

A node takes the packets over a real socket. The tests have the keys of all hops, so they can look
at the delays and the contents.
"""

import os
import socket
import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from random import Random
from statistics import fmean

import gevent
import pytest

from nym.client import stock
from nym.client.acknowledgements import Acknowledgements
from nym.client.cover import DropCover, LoopCover
from nym.client.deliveries import Deliveries
from nym.client.delivery import Way
from nym.client.named import NamedProviders
from nym.client.notes import ProviderNotes
from nym.client.outgoing import OutgoingQueue
from nym.client.packets import Draft, PacketMaker
from nym.client.sender import Sender
from nym.client.session import ProviderSession
from nym.client.stock import Stock
from nym.client.tags import Tags
from nym.client.tempo import Tempo
from nym.client.trial import ProviderTrial
from nym.envelope import MOST_RUNS, Acknowledgement, Cover, Envelopes, Fragment, Run
from nym.errors import NoTopologyError
from nym.health import Health
from nym.identity import Identity, generate_identity
from nym.routes import NANOSECONDS
from nym.sphinx import (
    Final,
    Forward,
    Request,
    create_packet,
    create_packets,
    is_public_key,
    process_packet,
)
from nym.store.journal import Journal
from nym.store.outbox import Ends, Manner, Outbox, Outgoing, new_id
from nym.store.state import State
from nym.topology import Mix, Nodes, ProviderNode, Topology
from nym.whereabouts import Whereabouts
from nym.wire.addresses import NodeAddress, decode_address
from nym.wire.provider import LOOP_COVER
from tests.harness import (
    Addresses,
    free_port,
    onlookers,
    serving,
    wait_until,
    wait_until_handed_over,
)

OWN_IDENTITY, OTHER_IDENTITY = generate_identity(), generate_identity()
OWN, OTHER = OWN_IDENTITY.public_key, OTHER_IDENTITY.public_key
TO_OTHER = Ends(b"", OTHER)
MIXNODES = [generate_identity() for _ in range(3)]
PROVIDER = generate_identity()
DELAY = 0.1


class Setup:
    """The sending half of a client, and a network whose first hops are the given places."""

    def __init__(
        self, journal: Journal, first_hops: list[NodeAddress], *, is_sealed: bool = False
    ) -> None:
        at = NodeAddress("127.0.0.1", 1)
        layers = [
            [Mix(address, MIXNODES[0].public_key) for address in first_hops],
            *([Mix(at, node.public_key)] for node in MIXNODES[1:]),
        ]
        place = NodeAddress("127.0.0.1", 2)
        provider = ProviderNode(place, place, PROVIDER.public_key, frozenset())
        self.topology: Topology | None = Topology.of(layers, (provider,))
        self.session = ProviderSession(OWN_IDENTITY, None, 600, State(journal), lambda: True)
        self.session.follow(self.topology)
        random = Random(1)
        self.health = Health(20.0)
        whereabouts = Whereabouts()
        self.named = NamedProviders(journal)
        whereabouts.follow(self.topology, 0.0)
        tags = Tags(journal, time.time)
        own = Addresses(journal, OWN_IDENTITY, self.session, tags, count=0).own
        self.packets = PacketMaker(
            own,
            tags,
            lambda: self.topology,
            whereabouts,
            self.named,
            self.session,
            self.health,
            DELAY,
            random,
        )
        self.outbox, self.sender = Outbox(journal), Sender(self.health, onlookers())
        trial = ProviderTrial(self.session, self.health.loops, lambda: True, random)
        tempo = Tempo(4.0)
        self.cover = LoopCover(
            own,
            self.packets,
            self.sender,
            self.health,
            trial,
            tempo,
            0.5,
            random,
            is_sealed=is_sealed,
        )
        self.drops = DropCover(self.packets, self.sender, 0.5, is_sealed=is_sealed)
        self.way = Way(0.0)
        self.acknowledgements = Acknowledgements(OWN, 0.0)
        self.told_of: ProviderNode | None = None
        self.notes = ProviderNotes(OWN, lambda: self.told_of)
        self.session.registered.set()
        self.deliveries = Deliveries(
            self.outbox,
            OWN,
            600.0,
            self.packets.obstacle,
            lambda: self.way,
            lifetime=0.0,
        )
        self.queue = OutgoingQueue(
            self.deliveries,
            self.acknowledgements,
            self.notes,
            self.packets,
            self.sender,
            self.drops,
            tempo,
            0.5,
            random,
        )

    def accept(self, recipient: bytes, message: bytes, manner: Manner = Manner.PLAIN) -> str:
        outgoing = Outgoing(new_id(), recipient, message, manner)
        assert self.outbox.accept([outgoing]) == [None]
        return outgoing.id

    def lead_to(self, first_hop: NodeAddress) -> None:
        """From now on, packets leave by this first hop."""
        assert self.topology is not None
        first = Nodes((Mix(first_hop, MIXNODES[0].public_key),))
        self.topology = self.topology._replace(layers=(first, *self.topology.layers[1:]))

    def tick(self) -> None:
        """Let the outgoing queue send one packet, and wait for its outcome."""
        self.queue.tick(time.monotonic())
        wait_until_handed_over(self.sender)


class Node:
    """A first hop that keeps the packets that it gets, and unwraps them for all hops."""

    def __init__(self) -> None:
        self.packets: list[bytes] = []

    def take(self, connection: socket.socket) -> None:
        self.packets.append(connection.recv(4096))

    def unwrapped(self, count: int = 0) -> list[tuple[list[int], Final]]:
        """What it got, once that is so many packets: senders don't wait until they are read."""
        wait_until(lambda: len(self.packets) >= count)
        return [unwrap(packet) for packet in self.packets]


def made(draft: Draft) -> bytes:
    return create_packet(*draft.request[:3])


def unwrap(packet: bytes) -> tuple[list[int], Final]:
    """Unwrap a packet hop by hop: (delays in nanoseconds, what the provider gets)."""
    delays = []
    for node in MIXNODES:
        forward = process_packet(packet, node.private_key)
        assert isinstance(forward, Forward)
        delays.append(forward.delay)
        packet = forward.packet
    final = process_packet(packet, PROVIDER.private_key)
    assert isinstance(final, Final)
    return delays, final


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.fixture
def setup(node: Node, journal: Journal) -> Iterator[Setup]:
    with serving(node.take) as address:
        yield Setup(journal, [address])


def test_every_tick_is_one_packet_a_message_or_cover(setup: Setup, node: Node) -> None:
    for message in (b"one", b"two"):
        setup.accept(OTHER, message)
    for _ in range(5):
        setup.queue.tick(time.monotonic())
        setup.cover.tick(time.monotonic())
    contents = [(final.destination, final.message()) for _, final in node.unwrapped(10)]
    drops = [content for content in contents if content[0] not in (OWN, OTHER)]
    assert len(dict(drops)) == 3, "each has an address of its own"
    sent = [(OTHER, b"one"), (OTHER, b"two"), *[(OWN, LOOP_COVER)] * 5]
    assert sorted(content for content in contents if content not in drops) == sorted(sent)
    assert (setup.queue.sent, setup.cover.sent, setup.drops.sent) == (2, 5, 3)


def test_cover_in_the_place_of_messages_never_comes_back(sealing: Setup, node: Node) -> None:
    """Messages don't, so whoever counts what leaves and comes in would see how many there are."""
    for _ in range(20):
        sealing.tick()
    finals = [final for _, final in node.unwrapped(20)]
    assert len({final.destination for final in finals}) == 20
    for final in finals:
        assert is_public_key(final.destination)  # as if a client had it
        assert len(final.message()) == 975
        assert Envelopes(OWN_IDENTITY).open(final.message()) is None
    assert sealing.health.loops.sent_count == 0


class Batches:
    """How many packets of cover were made together, each time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        monkeypatch.setattr(stock, "create_packets", self._create)

    def _create(self, requests: list[Request]) -> list[bytes]:
        self.sizes.append(len(requests))
        return create_packets(requests)


def test_cover_is_made_eight_packets_at_a_time_and_a_message_costs_none(
    sealing: Setup, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = Batches(monkeypatch)
    for _ in range(8):
        sealing.queue.tick(time.monotonic())
        sealing.cover.tick(time.monotonic())
    assert batches.sizes == [8, 8]
    sealing.accept(OTHER, b"hello", Manner.PLAIN)
    for _ in range(9):
        sealing.queue.tick(time.monotonic())
    assert batches.sizes == [8, 8, 8]
    packets = node.unwrapped(25)
    assert len({(final.destination, final.message()) for _, final in packets}) == 25
    assert len({tuple(delays) for delays, _ in packets}) == 25


def test_cover_is_made_anew_for_another_network_and_when_it_is_old(
    sealing: Setup, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches, elsewhere = Batches(monkeypatch), Node()

    def tick() -> None:
        sealing.queue.tick(time.monotonic())
        sealing.cover.tick(time.monotonic())

    tick()
    known, sealing.topology = sealing.topology, None
    tick()  # while there is no network, nothing leaves
    assert len(node.unwrapped(2)) == 2
    with serving(elsewhere.take) as address:
        sealing.topology = known
        sealing.lead_to(address)
        tick()
        elsewhere.unwrapped(2)
        assert batches.sizes == [8, 8, 0, 0, 8, 8]
        monkeypatch.setattr(stock, "LONGEST_KEPT", 0.0)
        tick()
        elsewhere.unwrapped(4)
    assert batches.sizes[6:] == [8, 8]
    assert len(node.packets) == 2


def test_no_cover_takes_a_route_that_messages_avoid_by_then(journal: Journal, node: Node) -> None:
    """Its first mixnode could tell that these packets were cover."""
    nobody = Mix(NodeAddress("127.0.0.1", free_port()), generate_identity().public_key)
    with serving(node.take) as address:
        setup = Setup(journal, [address], is_sealed=True)
        assert setup.topology is not None
        layer, *others = setup.topology.layers
        setup.topology = setup.topology._replace(layers=(Nodes((*layer, nobody)), *others))
        for _ in range(10):
            sent = 0
            while not setup.health.avoided(time.monotonic()):
                setup.tick()
                sent = setup.drops.sent
            for _ in range(8):
                setup.tick()
            assert setup.drops.sent == sent + 8
            setup.health = setup.packets._health = setup.sender._health = Health(20.0)


def test_as_much_cover_is_made_as_leaves_soon(setup: Setup) -> None:
    counts = [
        Stock(setup.packets, mean, lambda: None)._count for mean in (0.0, 0.001, 0.5, 1.0, 5.0, 60)
    ]
    assert counts == [8, 8, 8, 5, 1, 1]


@pytest.mark.parametrize("is_renewed", [False, True])
def test_a_loop_counts_only_if_its_provider_is_as_it_was_when_it_was_made(
    sealing: Setup, is_renewed: bool
) -> None:
    """It is made before its moment. With another key, the provider can't open it."""
    assert sealing.topology is not None
    (provider,) = sealing.topology.providers
    sealing.cover.tick(time.monotonic() + 0.1)
    if is_renewed:
        renewed = provider._replace(public_key=MIXNODES[0].public_key)
        sealing.session.follow(sealing.topology._replace(providers=Nodes((renewed,))))
        assert sealing.session.provider == renewed
    wait_until(lambda: sealing.cover.sent == 1)
    assert sealing.health.loops.sent_count == (0 if is_renewed else 1)


def test_cover_goes_to_all_providers_alike(setup: Setup) -> None:
    """By machine, as in all routes: many providers on one machine get no more for it."""
    assert setup.topology is not None
    (own,) = setup.topology.providers
    hosts = ["127.0.0.1", "192.0.2.1", "198.51.100.1", "198.51.100.1"]
    setup.topology = setup.topology._replace(
        providers=Nodes(
            own._replace(address=NodeAddress(host, 9), public_key=bytes([number]) * 32)
            for number, host in enumerate(hosts)
        )
    )
    chosen = Counter(setup.packets.random_provider() for _ in range(3000))
    shares = [chosen[provider] / 3000 for provider in setup.topology.providers]
    for share, expected in zip(shares, [1 / 3, 1 / 3, 1 / 6, 1 / 6], strict=True):
        assert abs(share - expected) < 0.05  # more than five standard deviations


def test_cover_and_messages_are_delayed_alike(journal: Journal) -> None:
    setup = Setup(journal, [NodeAddress("127.0.0.1", 1)])
    means = []
    for recipient, message in ((OWN, LOOP_COVER), (OTHER, b"hello")):
        packets = [made(setup.packets.draft(Ends(b"", recipient), message)) for _ in range(400)]
        delays = [delay / NANOSECONDS for packet in packets for delay in unwrap(packet)[0]]
        means.append(fmean(delays))
    for mean in means:
        assert abs(mean - DELAY) < 0.015  # five standard deviations


def test_without_a_network_nothing_is_sent_and_nothing_lost(setup: Setup, node: Node) -> None:
    setup.accept(OTHER, b"later")
    topology, setup.topology = setup.topology, None
    for _ in range(3):
        setup.queue.tick(time.monotonic())
        setup.cover.tick(time.monotonic())
    assert len(setup.outbox) == 1
    assert setup.drops.sent == 0
    with pytest.raises(NoTopologyError):
        setup.packets.draft(TO_OTHER, b"")
    setup.topology = topology
    setup.queue.tick(time.monotonic())
    assert node.unwrapped(1)[0][1].message() == b"later"


def test_a_message_that_no_node_took_goes_out_again(journal: Journal, node: Node) -> None:
    with serving(node.take) as address:
        setup = Setup(
            journal, [NodeAddress("127.0.0.1", free_port()) for _ in range(2)] + [address]
        )
        messages = [b"%d" % i for i in range(20)]
        for message in messages:
            setup.accept(OTHER, message)

        def all_arrived() -> bool:
            setup.queue.tick(time.monotonic())
            gevent.sleep(0.001)
            arrived = {final.message() for _, final in node.unwrapped()}
            return arrived >= set(messages)

        wait_until(all_arrived)
        assert len(setup.outbox) == 0
        finals = [final.message() for _, final in node.unwrapped()]
        assert sorted(m for m in finals if m != LOOP_COVER) == sorted(messages)
        assert len(finals) > setup.drops.sent


@pytest.mark.parametrize("manner", Manner)
def test_a_piece_that_was_refused_is_the_next_that_is_sent(
    journal: Journal, node: Node, manner: Manner
) -> None:
    with serving(node.take) as address:
        setup = Setup(journal, [NodeAddress("127.0.0.1", free_port())], is_sealed=True)
        setup.accept(OTHER, b"hello", manner)
        for _ in range(3):
            setup.tick()
        assert setup.queue.sent == 0
        setup.lead_to(address)
        for _ in range(3):
            setup.tick()
        assert setup.queue.sent == 1, "the message must leave once; all other packets are cover"
        (_, final), *cover = node.unwrapped(3)
        assert len(cover) == 2
        content = Envelopes(OTHER_IDENTITY).open(final.message())
        if manner is Manner.PLAIN:
            assert final.message() == b"hello"
        else:
            assert isinstance(content, Fragment)
            assert content.data == b"hello"


def test_an_acknowledgement_that_was_refused_is_the_next_that_is_sent(
    journal: Journal, node: Node
) -> None:
    runs = [Run(bytes([number]) * 16, 0, number) for number in range(3)]
    with serving(node.take) as address:
        setup = Setup(journal, [NodeAddress("127.0.0.1", free_port())], is_sealed=True)
        for run in runs:
            setup.acknowledgements.add(TO_OTHER, run, time.monotonic(), is_complete=True)
        for _ in range(3):
            setup.tick()
        setup.lead_to(address)
        for _ in range(2):
            setup.tick()
        assert setup.queue.sent == 1
        (said,) = sealed(node, 2)
        assert isinstance(said, Acknowledgement)
        assert set(said.runs) == set(runs)


def test_own_packets_go_to_the_own_provider_whatever_the_directory_says(journal: Journal) -> None:
    setup = Setup(journal, [NodeAddress("127.0.0.1", 1)])
    assert setup.topology is not None
    other = setup.topology.providers[0]._replace(clients=frozenset({OWN}))
    setup.topology = setup.topology._replace(providers=Nodes((other,)))
    assert setup.packets.is_routable(Ends(b"", OWN))
    for _ in range(5):
        assert unwrap(made(setup.packets.draft(Ends(b"", OWN), b"x")))[1].destination == OWN


def test_routes_are_drawn_anew_for_each_packet(journal: Journal) -> None:
    hops = [NodeAddress("127.0.0.1", port) for port in range(1, 6)]
    setup = Setup(journal, hops)
    drafts = [setup.packets.draft(TO_OTHER, b"x") for _ in range(100)]
    assert {draft.route[0].address for draft in drafts} == set(hops)
    packets = create_packets([draft.request for draft in drafts])
    assert len({packet[:32] for packet in packets}) == 100
    forward = process_packet(packets[0], MIXNODES[0].private_key)
    assert isinstance(forward, Forward)
    assert decode_address(forward.address) == NodeAddress("127.0.0.1", 1)


def test_stopping_gives_back_what_was_not_handed_over(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nym.client.sender.LONGEST_END", 0.05)
    setup = Setup(journal, [NodeAddress("192.0.2.1", 9)])  # an address for documentation only

    def hang(*_: object) -> None:
        gevent.sleep(60)

    monkeypatch.setattr("nym.client.sender.send_packet", hang)
    setup.accept(OTHER, b"under way")
    setup.queue.tick(time.monotonic())
    gevent.sleep(0.01)  # so that the greenlet that hands the packet over has begun to hang
    setup.sender.stop()
    assert len(setup.outbox) == 1
    monkeypatch.undo()


@pytest.fixture
def sealing(node: Node, journal: Journal) -> Iterator[Setup]:
    with serving(node.take) as address:
        yield Setup(journal, [address], is_sealed=True)


def sealed(node: Node, count: int, recipient: Identity = OTHER_IDENTITY) -> list[object]:
    """Wait for `count` packets; return the contents of all those that `recipient` can open."""
    envelopes = [final.message() for _, final in node.unwrapped(count)]
    assert {len(envelope) for envelope in envelopes} == {975}
    opened = map(Envelopes(recipient).open, envelopes)
    return [content for content in opened if content is not None]


def test_sealed_cover_is_known_when_it_returns(sealing: Setup, node: Node) -> None:
    for _ in range(3):
        sealing.cover.tick(time.monotonic())
    loops = sealed(node, 3, OWN_IDENTITY)
    assert len({loop.id for loop in loops if isinstance(loop, Cover)}) == 3
    for loop in loops:
        assert isinstance(loop, Cover)
        assert sealing.health.loops.returned(loop.id, time.monotonic())
        assert not sealing.health.loops.returned(loop.id, time.monotonic())


def test_long_messages_and_silent_recipients_hold_up_nobody(sealing: Setup, node: Node) -> None:
    third = generate_identity()
    sealing.accept(OTHER, bytes(50_000), Manner.SEALED)
    sealing.accept(OTHER, b"short", Manner.RELIABLE)
    sealing.accept(third.public_key, b"to a third", Manner.SEALED)
    for _ in range(4):
        sealing.queue.tick(time.monotonic())
    fragments = sealed(node, 4)
    assert [f.data for f in sealed(node, 4, third) if isinstance(f, Fragment)] == [b"to a third"]
    short = [f for f in fragments if isinstance(f, Fragment) and f.count == 1]
    assert [(f.data, f.sender) for f in short] == [(b"short", OWN)]


def owe(setup: Setup, envelopes: int) -> None:
    """Let the client owe so many full envelopes of acknowledgements, to one sender each."""
    for _ in range(envelopes):
        sender = generate_identity().public_key
        for _ in range(MOST_RUNS):
            setup.acknowledgements.add(
                Ends(b"", sender), Run(os.urandom(16), 0, 0), 0.0, is_complete=True
            )


@pytest.mark.parametrize("messages", [0, 3, 40])
def test_when_acknowledgements_leave_tells_nothing_about_messages(
    sealing: Setup, node: Node, messages: int
) -> None:
    """Whoever is acknowledged would see whether the user is sending."""
    owe(sealing, 10)
    for _ in range(messages):
        sealing.accept(OTHER, b"hello", Manner.SEALED)
    waiting = []
    for _ in range(40):
        sealing.tick()
        waiting.append(len(sealing.acknowledgements._owed))
    ticks = [i for i, (a, b) in enumerate(pairwise([10, *waiting])) if b < a]
    assert ticks == [0, 2, 4, 8, 10, 12, 16, 18, 20, 24]
    hellos = [content for content in sealed(node, 40) if isinstance(content, Fragment)]
    assert len(hellos) == min(messages, 30)


def test_acknowledgements_and_messages_take_turns(sealing: Setup, node: Node) -> None:
    for i in range(3):
        run = Run(bytes([i]) * 16, 0, 0)
        sealing.acknowledgements.add(TO_OTHER, run, time.monotonic(), is_complete=True)
        for _ in range(50):  # more runs than fit into one envelope
            more = Run(os.urandom(16), 0, 0)
            sealing.acknowledgements.add(TO_OTHER, more, time.monotonic(), is_complete=True)
    for _ in range(3):
        sealing.accept(OTHER, b"hello", Manner.SEALED)
    kinds = []
    for i in range(6):
        sealing.queue.tick(time.monotonic())
        kinds.append(type(sealed(node, i + 1)[-1]))
    assert kinds == [Acknowledgement, Fragment] * 3


def test_only_the_recipient_can_acknowledge(sealing: Setup, node: Node) -> None:
    message_id = sealing.accept(OTHER, b"hello", Manner.RELIABLE)
    sealing.queue.tick(time.monotonic())
    run = Run(bytes.fromhex(message_id), 0, 0)
    other_run = run._replace(message_id=bytes(16))

    def acknowledged(run: Run, ends: Ends) -> None:
        now = time.monotonic()
        sealing.deliveries.acknowledged(Acknowledgement((run,), ends.peer), ends, now)

    acknowledged(run, Ends(b"", OWN))
    # Nor can it do so at another address of this client, which it would learn of.
    acknowledged(run, Ends(generate_identity().public_key, OTHER))
    acknowledged(other_run, TO_OTHER)
    assert len(sealing.outbox) == 1
    acknowledged(run, TO_OTHER)
    assert len(sealing.outbox) == 0
    sealed(node, 1)  # the packet is taken after its message has ended, which must do no harm
    assert len(sealing.outbox) == 0


def test_the_copies_of_a_message_have_one_id(sealing: Setup, node: Node) -> None:
    sealing.way = Way(0.05)
    sealing.accept(OTHER, b"hello", Manner.SEALED)
    for _ in range(4):
        sealing.queue.tick(time.monotonic())
    fragments = sealed(node, 4)
    assert len(fragments) == 3  # three of the four packets are copies; the fourth is cover
    assert len(set(fragments)) == 1
    wait_until(lambda: len(sealing.outbox) == 0)


def test_a_message_ends_when_it_shows_that_its_copies_were_enough(
    sealing: Setup, node: Node
) -> None:
    sealing.way = Way(None)
    sealing.accept(OTHER, b"hello", Manner.SEALED)
    for _ in range(3):
        sealing.queue.tick(time.monotonic())
    assert len(sealed(node, 3)) == 1
    assert len(sealing.outbox) == 1
    sealing.way = Way(0.0)
    sealing.deliveries.look()
    assert len(sealing.outbox) == 0
