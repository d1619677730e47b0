"""Clients of networks that are flooded, or partly dead: a busy network is not taken for a dead one.

When nothing comes through, messages wait, and the status says why. Losses during an outage don't
count as losses of the network.
"""

import json
import logging
import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import gevent
import pytest

from nym.errors import RemoteFormatError
from nym.identity import load_identity
from nym.localnet.network import Network
from nym.net.directory import fetch_topology
from nym.nodes.keys import Keyring, load_token_key
from nym.nodes.provider import Provider
from nym.sphinx import Final, Forward
from nym.wire.addresses import NodeAddress
from tests.harness import (
    FAST,
    PATIENCE,
    Application,
    Lines,
    PlainNetwork,
    Program,
    beside,
    is_well,
    run_program,
    running,
    wait_until,
)

BUSY = replace(FAST, message_sending_average_delay=0.03)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


class Layer:
    """A trace for a network; nodes in `dropping` drop every packet."""

    def __init__(self) -> None:
        self.dropping: set[NodeAddress] = set()

    def __call__(self, node: NodeAddress, packet: bytes, unwrapped: Forward | Final) -> None:
        if node in self.dropping:
            raise RemoteFormatError("dropped")


def knows_the_loss(application: Application) -> bool:
    return application.status()["loss"] is not None


class Restarted:
    """Stops the only provider of a network with a folder; `start` starts it again at its place."""

    def __init__(self, network: Network) -> None:
        self._network = network
        (self._provider,) = network.providers
        self._places = self._provider.address, self._provider.client_address
        self._provider.stop()

    def start(self, *, has_forgotten: bool = False) -> None:
        """Start the provider again, with its messages, and with new keys if it `has_forgotten`.

        Providers of 0.4 do that.
        """
        # The directory doesn't list another key at a place before the old record has ended.
        if has_forgotten:
            url = self._network.url
            wait_until(lambda: not fetch_topology(url).records.providers, "the end of its record")
        folder = None if has_forgotten else self._network._place("provider-1")
        tokens, keys = load_token_key(folder), Keyring(folder)
        signer = self._network._signer("provider-1")
        again = Provider(keys, tokens, *self._places, self._provider._inboxes, signer=signer)
        again.listen()
        again.start(self._network.url)
        self._network.providers = [again]


def test_a_client_that_gets_more_than_it_pulls_is_busy_and_its_own_messages_end(
    tmp_path: Path, stack: ExitStack
) -> None:
    network = stack.enter_context(running(Network()))
    run_program(tmp_path, "init", "--id", "bob", "--directory", network.url)
    folder = tmp_path / "nym" / "clients" / "bob"
    settings = (folder / "config.toml").read_text()
    # The default rates, but shorter delays, and so few pulls that they bring little more than the
    # client's own loops. So alice can flood bob on any machine, however slow.
    settings = re.sub("average_packet_delay = .*", "average_packet_delay = 0.01", settings)
    settings = re.sub("fetch_message_delay = .*", "fetch_message_delay = 1.0", settings)
    (folder / "config.toml").write_text(settings)
    address = load_identity(folder).public_key
    bob = stack.enter_context(Program(tmp_path, "tcpsocket", "--id", "bob", "--port", "0"))
    port = int(bob.line(r"on port: (\d+)")[1])
    alice = stack.enter_context(Application(network.url, traffic=BUSY))
    lines = stack.enter_context(Lines(socket.create_connection(("127.0.0.1", port), PATIENCE)))
    states = set()

    def report() -> Any:
        told = lines.ask(type="status")
        states.add(told["state"])
        return told

    def grows() -> bool:
        backlog = report()["backlog"]
        return backlog is not None and backlog["messages"] is not None and backlog["change"] > 0

    wait_until(lambda: knows_the_loss(alice) and report()["loss"] is not None)
    states.clear()
    flood = gevent.spawn(keep_sending, alice, address)
    stack.callback(flood.kill)
    wait_until(grows, "a backlog")
    lines.send(alice.address, b"one's own")
    wait_until(lambda: report()["outbox"] == 0, "the end of one's own message")
    wait_until(grows, "the backlog, still")
    told = report()
    assert states == {"running"}
    assert told["loss"] < 0.05
    assert told["avoided_nodes"] == []
    code, out, _ = beside(run_program, tmp_path, "check", "--id", "bob", "--json")
    found = {finding["check"]: finding for finding in json.loads(out)}
    assert code == 0
    assert "more comes in than is pulled" in found["backlog"]["found"]
    assert "traffic.fetch_message_delay" in found["backlog"]["advice"]
    code, out, _ = beside(run_program, tmp_path, "status", "--id", "bob")
    assert "backlog     more comes in than is pulled" in out
    lines.connection.close()
    _, _, err = bob.end(15)
    assert err.count("backlog:") == 1


def keep_sending(alice: Application, address: bytes) -> None:
    with alice.lines() as lines:
        while True:
            lines.send(address, b"another one")
            wait_until(lambda: len(alice.client._outbox) < 50)
            # A few times of what bob pulls. If it were far more, his own loops would be behind
            # thousands of messages, and none would come back for hours.
            gevent.sleep(0.2)


def test_when_nothing_comes_through_messages_wait_and_arrive_when_it_does(
    stack: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "nym.client.poller")
    layer = Layer()
    network = stack.enter_context(running(Network(width=2, trace=layer)))
    alice, bob = (stack.enter_context(Application(network.url)) for _ in range(2))
    wait_until(lambda: knows_the_loss(alice))
    layer.dropping = {node.address for node in network.mixnodes if node.layer == 2}
    began = time.monotonic()
    with alice.lines() as lines:
        for i in range(10):  # these leave before alice can know that the network is dead
            lines.send(bob.address, b"early %d" % i)
        wait_until(lambda: alice.status()["state"] == "waiting_for_network")
        told = alice.status()
        assert "no loop comes back" in told["reason"]
        assert 0 < told["state_seconds"] <= time.monotonic() - began + 1
        for i in range(10):
            lines.send(bob.address, b"late %d" % i)
        before = alice.status()["packets_real"]
        wait_until(lambda: alice.status()["loops_sent"] > told["loops_sent"] + 200)
        assert alice.status()["packets_real"] - before < 10, (
            "messages were sent into a dead network"
        )
    layer.dropping = set()
    assert len(set(bob.receive(20))) == 20
    wait_until(lambda: alice.status()["state"] == "running")
    assert is_well(alice.status())
    assert caplog.text.count("no loop comes back") == 2, "each of the two clients logs it once"
    wait_until(lambda: caplog.text.count("packets come through again") == 2)
    assert alice.status()["state_seconds"] < time.monotonic() - began


def test_losses_while_the_provider_was_away_are_not_the_networks(
    tmp_path: Path,
    stack: ExitStack,
) -> None:
    network = stack.enter_context(running(Network(folder=tmp_path)))
    alice = stack.enter_context(Application(network.url))
    wait_until(lambda: knows_the_loss(alice))
    began = time.monotonic()
    provider = Restarted(network)
    wait_until(lambda: alice.status()["state"] == "waiting_for_provider")
    told = alice.status()
    assert "can't be reached" in told["reason"]
    assert 0 < told["state_seconds"] <= time.monotonic() - began + 1
    provider.start()
    wait_until(lambda: alice.status()["state"] == "running")
    before = alice.status()["packets_real"]
    messages = {b"%d" % i for i in range(50)}
    for message in messages:
        alice.send(alice.address, message)
    assert set(alice.receive(50)) == messages
    alice.wait_until_sent()
    assert alice.status()["loss"] < 0.01
    assert alice.status()["packets_real"] - before < 60, (
        "50 messages took far more than 50 packets: losses during the outage still count"
    )


def test_after_a_provider_took_a_new_key_a_start_without_the_directory_knows_it(
    tmp_path: Path, stack: ExitStack
) -> None:
    network = stack.enter_context(running(PlainNetwork()))
    with Application(network.url, folder=tmp_path) as alice:
        identity = alice.identity
        wait_until(lambda: alice.status()["state"] == "running")
        Restarted(network).start(has_forgotten=True)
        key = network.providers[0].keys.current
        wait_until(lambda: alice.status()["provider"] == key.address)
        returned = alice.status()["loops_returned"]
        wait_until(lambda: alice.status()["loops_returned"] > returned)
        assert not alice.status()["loss"]
    network._directory.stop()
    with Application(network.url, folder=tmp_path, identity=identity) as alice:
        wait_until(lambda: alice.status()["state"] == "running")
        assert "can't be reached" in alice.status()["reason"]
        alice.send(alice.address, b"hello")
        assert alice.receive(1) == [b"hello"]


def test_a_start_with_a_network_that_is_no_more_spends_no_message(
    tmp_path: Path, stack: ExitStack
) -> None:
    network = stack.enter_context(running(Network()))
    with Application(network.url, folder=tmp_path) as alice:
        identity = alice.identity
        wait_until(lambda: alice.status()["state"] == "running")
    network._directory.stop()
    for node in network.mixnodes:  # the places are the same, but nothing opens alice's packets
        node.keys = Keyring(None)
    with Application(network.url, folder=tmp_path, identity=identity) as alice:
        alice.send(alice.address, b"hello")
        wait_until(lambda: alice.status()["state"] == "waiting_for_network")
        assert len(alice.client._outbox) == 1


def test_when_no_mixnode_takes_packets_that_is_said(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nym.client.overview.LONGEST_REFUSAL", 1.0)
    network = stack.enter_context(running(Network()))
    alice = stack.enter_context(Application(network.url))
    wait_until(lambda: alice.status()["state"] == "running")
    for node in network.mixnodes:
        if node.layer == 1:
            node.stop()
    wait_until(lambda: alice.status()["state"] == "waiting_for_network")
    assert alice.status()["reason"] == "no mixnode takes packets"
