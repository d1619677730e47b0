"""Inboxes in a database, which a thread writes in rounds (nym.store.rounds).

All that is asked for while one round is written makes the next one: many puts and pulls, of many
clients, are one transaction. One that is refused, because an inbox is full or unknown, keeps none
of the others from the disk.

If the disk is full, nothing is put in. What takes messages out is tried alone then, with the room
that is reserved for it.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from nym.config.nodes import InboxSettings
from nym.errors import (
    NoRoomError,
    NymError,
    OutcomeUnknownError,
    OverloadError,
    RemoteError,
    StoreError,
)
from nym.nodes.inboxes import DEFAULT, Gone, Inboxes, Kept, Numbered, statements
from nym.nodes.inboxes.engine import Engine, Execute
from nym.nodes.inboxes.register import Register
from nym.nodes.inboxes.schema import migrate
from nym.store.clock import LastingClock, Notes
from nym.store.rounds import Round, Rounds

MOST_WAITING = 10_000  # tasks for the next round

_UNFINISHED = StoreError("the inboxes can't be written")
_CLOSED = StoreError("the inboxes are closed, because the provider is stopping")

log = logging.getLogger(__name__)

Result = TypeVar("Result")


class _Task:
    """Something to do in a round: `work` in its transaction, and then `settle` with its result.

    `is_due`: it makes room, so that it is done on a full disk, too.
    """

    def __init__(
        self,
        work: Callable[[Execute], Any],
        settle: Callable[[Any], None],
        then: Kept | None = None,
        *,
        is_due: bool = False,
    ) -> None:
        self.work = work
        self.settle = settle
        self.then = then
        self.is_due = is_due
        self.result: Any = None
        self.error: NymError | None = _UNFINISHED

    def run(self, execute: Execute) -> None:
        """Do it; a refusal is its own outcome, and no failure of the round."""
        try:
            self.result, self.error = self.work(execute), None
        except RemoteError as error:
            self.error = error


class _Round(Round):
    """Tasks, and the error for those that are due and for the others."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks: list[_Task] = []
        self.failure: StoreError | None = _UNFINISHED
        self.refusal: StoreError | None = _UNFINISHED

    @property
    def is_wanted(self) -> bool:
        """See Round."""
        return bool(self.tasks)

    @property
    def error(self) -> StoreError | None:
        """See Round."""
        return self.failure or self.refusal

    def refuse(self, error: StoreError) -> None:
        """See Round."""
        self.failure = self.refusal = error
        self.tell()

    def tell(self) -> None:
        """Give each task its outcome."""
        for task in self.tasks:
            task.error = (self.failure if task.is_due else self.refusal) or task.error
            try:
                if task.error is None:
                    task.settle(task.result)
                if task.then:
                    task.then(task.error)
            except Exception:
                log.exception("what follows a change of an inbox failed")


class Clock(Protocol):
    """A clock in seconds."""

    def now(self) -> float:
        """Return the reading."""


class _Notes:
    """Readings of the clock, for nym.store.clock, between its calls and the database."""

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}
        self._changed: dict[str, bytes] = {}

    def get(self, name: str) -> bytes | None:
        """See nym.store.clock.Notes."""
        return self.stored.get(name)

    def set(self, name: str, value: bytes) -> None:
        """See nym.store.clock.Notes."""
        self._changed[name] = value

    def due(self) -> dict[str, bytes]:
        """Return those that were never returned here. If storing them fails, later ones follow."""
        changed, self._changed = self._changed, {}
        return changed


class StoredInboxes(Rounds[_Round], Inboxes):
    """Inboxes in the database of an engine, which is closed with them.

    `clock` makes the clock by which things are old, from readings that are stored with them. Raises
    StoreError.
    """

    def __init__(
        self,
        engine: Engine,
        settings: InboxSettings = DEFAULT,
        clock: Callable[[Notes], Clock] = LastingClock,
    ) -> None:
        super().__init__(log, engine.name, "messages are refused until it works", _CLOSED)
        self.name = engine.name
        self.settings = settings
        self.engine = engine
        self._register = Register()
        self._notes = _Notes()
        try:
            self.refresh()
            self._clock = clock(self._notes)
        except BaseException:
            self._release()
            raise

    def __len__(self) -> int:
        return len(self._register)

    def __contains__(self, client: bytes) -> bool:
        return client in self._register

    def clients(self) -> list[bytes]:
        """See Inboxes."""
        return self._register.addresses()

    def count(self) -> int:
        """See Inboxes."""
        return self._register.messages

    def is_proven(self, client: bytes) -> bool:
        """See Inboxes."""
        return client in self._register.proven

    def open(self, client: bytes, *, is_proven: bool = False) -> None:
        """See Inboxes."""
        settings, now = self.settings, self._now()
        self._do(
            lambda execute: statements.open_inbox(
                execute, client, settings, now, is_proven=is_proven
            ),
            lambda _: self._register.came(client, now, is_proven=is_proven),
        )

    def keep(self, client: bytes, message: bytes, then: Kept) -> None:
        """See Inboxes."""
        if len(self._next.tasks) >= MOST_WAITING:
            then(OverloadError(f"{MOST_WAITING} messages wait for the disk already"))
        else:
            settings, now = self.settings, self._now()
            self._ask(
                lambda execute: statements.put(execute, client, message, settings, now),
                lambda _: self._register.add(client, 1),
                then,
            )

    def take(self, client: bytes, most: int) -> list[bytes]:
        """See Inboxes."""
        now = self._now()
        if self._has_nothing(client, now):
            return []
        task = self._wait(
            lambda execute: statements.take(execute, client, most, now),
            lambda taken: self._register.pulled(client, now, taken.deleted),
            is_due=True,
        )
        if isinstance(task.error, OutcomeUnknownError) and task.result is not None:
            log.warning("messages were handed over that may come again: %s", task.error)
        elif task.error is not None:
            raise task.error.with_traceback(None)
        return [message for _, message in task.result.messages]

    def hand_over(self, client: bytes, delivered: Sequence[int], most: int) -> list[Numbered]:
        """See Inboxes."""
        now = self._now()
        # What the client names may still be there, though nothing in memory says so: another
        # process may have handed it over a moment ago. The client takes the answer for a proof that
        # it has been removed, and would take it for a new message if it came again.
        if not delivered and self._has_nothing(client, now):
            return []
        taken: statements.Taken = self._do(
            lambda execute: statements.hand_over(execute, client, delivered, most, now),
            lambda taken: self._register.pulled(client, now, taken.deleted),
            is_due=True,
        )
        return taken.messages

    def age(self) -> Gone:
        """See Inboxes."""
        settings, now, notes = self.settings, self._now(), self._notes.due()

        def work(execute: Execute) -> statements.Aged:
            statements.write_notes(execute, notes)
            return statements.age(execute, settings, now)

        aged: statements.Aged = self._do(work, self._register.forget, is_due=True)
        return Gone(sum(aged.messages.values()), len(aged.clients), aged.is_all)

    def run(self, work: Callable[[Execute, int], Result]) -> Result:
        """Call `work` with the time, in a transaction; return its result.

        What is in memory follows only with `refresh`. Raises what `work` raises, and StoreError.
        """
        now = self._now()
        result: Result = self._do(lambda execute: work(execute, now), lambda _: None)
        return result

    def refresh(self) -> None:
        """Read anew from the database what is in memory."""
        self._do(self._load, self._use)

    def flush(self) -> None:
        """See Inboxes."""
        for this in (self._current, self._next):
            if this and this.is_wanted:
                this.ended.wait()

    def close(self) -> None:
        """See Inboxes."""
        self.flush()
        self._release()

    def _now(self) -> int:
        return int(self._clock.now())

    def _has_nothing(self, client: bytes, now: int) -> bool:
        """Whether a pull needs no transaction, as most pulls don't."""
        return self._register.has_nothing(client, now)

    def _follow(self, execute: Execute) -> None:
        """Read, at the end of a transaction, what others have changed in the database."""

    def _followed(self) -> None:
        """Take over what `_follow` has read, after the outcome of that transaction's tasks."""

    def _use(self, register: Register) -> None:
        self._register = register

    def _load(self, execute: Execute) -> Register:
        migrate(self.engine, execute)
        self._notes.stored = statements.notes(execute)
        return Register(statements.clients(execute), statements.proven(execute))

    def _ask(
        self,
        work: Callable[[Execute], Any],
        settle: Callable[[Any], None],
        then: Kept | None = None,
        *,
        is_due: bool = False,
    ) -> _Task:
        task = _Task(work, settle, then, is_due=is_due)
        self._next.tasks.append(task)
        try:
            self._wake()
        except BaseException:
            self._next.tasks.pop()  # nothing else has run since the append, so this is still it
            raise
        return task

    def _wait(
        self, work: Callable[[Execute], Any], settle: Callable[[Any], None], *, is_due: bool = False
    ) -> _Task:
        """Do this, and return its outcome once there is one."""
        this = self._next
        task = self._ask(work, settle, is_due=is_due)
        this.ended.wait()
        return task

    def _do(
        self, work: Callable[[Execute], Any], settle: Callable[[Any], None], *, is_due: bool = False
    ) -> Any:
        """Do this, and return its result. Raises RemoteError, StoreError."""
        task = self._wait(work, settle, is_due=is_due)
        if task.error is not None:
            # Several greenlets may raise the same error object. Each would add to its traceback.
            raise task.error.with_traceback(None)
        return task.result

    def _new(self) -> _Round:
        return _Round()

    def _write(self, this: _Round) -> None:
        this.refusal = self.engine.lack() or self._transact(this.tasks)
        this.failure = this.refusal
        if isinstance(this.refusal, NoRoomError):
            # What is put in may be what doesn't fit.
            due = [task for task in this.tasks if task.is_due]
            this.failure = self._transact(due, has_to_be=True)

    def _transact(self, tasks: Sequence[_Task], *, has_to_be: bool = False) -> StoreError | None:
        def work(execute: Execute) -> None:
            for task in tasks:
                task.run(execute)
            self._follow(execute)

        try:
            self.engine.transact(work, has_to_be=has_to_be)
        except StoreError as error:
            return error
        return None

    def _settle(self, this: _Round) -> None:
        this.tell()
        if this.failure is None:
            self._followed()

    def _shut(self) -> None:
        self.engine.close()
