"""Messages that a provider keeps until the client has them: none is lost, and none comes twice."""

import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import gevent
import pytest

from nym.client.taken import MOST, Taken
from nym.errors import StoreError
from nym.identity import generate_identity, save_identity
from nym.localnet.network import Network
from nym.nodes.inboxes.memory import MemoryInboxes
from nym.nodes.keys import load_token_key
from nym.nodes.provider import Provider
from nym.signing import generate_signer
from nym.store.inbox import Inbox
from nym.store.journal import Journal
from nym.store.state import State
from nym.wire.line import Request
from nym.wire.provider import Pulled
from tests.harness import (
    ANYWHERE,
    FAST,
    Application,
    Program,
    beside,
    contents,
    noted_rounds,
    run_program,
    running,
    wait_until,
)

KEEPER = bytes(range(32))


class SealedNetwork(Network):
    """A local network whose providers have identities, as those that run by themselves."""

    def _provider(self, name: str) -> Provider:
        keys, tokens = self._keys(name), load_token_key(None)
        return Provider(keys, tokens, ANYWHERE, ANYWHERE, MemoryInboxes(), signer=generate_signer())


def pulled(*numbers: int, keeper: bytes | None = KEEPER) -> Pulled:
    messages = [b"%d" % number for number in numbers]
    return Pulled(messages, numbers=numbers if keeper else (), keeper=keeper)


def settle(taken: Taken) -> None:
    """Let everything that was taken be on disk."""
    with taken.settling():
        pass


def named(taken: Taken, keeper: bytes = KEEPER) -> tuple[int, ...]:
    """What the next pull names, once everything is on disk."""
    settle(taken)
    return taken.numbers(keeper)


def test_messages_that_come_again_are_known(journal: Journal) -> None:
    taken = Taken(State(journal))
    assert named(taken) == ()
    assert list(taken.new(pulled(1, 2))) == [b"1", b"2"]
    assert named(taken) == (1, 2)
    # The pull that named them, or its answer, was lost.
    assert list(taken.new(pulled(1, 2, 3))) == [b"3"]
    assert named(taken) == (1, 2, 3)
    assert list(taken.new(pulled(4))) == [b"4"]
    assert named(taken) == (4,)
    assert list(taken.new(pulled())) == []
    assert named(taken) == ()
    # Another provider's numbers are its own; one of 0.4 has none.
    assert list(taken.new(pulled(5, keeper=bytes(32)))) == [b"5"]
    assert list(taken.new(pulled(5))) == [b"5"]
    for _ in range(2):
        assert list(taken.new(pulled(5, keeper=None))) == [b"5"]


def test_a_message_that_was_not_sorted_is_not_taken(journal: Journal) -> None:
    taken = Taken(State(journal))
    messages = taken.new(pulled(1, 2))
    assert next(messages) == b"1"
    assert named(taken) == ()
    assert next(messages) == b"2"
    del messages  # the client stops here
    assert named(taken) == (1,)


def test_there_are_never_more_numbers_than_a_pull_can_name(journal: Journal) -> None:
    taken = Taken(State(journal))
    assert list(taken.new(pulled(*range(5))))
    for number, _ in enumerate(taken.new(pulled(4, *range(10, 14)))):
        assert named(taken) == (4, *range(10, 10 + number))
        assert Request(registers=False, delivered=named(taken)).encode()
    assert named(taken) == (4, *range(10, 14))


def test_not_more_providers_are_remembered_than_a_client_has(journal: Journal) -> None:
    taken = Taken(State(journal))
    keepers = [bytes([number]) * 32 for number in range(MOST + 2)]
    for keeper in keepers:
        assert list(taken.new(pulled(1, keeper=keeper)))
    assert [keeper for keeper in keepers if not named(taken, keeper)] == keepers[:2]


def test_no_number_is_named_before_it_is_on_disk(journal: Journal) -> None:
    taken = Taken(State(journal))
    assert list(taken.new(pulled(1, 2)))
    assert taken.numbers(KEEPER) == ()
    with pytest.raises(StoreError), taken.settling():
        raise StoreError("full")
    assert taken.numbers(KEEPER) == ()
    with taken.settling():
        assert taken.numbers(KEEPER) == ()
        # What comes while the disk is written to may not be on it afterwards.
        assert list(taken.new(pulled(1, 2, 3))) == [b"3"]
        assert list(taken.new(pulled(7, keeper=bytes(32)))) == [b"7"]
    assert taken.numbers(KEEPER) == taken.numbers(bytes(32)) == ()
    assert named(taken) == (1, 2, 3)


def test_numbers_are_written_together_with_their_messages(
    journal: Journal, reopen: Callable[[], Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client can be killed after each round of the journal, so each has both or none."""
    rounds = noted_rounds(journal, monkeypatch)
    taken, inbox = Taken(State(journal)), Inbox(journal)
    for message in taken.new(pulled(*range(5))):
        journal.flush()  # a long answer lets other greenlets run, and the journal write
        inbox.deliver(message, is_sealed=False)
    inbox.settle()
    written = [[(change.kind, change.id) for change in changes] for changes in rounds]
    with_messages = [entries for entries in written if any(kind != "state" for kind, _ in entries)]
    assert len(with_messages) == 5
    assert all(("state", "taken") in entries for entries in with_messages)
    again = reopen()
    assert list(Taken(State(again)).new(pulled(*range(5)))) == []
    assert contents(Inbox(again).take()) == [b"%d" % number for number in range(5)]


@pytest.fixture
def network() -> Iterator[Network]:
    with running(SealedNetwork()) as network:
        yield network


def test_clients_use_the_line_by_themselves(network: Network) -> None:
    with Application(network.url) as alice, Application(network.url) as bob:
        wait_until(lambda: len(network.providers[0]._inboxes) == 2)
        alice.send(bob.address, b"hello")
        assert bob.receive(1) == [b"hello"]
        with alice.lines() as lines:
            assert lines.ask(type="status")["provider_sealed"] is True
        requests = network.providers[0]._reception
        assert requests._sealed == requests._requests


# A pull brings half of what is sent to a run of the client, and says half a second later that it is
# there. So most runs are killed in between.
CONFIG = f"""
[client]
id = "bob"
directory = "{{url}}"
[traffic]
average_packet_delay = {FAST.average_packet_delay}
message_sending_average_delay = 2.0
loop_cover_traffic_average_delay = 2.0
fetch_message_delay = 0.5
topology_refresh_rate = 0.5
"""


def received(home: Path, *options: str) -> list[str]:
    """The messages that `receive` prints, one a line."""
    code, out, err = beside(run_program, home, "receive", "--id", "bob", "--lines", *options)
    assert (code, err) == (0, "")
    return str(out).splitlines()


@pytest.mark.no_cover
def test_a_client_that_is_killed_again_and_again_loses_nothing_and_gets_nothing_twice(
    network: Network, tmp_path: Path
) -> None:
    """Plain messages have no ids of their own, so only the line tells them apart."""
    bob = generate_identity()
    folder = tmp_path / "nym" / "clients" / "bob"
    save_identity(bob, folder)
    (folder / "config.toml").write_text(CONFIG.format(url=network.url))
    inboxes = network.providers[0]._inboxes
    sent: list[str] = []
    with Application(network.url, seal=False) as alice:
        for _ in range(10):
            with Program(tmp_path, "tcpsocket", "--id", "bob", "--port", "0") as program:
                beside(program.logged, "Starting nym client")
                wait_until(lambda: bob.public_key in alice.clients())
                for _ in range(10):
                    sent.append(f"message {len(sent)}")
                    alice.send(bob.public_key, sent[-1].encode())
                gevent.sleep(random.uniform(0.5, 2.0))
                # `Program` kills it.
        with Program(tmp_path, "tcpsocket", "--id", "bob", "--port", "0") as program:
            beside(program.logged, "Starting nym client")
            came = received(tmp_path, "--count", str(len(sent)))
            alice.wait_until_sent()
            waiting = partial(inboxes.hand_over, bob.public_key, (), 10_000)
            wait_until(lambda: not any(m.startswith(b"message") for _, m in waiting()))
            came += received(tmp_path)
    assert sorted(came) == sorted(sent)
