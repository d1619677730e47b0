"""What must last, written in rounds.

Changes are gathered while the ones before them are written, and written as one transaction: a
thousand messages that come together cost one fsync, and no greenlet waits for a disk that it
doesn't depend on.

A change is either asked for, and refused when the disk has no room (`write`), or follows from
something that has happened already, and is tried until it succeeds (`put`, `drop`). There is a
reserve for the second kind.
"""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, cast

import gevent
from gevent.event import AsyncResult
from gevent.threadpool import ThreadPool

from nym.errors import StoreError
from nym.store.database import Change, Database

RETRY = 1.0  # seconds between attempts to write what has to be written

log = logging.getLogger(__name__)


class _Round:
    """Changes that go to the disk together, and how that went, for those who wait."""

    def __init__(self) -> None:
        self.due: list[Change] = []
        self.asked: list[Change] = []
        self.outcome: AsyncResult[_Outcome] = AsyncResult()
        self.is_awaited = False

    @property
    def is_wanted(self) -> bool:
        """Whether there is a reason to write it."""
        return bool(self.due or self.asked or self.is_awaited)


class _Outcome(NamedTuple):
    """What went wrong with the changes that were due, and with those that were asked for."""

    due: StoreError | None = None
    asked: StoreError | None = None


class Journal:
    """The entries of one client, over its database. Raises what that raises."""

    def __init__(self, folder: Path, private_key: bytes) -> None:
        self._database = Database(folder, private_key)
        self._next = _Round()
        self._thread = ThreadPool(1)  # of its own: slow lookups of names can't hold it up
        self._writer: gevent.Greenlet[[], None] | None = None
        self._is_failing = False

    def take(self, kind: str) -> list[tuple[str, bytes]]:
        """(id, body) of the entries that were there at the start, oldest first; once."""
        return self._database.entries.pop(kind, [])

    def write(self, changes: Iterable[Change]) -> None:
        """Write all of these, or none: wait until they are on disk. Raises StoreError."""
        self._next.asked.extend(changes)
        if error := self._wait().asked:
            raise error

    def put(self, kind: str, entry_id: str, body: bytes) -> None:
        """Write this entry soon."""
        self._next.due.append(Change(kind, entry_id, body))
        self._wake()

    def drop(self, kind: str, entry_id: str) -> None:
        """Remove this entry soon."""
        self._next.due.append(Change(kind, entry_id, None))
        self._wake()

    def flush(self) -> None:
        """Wait until what was put and dropped so far is on disk.

        Raises StoreError if that fails now; it is tried again all the same.
        """
        if self._is_writing() and (error := self._wait().due):
            raise error

    def check_room(self) -> None:
        """Raises StoreError where the disk has no room for anything that isn't due already."""
        if self._database.is_short and (error := self._wait().asked):
            raise error

    def close(self) -> None:
        """Write what is left, and let go of the file."""
        try:
            self.flush()
        except StoreError as error:
            log.error("%s; the last %d changes are lost", error, len(self._next.due))  # noqa: TRY400
        if self._writer:
            self._writer.kill()
        self._thread.kill()
        self._database.close()

    def _wait(self) -> _Outcome:
        this = self._next
        this.is_awaited = True
        self._wake()
        return cast(_Outcome, this.outcome.get())

    def _wake(self) -> None:
        if not self._is_writing():
            self._writer = gevent.spawn(self._write_rounds)

    def _is_writing(self) -> bool:
        return self._writer is not None and not self._writer.dead

    def _write_rounds(self) -> None:
        while self._next.is_wanted:
            this, self._next = self._next, _Round()
            outcome = self._thread.apply(self._commit, (this.due, this.asked))
            self._say(outcome.due or outcome.asked)
            if outcome.due:
                self._next.due = this.due + self._next.due
            this.outcome.set(outcome)
            if outcome.due:
                gevent.sleep(RETRY)

    def _commit(self, due: list[Change], asked: list[Change]) -> _Outcome:
        refusal = self._database.lack()
        if refusal is None:
            refusal = self._database.transact([*due, *asked])
            if refusal is None:
                return _Outcome()
        # What was asked for may be what doesn't fit.
        return _Outcome(self._database.transact(due, has_to_be=True), refusal)

    def _say(self, error: StoreError | None) -> None:
        if error and not self._is_failing:
            log.error("%s; trying again until it works", error)
        elif self._is_failing and not error:
            log.info("%s can be written again", self._database.path)
        self._is_failing = error is not None
