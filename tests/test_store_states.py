"""Each message in the inbox is in exactly one state, whatever fails, and after every restart.

A state machine does random things with an inbox, and keeps a model of where each message must be.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from nym.errors import StoreError
from nym.store import journal as journal_module
from nym.store.database import Database
from nym.store.inbox import Inbox, Subscriber
from nym.store.journal import Journal
from nym.store.shares import Standing
from nym.wire.answers import Received
from tests.faults.injection import Point

KEY = bytes(32)


class Machine(RuleBasedStateMachine):
    """The model: messages not yet on disk, free ones, offered ones, and those being fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(journal_module, "RETRY", 0.001)
        self.disk = Point(self.patch, Database, "_make")
        self.folder = TemporaryDirectory()
        self.number = 0
        self.arrived: set[bytes] = set()
        self.free: set[bytes] = set()
        self.offered: dict[str, tuple[bytes, Subscriber]] = {}
        self.taken: list[Received] = []
        self.is_due = False  # whether something has to be written
        self.begin()

    def begin(self) -> None:
        """Open the journal and the inbox, with two subscribers."""
        self.journal = Journal(Path(self.folder.name), KEY)
        self.inbox = Inbox(self.journal)
        self.subscribers = [self.inbox.subscribe(lambda: None, window=2) for _ in range(2)]

    def teardown(self) -> None:
        self.disk.work()
        self.journal.close()
        self.folder.cleanup()
        self.patch.undo()

    @rule(length=st.sampled_from([3, 60_000]))
    def deliver(self, length: int) -> None:
        """Let a message come; it isn't on disk yet."""
        self.number += 1
        message = b"%d " % self.number + bytes(length)
        assert self.inbox.deliver(message, is_sealed=True)
        self.arrived.add(message)
        self.is_due = True

    @rule(fails=st.booleans())
    def settle(self, fails: bool) -> None:
        """Ask for what came to be on disk, which may fail."""
        if fails and self.is_due:
            self.disk.fail(OSError("no disk"))
            with pytest.raises(StoreError):
                self.inbox.settle()
            self.disk.work()
            self.is_due = False  # the journal tries again by itself, at any moment from now
            return
        self.inbox.settle()
        self.is_due = False
        self.free |= self.arrived
        self.arrived.clear()

    @rule(most=st.integers(1, 100_000))
    def take(self, most: int) -> None:
        """An application fetches; the messages are being handed over."""
        for received in self.inbox.take(most):
            self.free.remove(bytes(received.message))
            self.taken.append(received)

    @rule(is_handed_over=st.booleans())
    def end_taking(self, is_handed_over: bool) -> None:
        """The hand-over succeeds, or fails and gives the messages back."""
        taken, self.taken = self.taken, []
        if is_handed_over:
            self.inbox.handed_over(taken)
        else:
            self.inbox.give_back(taken)
            self.free |= {bytes(received.message) for received in taken}

    @rule(which=st.integers(0, 1))
    def offer(self, which: int) -> None:
        """A subscriber has room, and is offered messages."""
        for received in self.inbox.offer(self.subscribers[which]):
            message = bytes(received.message)
            self.free.remove(message)
            self.offered[received.id] = (message, self.subscribers[which])

    @rule(fails=st.booleans(), which=st.integers(0, 3))
    def acknowledge(self, fails: bool, which: int) -> None:
        """A subscriber acknowledges a message, the first time perhaps in vain."""
        if which >= len(self.offered):
            return
        message_id = list(self.offered)[which]
        if fails:
            self.disk.fail(OSError("no disk"))
            with pytest.raises(StoreError):
                self.inbox.acknowledge([message_id])
            self.disk.work()
        assert self.inbox.acknowledge([message_id]) == [True]
        assert self.inbox.acknowledge([message_id]) == [False]
        self.is_due = False  # everything that was due was written in the same round
        del self.offered[message_id]

    @rule(which=st.integers(0, 1))
    def leave(self, which: int) -> None:
        """A subscriber leaves, and another one comes; what was offered is free again."""
        gone = self.subscribers[which]
        self.inbox.unsubscribe(gone)
        for message_id, (message, subscriber) in list(self.offered.items()):
            if subscriber is gone:
                del self.offered[message_id]
                self.free.add(message)
        self.subscribers[which] = self.inbox.subscribe(lambda: None, window=2)

    @rule()
    def restart(self) -> None:
        """Restart; every message that was neither fetched nor acknowledged is free again."""
        self.journal.close()
        self.is_due = False
        self.begin()
        self.free |= self.arrived | {message for message, _ in self.offered.values()}
        self.free |= {bytes(received.message) for received in self.taken}
        self.arrived, self.offered, self.taken = set(), {}, []

    @invariant()
    def counts_are_right(self) -> None:
        """The inbox counts each message that isn't being fetched once, and its bytes, too."""
        there = [*self.arrived, *self.free, *(message for message, _ in self.offered.values())]
        assert len(self.inbox) == len(there) == len(set(there))
        assert self.inbox._shares._bytes[Standing.ANONYMOUS] == sum(map(len, there))


TestStates = Machine.TestCase
TestStates.settings = settings(max_examples=30, stateful_step_count=25)
