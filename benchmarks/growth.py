"""What a client does for each packet and message, where there is much of everything.

The yardstick is the same where there is little: FEW nodes, clients or messages. The figures are
processor time of the event loop, whose work holds up packets; threads write to the disk.
"""

import os
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from random import SystemRandom
from tempfile import TemporaryDirectory, mkdtemp

from benchmarks.directory import places
from benchmarks.measure import Row, compare, least
from nym.client.deliveries import Deliveries
from nym.client.delivery import Delivery, Way
from nym.health import Health
from nym.routes import random_route
from nym.store.inbox import Inbox
from nym.store.journal import Journal
from nym.store.outbox import Manner, Outbox, Outgoing, new_id
from nym.topology import Mix, ProviderNode, Topology
from nym.whereabouts import Whereabouts
from nym.wire.clients import AddressList

FEW = 10
NODES = 10_000
CLIENTS = 1_000_000
OUT = 9_000  # of the 10,000 messages that may wait
IN = 2_000  # from nobody known, for whom there is less room
_LAYERS = 3
_BODY = bytes(500)

Ways = dict[str, tuple[int, Callable[[int], Callable[[], object]]]]


def run() -> list[Row]:
    """Measure a route, a lookup, turns, and messages that leave and come."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(TemporaryDirectory()))

        def journal() -> Journal:
            folder = Path(mkdtemp(dir=home))
            return stack.enter_context(closing(Journal(folder, bytes(32))))

        ways: Ways = {
            "a route, {} nodes": (NODES, route),
            "a recipient, {} clients": (CLIENTS, _lookup),
            "a message out, {} wait": (OUT, lambda count: _leaving(Outbox(journal()), count)),
            "a turn, {} are on their way": (OUT, lambda count: _turn(Outbox(journal()), count)),
            "a message in, {} wait": (IN, lambda count: _coming(Inbox(journal()), count)),
        }
        functions = {
            what.format(f"{count:,}"): make(count)
            for what, (many, make) in ways.items()
            for count in (FEW, many)
        }
        times = least(functions)
    names = {what.format(FEW): what.format(f"{many:,}") for what, (many, _) in ways.items()}
    return [compare(much, [times[much]], [times[few]]) for few, much in names.items()]


def route(nodes: int) -> Callable[[], object]:
    """Draws a route in a network of so many mixnodes."""
    random, topology = SystemRandom(), _network(nodes)
    provider, health = topology.providers[-1], Health(20.0)
    health.follow(topology, provider, was_unknown=False)

    def draw() -> None:
        layers = health.usable(topology.layers_to(provider), 0.0, random)
        random_route(layers, provider, 0.05, random)

    return draw


def _network(nodes: int) -> Topology:
    """A network of so many mixnodes, and half as many providers, each on its own machine."""
    at = places(2 * nodes)
    mixnodes = [Mix(place, os.urandom(32)) for place in at[:nodes]]
    providers = [
        ProviderNode(place, place._replace(port=9000), os.urandom(32), frozenset())
        for place in at[nodes::2]
    ]
    return Topology.of((mixnodes[layer::_LAYERS] for layer in range(_LAYERS)), providers)


def _lookup(clients: int) -> Callable[[], object]:
    random, addresses = SystemRandom(), [os.urandom(32) for _ in range(clients)]
    network, whereabouts = _network(FEW), Whereabouts()
    first, *others = network.providers
    full = first._replace(clients=AddressList.of(addresses))
    whereabouts.follow(Topology.of(network.layers, [full, *others]), 0.0)
    return lambda: whereabouts.provider_of(random.choice(addresses))


def _leaving(outbox: Outbox, messages: int) -> Callable[[], object]:
    _accept(outbox, messages)

    def leave() -> None:
        (outgoing,) = _accept(outbox, 1)
        outbox.done(outgoing.id)

    return leave


def _turn(outbox: Outbox, messages: int) -> Callable[[], object]:
    """One more message leaves, where so many wait to learn whether the network carried them."""
    way = Way(0.0, was_carried=lambda at: None)
    deliveries = Deliveries(outbox, bytes(32), 10.0, lambda ends: None, lambda: way, 0.0)

    def leave() -> Delivery:
        (outgoing,) = _messages(1)
        assert outbox.accept([outgoing]) == [None]
        due = deliveries.next(0.0)
        assert due is not None
        deliveries.taken(*due, 0.0)
        return due[0]

    for _ in range(messages):
        leave()
    while deliveries.next(0.0):
        pass

    def pass_by() -> None:
        deliveries.cancel([leave().id])

    return pass_by


def _accept(outbox: Outbox, count: int) -> list[Outgoing]:
    messages = _messages(count)
    assert not any(outbox.accept(messages))
    assert len(list(outbox.arrivals())) == count
    return messages


def _messages(count: int) -> list[Outgoing]:
    return [Outgoing(new_id(), os.urandom(32), _BODY, Manner.SEALED) for _ in range(count)]


def _coming(inbox: Inbox, messages: int) -> Callable[[], object]:
    _keep(inbox, messages)
    subscriber = inbox.subscribe(lambda: None, window=messages + 1)
    inbox.offer(subscriber)

    def come() -> None:
        _keep(inbox, 1)
        (received,) = inbox.offer(subscriber)
        inbox.acknowledge([received.id])

    return come


def _keep(inbox: Inbox, count: int) -> None:
    for _ in range(count):
        assert inbox.deliver(_BODY, is_sealed=True)
    inbox.settle()
