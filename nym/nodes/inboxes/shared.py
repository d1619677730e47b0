"""Inboxes in a database that several processes of one provider share.

What is in memory follows the database: at the end of each transaction, it takes over the clients
that other processes have changed. Without anything else to do, there is a transaction every PERIOD
seconds. So what one process has kept, another one hands over PERIOD seconds later at most.

Limits, and whether an address is registered, are decided in the database. Only three questions are
answered from memory: for a client whose inbox is empty, there is nothing to pull; a client that is
known has proven its address, or not; and the directory gets the list of clients.
"""

import time

from nym.config.nodes import InboxSettings
from nym.nodes.inboxes import DEFAULT, statements
from nym.nodes.inboxes.engine import Execute, SharedEngine
from nym.nodes.inboxes.register import Register
from nym.nodes.inboxes.statements import Seen
from nym.nodes.inboxes.stored import StoredInboxes

PERIOD = 0.25  # seconds
CLOCK_PERIOD = 60.0  # seconds between two looks at the database's clock


class DatabaseClock:
    """The clock of a database, which goes on by itself from one look to the next.

    It is one clock for all processes. So a machine whose clock is wrong removes nothing.
    """

    def __init__(self) -> None:
        self._reading = 0.0
        self._looked: float | None = None

    @property
    def is_due(self) -> bool:
        """Whether it is time for another look."""
        return self._looked is None or time.monotonic() - self._looked >= CLOCK_PERIOD

    def set(self, reading: float) -> None:
        """Take over what the database's clock shows now."""
        self._reading, self._looked = reading, time.monotonic()

    def now(self) -> float:
        """See Clock."""
        return self._reading + time.monotonic() - (self._looked or 0.0)


class SharedInboxes(StoredInboxes):
    """See StoredInboxes; other processes change them, too."""

    def __init__(self, engine: SharedEngine, settings: InboxSettings = DEFAULT) -> None:
        self._shared = engine
        self._common = DatabaseClock()
        self._changed: Register | list[Seen] = []  # by others
        self._fresh_until = 0.0  # monotonic
        super().__init__(engine, settings, lambda notes: self._common)
        self._timer = self._loop.timer(PERIOD, PERIOD)
        self._timer.start(self._look)

    def close(self) -> None:
        """See Inboxes."""
        self._timer.close()
        super().close()

    def is_proven(self, client: bytes) -> bool:
        """See Inboxes. Raises StoreError."""
        if client in self._register:
            return super().is_proven(client)
        # It may have registered with another process a moment ago.
        (found,) = self.run(lambda execute, _: statements.look(execute, [client]))
        return found.is_proven

    def _load(self, execute: Execute) -> Register:
        register = super()._load(execute)
        self._shared.watch(execute)
        return register

    def _follow(self, execute: Execute) -> None:
        heard = self._shared.heard()
        self._changed = self._load(execute) if heard is None else statements.look(execute, heard)
        if self._common.is_due:
            self._common.set(self._shared.time(execute))

    def _followed(self) -> None:
        if isinstance(self._changed, Register):
            self._use(self._changed)
        else:
            self._register.update(self._changed)
        self._fresh_until = time.monotonic() + 2 * PERIOD

    def _has_nothing(self, client: bytes, now: int) -> bool:
        return time.monotonic() < self._fresh_until and super()._has_nothing(client, now)

    def _look(self) -> None:
        if not self._is_busy:
            self._ask(lambda execute: None, lambda _: None)
