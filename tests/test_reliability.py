"""The promises of docs/reliability.md, on local networks that lose packets, break and return.

Clients run in this process, with rates that make tests quick. Packets are dropped at the nodes.
"""

import logging
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from nym.client import client as client_module
from nym.client.reliable import Reliable
from nym.errors import RemoteFormatError
from nym.localnet.network import Network
from nym.nodes.node import Node
from nym.sphinx import Final, Forward
from nym.topology import Mix
from nym.wire.addresses import NodeAddress
from nym.wire.provider import Register, decode_request, encode_messages
from tests.harness import (
    FAST,
    OTHER,
    Application,
    Lines,
    PlainNetwork,
    free_port,
    running,
    serving,
    wait_until,
)

LONG = 1 << 17  # bytes, about 150 fragments
FASTER = replace(FAST, message_sending_average_delay=0.02, fetch_message_delay=0.02)


def is_announced(node: Node) -> bool:
    """Announce a node at its new place; False while the record of its old place is still listed."""
    node.announce()
    return node.trouble is None


class Weather:
    """A trace for a network that drops packets at its nodes wherever `is_lost` returns True."""

    def __init__(self) -> None:
        self.is_lost: Callable[[NodeAddress, Forward | Final], bool] = lambda node, packet: False
        self.arrived: list[bytes] = []  # the messages that reached providers, as they see them

    def __call__(self, node: NodeAddress, packet: bytes, unwrapped: Forward | Final) -> None:
        if self.is_lost(node, unwrapped):
            raise RemoteFormatError("the weather")
        if isinstance(unwrapped, Final):
            self.arrived.append(unwrapped.message())


@pytest.fixture
def weather() -> Weather:
    return Weather()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def at_providers(share: float) -> Callable[[NodeAddress, Forward | Final], bool]:
    random = Random(1)
    return lambda node, packet: isinstance(packet, Final) and random.random() < share


def subscribed(stack: ExitStack, application: Application) -> Lines:
    lines = stack.enter_context(application.lines())
    assert lines.ask(type="subscribe") == {"type": "subscribe"}
    return lines


def deliveries(application: Application) -> list[Reliable]:
    waiting = application.client._deliveries._deliveries
    return [d for d in waiting.values() if isinstance(d, Reliable)]


def test_what_was_accepted_goes_out_at_the_next_start(tmp_path: Path, stack: ExitStack) -> None:
    (tmp_path / "alice").mkdir()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with Application(url, folder=tmp_path / "alice") as alice, alice.lines() as lines:
        identity = alice.identity
        for i, flags in enumerate(({}, {"reliable": True}, {"plain": True}, {"reliable": True})):
            lines.send(alice.address, b"%d" % i, **flags)
        lines.send(alice.address, bytes(5000))
    stack.enter_context(running(Network(port=port)))
    with Application(url, folder=tmp_path / "alice", identity=identity) as alice:
        assert sorted(alice.receive(5)) == sorted([b"0", b"1", b"2", b"3", bytes(5000)])
        alice.wait_until_sent()


def test_a_message_arrives_though_its_recipient_lost_its_folder_meanwhile(
    tmp_path: Path, stack: ExitStack
) -> None:
    network = stack.enter_context(running(Network()))
    alice = stack.enter_context(Application(network.url, traffic=FASTER))
    message = os.urandom(LONG)
    for folder in ("before", "after"):
        (tmp_path / folder).mkdir()
    with Application(network.url, folder=tmp_path / "before", traffic=FASTER) as bob:
        with alice.lines() as lines:
            lines.send(bob.address, message, reliable=True)
        wait_until(lambda: any(d.left < d.count / 2 for d in deliveries(alice)))
        identity = bob.identity
    again = Application(network.url, folder=tmp_path / "after", identity=identity, traffic=FASTER)
    assert subscribed(stack, stack.enter_context(again)).receive().message == message
    alice.wait_until_sent()


def test_what_was_received_is_there_at_the_next_start(tmp_path: Path, stack: ExitStack) -> None:
    network = stack.enter_context(running(Network()))
    with Application(network.url, folder=tmp_path) as bob:
        identity = bob.identity
        lines = subscribed(stack, bob)
        for i in range(3):
            bob.send(bob.address, b"%d" % i)
        first = lines.receive()  # and its acknowledgement is answered, so it doesn't come again
    with Application(network.url, folder=tmp_path, identity=identity) as bob:
        assert sorted([bytes(first.message), *bob.receive(2)]) == [b"0", b"1", b"2"]


def test_reliable_messages_arrive_through_loss(stack: ExitStack, weather: Weather) -> None:
    weather.is_lost = at_providers(0.3)
    network = stack.enter_context(running(Network(trace=weather)))
    alice, bob = (stack.enter_context(Application(network.url)) for _ in range(2))
    sending, receiving = stack.enter_context(alice.lines()), subscribed(stack, bob)
    sizes = [1, 800, 900, 3000] * 5
    messages = [os.urandom(size) for size in sizes]
    for message in messages:
        sending.send(bob.address, message, reliable=True)
    received = [receiving.receive() for _ in messages]
    assert Counter(r.message for r in received) == Counter(messages)
    assert {r.sender for r in received} == {alice.address}
    alice.wait_until_sent()
    assert alice.client._outbox.failed == []


def test_anonymous_messages_arrive_through_loss_also_those_sent_at_once(
    stack: ExitStack, weather: Weather
) -> None:
    weather.is_lost = at_providers(0.3)
    network = stack.enter_context(running(Network(trace=weather)))
    alice, bob = (stack.enter_context(Application(network.url, traffic=FASTER)) for _ in range(2))
    messages = {b"%d" % i for i in range(150)}
    with alice.lines() as sending:
        for message in messages:
            sending.send(bob.address, message)
    alice.wait_until_sent()
    # On average, one message of 150 loses all four copies (0.3 ** 4). More than five are unlikely.
    received = bob.receive(145)
    assert set(received) <= messages
    assert len(set(received)) == len(received)


@pytest.mark.parametrize("is_reliable", [True, False])
def test_long_messages_hold_up_nobody(stack: ExitStack, is_reliable: bool) -> None:
    network = stack.enter_context(running(Network()))
    alice, bob = (stack.enter_context(Application(network.url, traffic=FASTER)) for _ in range(2))
    ends = [(alice, bob), (bob, alice)]
    receiving = {bob: subscribed(stack, bob), alice: subscribed(stack, alice)}
    sent = {}
    for sender, recipient in ends:
        with sender.lines() as lines:
            sent[recipient] = os.urandom(LONG)
            lines.send(recipient.address, sent[recipient], reliable=is_reliable)
            lines.send(recipient.address, b"short")
    for _, recipient in ends:
        assert receiving[recipient].receive().message == b"short"
    for sender, recipient in ends:
        long = receiving[recipient].receive()
        assert long.message == sent[recipient]
        assert long.sender == (sender.address if is_reliable else None)


def test_providers_see_the_same_whatever_it_is(stack: ExitStack, weather: Weather) -> None:
    network = stack.enter_context(running(Network(trace=weather)))
    alice, bob = (stack.enter_context(Application(network.url)) for _ in range(2))
    with alice.lines() as lines:
        lines.send(bob.address, b"text " * 100)
        lines.send(bob.address, bytes(3000), reliable=True)
    assert sorted(bob.receive(2)) == [bytes(3000), b"text " * 100]
    alice.wait_until_sent()
    assert {len(message) for message in weather.arrived} == {975}
    assert not any(b"text" in message or bytes(20) in message for message in weather.arrived)


def test_plain_messages_and_their_cover_are_as_the_published_client_has_them(
    stack: ExitStack, weather: Weather
) -> None:
    network = stack.enter_context(running(Network(trace=weather)))
    alice = stack.enter_context(Application(network.url, seal=False))
    bob = stack.enter_context(Application(network.url))
    alice.send(bob.address, b"from a published client")
    assert bob.receive(1) == [b"from a published client"]
    with bob.lines() as lines:
        lines.send(alice.address, b"to a published client", plain=True)
    assert alice.receive(1) == [b"to a published client"]
    short = {message for message in weather.arrived if len(message) < 975}
    assert short == {b"The cake is a lie!", b"from a published client", b"to a published client"}


def test_a_reliable_message_that_nobody_acknowledges_fails_with_its_id(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("nym.client.deliveries.LOOK", 0.1)
    network = stack.enter_context(running(Network()))
    alice = stack.enter_context(Application(network.url, message_lifetime=0.5))
    with alice.lines() as lines, subscribed(stack, alice) as subscriber:
        message_id = lines.send(OTHER, b"to nobody", reliable=True)
        assert subscriber.hear() == {"type": "failed", "id": message_id}
        wait_until(lambda: lines.ask(type="status")["failed"] == [message_id])
        assert lines.ask(type="status")["outbox"] == 0
    assert "messages that were given up: 1; 1 because the recipient" in caplog.text


def test_an_anonymous_message_is_done_once_a_loop_is_back(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nym.client.deliveries.LOOK", 3600.0)
    network = stack.enter_context(running(Network()))
    alice = stack.enter_context(Application(network.url))
    with alice.lines() as lines:
        # At the start, it isn't known how much the network loses, so the message would wait longer.
        wait_until(lambda: lines.ask(type="status")["loss"] is not None)
        lines.send(alice.address, b"hello")
        assert alice.receive(1) == [b"hello"]
        wait_until(lambda: lines.ask(type="status")["outbox"] == 0)


def test_a_node_that_drops_packets_is_avoided(
    stack: ExitStack, weather: Weather, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "loop_patience", lambda traffic: 1.5)
    network = stack.enter_context(running(Network(width=3, trace=weather)))
    bad = next(node for node in network.mixnodes if node.layer == 2)
    weather.is_lost = lambda node, packet: node == bad.address
    alice = stack.enter_context(Application(network.url))
    with alice.lines() as lines:
        wait_until(lambda: lines.ask(type="status")["avoided_nodes"])
    (avoided,) = alice.client._sender._health.avoided(time.monotonic())
    assert avoided == Mix(bad.address, bad.keys.current.public_key)
    # Packets that are on their way to the bad node still arrive. After those, none may follow.
    seen = Counter[NodeAddress]()

    def note(node: NodeAddress, packet: Forward | Final) -> bool:
        seen[node] += 1
        return False

    def is_passed_by() -> bool:
        if sum(seen.values()) < 200:
            return False
        is_used = seen[bad.address] > 0
        seen.clear()
        return not is_used

    weather.is_lost = note
    wait_until(is_passed_by)


def test_a_first_hop_that_refuses_is_avoided(stack: ExitStack) -> None:
    network = stack.enter_context(running(Network(width=2)))
    dead = next(node for node in network.mixnodes if node.layer == 1)
    address = dead.address
    dead._door.stop()
    alice = stack.enter_context(Application(network.url))
    wait_until(lambda: alice.client._health.avoided(time.monotonic()))
    assert alice.client._health.avoided(time.monotonic()).keys() == {
        Mix(address, dead.keys.current.public_key)
    }


def test_provider_token_and_network_are_kept(tmp_path: Path, stack: ExitStack) -> None:
    registered: list[bytes] = []
    with ExitStack() as first:
        network = stack.enter_context(running(PlainNetwork(providers=3)))
        alice = first.enter_context(Application(network.url, folder=tmp_path))
        alice.send(alice.address, b"1")
        assert alice.receive(1) == [b"1"]
        identity, provider = alice.identity, alice.client._session.provider
        session = alice.client._session
        registered.append(session._known().token or b"")
    network._directory.stop()
    again = stack.enter_context(Application(network.url, folder=tmp_path, identity=identity))
    again.send(again.address, b"2")
    assert again.receive(1) == [b"2"]
    # Without its list of clients, which may have changed since.
    after = again.client._session.provider
    assert provider is not None
    assert after is not None
    assert after[:3] == provider[:3]
    assert again.client._session._known().token == registered[0]


def test_a_provider_that_is_gone_is_left_and_asked_again_when_it_returns(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    network = stack.enter_context(running(Network(providers=2)))
    alice = stack.enter_context(Application(network.url, provider_patience=0.5))
    alice.send(alice.address, b"before")
    assert alice.receive(1) == [b"before"]
    gone = next(
        p
        for p in network.providers
        if p.keys.current.public_key == alice.client._session.provider.public_key  # type: ignore[union-attr]
    )
    client_address = gone.client_address
    gone._reception.stop()
    alice.send(alice.address, b"meanwhile")
    left = f"leaving provider {gone.keys.current.address}: {client_address} can't be reached"
    wait_until(lambda: left in caplog.text and "messages that wait there" in caplog.text)
    gone._inboxes.put(alice.address, b"waited there")
    stack.enter_context(serving(gone._reception._serve, "127.0.0.1", client_address.port))
    assert sorted(alice.receive(2)) == [b"meanwhile", b"waited there"]


@pytest.mark.parametrize("end", ["reset", "hang", "end"])
def test_an_answer_cut_short_loses_only_what_was_cut(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    if end == "hang":
        monkeypatch.setattr("nym.net.transport.TIMEOUT", 2.0)  # enough for what doesn't hang
    answers = [encode_messages([b"one", b"two", b"cut"])[:-1]]

    def serve(connection: socket.socket) -> None:
        if isinstance(decode_request(connection.recv(100)), Register):
            connection.sendall(bytes(32))
            return
        connection.sendall(answers.pop() if answers else encode_messages([]))
        if end == "reset":  # with this option, closing resets the connection
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, *[0] * 7]))
        elif end == "hang":
            connection.recv(100)
            connection.recv(100)

    network = stack.enter_context(running(PlainNetwork()))
    address = stack.enter_context(serving(serve))
    monkeypatch.setattr(
        type(network.providers[0]), "client_address", property(lambda _: address), raising=True
    )
    wait_until(lambda: is_announced(network.providers[0]))
    alice = stack.enter_context(Application(network.url))
    assert sorted(alice.receive(2)) == [b"one", b"two"]


@pytest.mark.parametrize("is_provider_away", [False, True])
def test_what_nobody_acknowledges_outlives_a_network_that_carries_nothing_for_a_while(
    stack: ExitStack, weather: Weather, monkeypatch: pytest.MonkeyPatch, is_provider_away: bool
) -> None:
    monkeypatch.setattr(client_module, "loop_patience", lambda traffic: 1.5)
    network = stack.enter_context(running(Network(trace=weather)))
    alice, bob = (stack.enter_context(Application(network.url)) for _ in range(2))
    provider = network.providers[0]
    place = provider.client_address.ip, provider.client_address.port
    with alice.lines() as lines:
        wait_until(lambda: lines.ask(type="status")["loss"] == 0.0, "a network that loses nothing")
        weather.is_lost = lambda node, packet: True
        if is_provider_away:
            provider._reception.stop()
        messages = [b"%d" % i for i in range(20)]
        for message in messages[:10]:
            lines.send(bob.address, message)

        def all_wait() -> bool:
            waiting = lines.ask(type="outbox")["messages"]
            return {message["waits_for"] for message in waiting} == {"loops"}

        wait_until(all_wait, "the notice that nothing comes back")
        for message in messages[10:]:
            lines.send(bob.address, message)
        sent = alice.client._outgoing.sent
        cover = alice.client._loops.sent
        wait_until(lambda: alice.client._loops.sent > cover + 20)
        assert alice.client._outgoing.sent == sent, "messages were sent though no loops come back"
        weather.is_lost = lambda node, packet: False
        if is_provider_away:
            back = serving(provider._reception._serve, *place)
            stack.enter_context(back)
        assert sorted(bob.receive(20)) == sorted(messages)
        alice.wait_until_sent()
