"""A sealed line while the disk is slow, or full: its rhythm stays, and nothing is lost or doubled.

A published provider deletes what it hands over. From there, nothing is pulled meanwhile.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import pytest

from nym.client.session import ProviderSession
from nym.envelope import Cover, Envelopes, Reply, fragment
from nym.errors import StoreError
from nym.identity import Identity, generate_identity
from nym.store.inbox import Inbox
from nym.store.journal import Journal
from nym.store.state import State
from nym.topology import Mix, Topology
from nym.wire.addresses import NodeAddress
from tests.harness import contents, noted_rounds, wait_until
from tests.pulling import Pulling
from tests.test_line import Host


class Slow:
    """Holds up each round of a journal until `let_go`, or has them fail."""

    def __init__(self, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
        self.error: StoreError | None = None
        self._may_go = threading.Event()
        self._may_go.set()
        transact = journal._database.transact

        def held(changes: list[Any], **how: Any) -> StoreError | None:
            self._may_go.wait()
            return self.error or transact(changes, **how)

        monkeypatch.setattr(journal._database, "transact", held)

    def hold(self) -> None:
        self._may_go.clear()

    def let_go(self) -> None:
        self._may_go.set()


class Polled:
    """A client that is registered at a host, and pulls when the test says so."""

    def __init__(
        self, journal: Journal, own: Identity, host: Host, reply_addresses: int = 0
    ) -> None:
        self.inbox, self.own, self.host = Inbox(journal), own, host
        session = ProviderSession(own, None, 600.0, State(journal), lambda: True)
        session.follow(
            Topology.of(((Mix(NodeAddress("127.0.0.1", 1), bytes(32)),),), [host.record()])
        )
        self.pulling = Pulling(session, journal, own, self.inbox, reply_addresses)
        self.poller, self.settling = self.pulling.poller, self.pulling.settling
        self.poller.tick()
        assert session.can_pull
        self.pulling.replies.look()
        self.replies = [one.address for one in self.pulling.replies.ready()]
        assert len(self.replies) == reply_addresses

    def put(self, *messages: bytes) -> None:
        for message in messages:
            self.host.inboxes.put(self.own.public_key, message)

    def put_cover(self, address: bytes) -> None:
        """Let a loop wait for one of the client's addresses."""
        loop = Envelopes(self.own).seal(Cover(os.urandom(16)), address)
        self.host.inboxes.put(address, loop)

    def waiting(self) -> list[bytes]:
        """What the provider still has."""
        return [m for _, m in self.host.inboxes.hand_over(self.own.public_key, (), 100)]

    def came(self) -> list[bytes]:
        return contents(self.inbox.take())


@pytest.fixture(params=[False, True], ids=["sealed", "plain"])
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    with Host(is_plain=request.param) as host:
        yield host


@contextmanager
def running_settling(polled: Polled) -> Iterator[None]:
    settling = gevent.spawn(polled.settling.run)
    try:
        yield
    finally:
        settling.kill()


@pytest.fixture
def polled(journal: Journal, host: Host) -> Iterator[Polled]:
    polled = Polled(journal, generate_identity(), host)
    with running_settling(polled):
        yield polled


@pytest.fixture
def slow(polled: Polled, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    journal.flush()
    slow = Slow(journal, monkeypatch)
    yield slow
    slow.error = None
    slow.let_go()


@pytest.mark.parametrize("host", [False], indirect=True)
def test_a_sealed_pull_waits_for_no_disk_and_names_only_what_is_on_it(
    polled: Polled, slow: Slow
) -> None:
    slow.hold()
    polled.put(b"one", b"two")
    for number in range(5):
        polled.poller.tick()
        polled.put(b"later %d" % number)
        assert polled.came() == []
    sent = [b"one", b"two", *(b"later %d" % number for number in range(5))]
    assert polled.waiting() == sent, "the provider keeps what isn't on the disk"
    slow.let_go()
    came: list[bytes] = []
    while polled.waiting():
        polled.poller.tick()
        gevent.sleep(0.01)
        came += polled.came()
    assert came == sent


@pytest.mark.parametrize("host", [True], indirect=True)
def test_from_a_published_provider_nothing_is_pulled_before_the_last_is_on_disk(
    polled: Polled, slow: Slow
) -> None:
    slow.hold()
    polled.put(b"one")

    def pull_twice() -> None:
        for _ in range(2):
            polled.poller.tick()

    pulls = gevent.spawn(pull_twice)
    wait_until(lambda: polled.waiting() == [])
    polled.put(b"two")
    assert not pulls.ready()
    assert polled.waiting() == [b"two"]
    slow.let_go()
    pulls.get()
    assert polled.came() == [b"one", b"two"]


def test_nothing_is_taken_while_the_disk_fails(
    polled: Polled, slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nym.store.journal.RETRY", 0.01)
    slow.error = StoreError("the disk is broken")
    polled.put(b"before")
    for _ in range(3):
        polled.poller.tick()
        wait_until(lambda: polled.settling.problem == "the disk is broken")
    served_at = polled.poller.served_at
    later = [b"later %d" % number for number in range(20)]
    for message in later:
        polled.put(message)
        polled.poller.tick()
    assert polled.came() == []
    assert polled.waiting()[-20:] == later, "what can't be kept stays at the provider"
    assert polled.poller.served_at == served_at, "status must say that it waits for the disk"
    slow.error = None
    came: list[bytes] = []
    while len(came) < 21:
        polled.poller.tick()
        gevent.sleep(0.01)
        came += polled.came()
    assert sorted(came) == sorted([b"before", *later])
    assert polled.settling.problem is None


@pytest.mark.parametrize("host", [False], indirect=True)
def test_cover_is_written_once_in_a_turn_and_a_message_at_once(
    journal: Journal, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    polled = Polled(journal, generate_identity(), host, reply_addresses=2)
    addresses = [*polled.replies, polled.own.public_key]
    journal.flush()
    rounds = noted_rounds(journal, monkeypatch)

    def named() -> list[int]:
        """How many numbers the next pull for each address would name."""
        numbers = polled.pulling.receiver.taken.numbers
        return [len(numbers(host.identity, own)) for own in (*polled.replies, b"")]

    with running_settling(polled):
        for turn in range(3):
            for address in addresses:
                polled.put_cover(address)
            for _ in polled.replies:
                polled.poller.tick()
                gevent.sleep(0.01)
            assert (len(rounds), named()[2]) == (turn, min(turn, 1))
            assert named()[:2] == [0, 0], "what a pull brought is named after the end of its turn"
            polled.poller.tick()
            wait_until(lambda: named() == [1, 1, 1])
            assert len(rounds) == turn + 1
        (reply, _) = polled.pulling.replies.ready()
        answer = fragment(b"answer", bytes(16), 0, polled.own.public_key, Reply(False, False))
        sealed = Envelopes(polled.own).seal(answer, reply.address, reply.secret)
        host.inboxes.put(reply.address, sealed)
        polled.poller.tick()
        wait_until(polled.inbox.has_free)
        assert polled.came() == [b"answer"]
        assert named()[0] == 0, "that it wasn't cover must not show in when it is named"
        polled.poller.tick()
        polled.poller.tick()
        wait_until(lambda: named() == [1, 0, 0])
