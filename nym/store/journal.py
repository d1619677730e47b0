"""Writes everything that must survive the process to disk, in rounds (nym/store/rounds.py).

There are two kinds of changes:

- A change that is asked for (`write`) begins something new. If the disk has no room, it is refused.
- A change that is due (`put`, `drop`, `erase`) records something that has already happened. It is
  tried again until it succeeds. The reserve (nym/store/reserve.py) is for such changes.

No greenlet waits for the disk unless it depends on the result.
"""

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from nym._secrets import Secret
from nym.errors import StoreError
from nym.store.aside import FILE
from nym.store.database import Change, Database, Parts
from nym.store.rounds import Round, Rounds
from nym.wire.pieces import Message

RETRY = 1.0  # seconds between attempts to write changes that are due

_UNFINISHED = StoreError(f"{FILE} can't be written")
_CLOSED = StoreError(f"{FILE} is closed, because the client is stopping")

log = logging.getLogger(__name__)

Ended = Callable[[StoreError | None], None]


class _Round(Round):
    """Changes that are written together, and the outcome.

    `failure` is the error for the changes that are due, and `refusal` is the error for the changes
    that were asked for. Either is None if those changes are on disk.
    """

    def __init__(self) -> None:
        super().__init__()
        self.due: list[Change | Parts] = []
        self.asked: list[Change] = []
        self.is_awaited = False  # a greenlet waits for the round, even if it has no changes
        # A round has failed until the thread reports otherwise. If the thread dies, or can't be
        # started, nobody is told that the changes are on disk.
        self.failure: StoreError | None = _UNFINISHED
        self.refusal: StoreError | None = _UNFINISHED

    @property
    def is_wanted(self) -> bool:
        """See Round."""
        return bool(self.due or self.asked or self.is_awaited)

    @property
    def error(self) -> StoreError | None:
        """See Round."""
        return self.failure or self.refusal

    def refuse(self, error: StoreError) -> None:
        """See Round."""
        self.failure = self.refusal = error


class Journal(Rounds[_Round]):
    """The entries of one client, kept in its database.

    Raises StoreError, FolderInUseError as `Database` does.
    """

    def __init__(self, folder: Path, private_key: bytes | Secret) -> None:
        super().__init__(log, str(folder / FILE), "trying again until it works", _CLOSED)
        try:
            self._database = Database(folder, private_key)
        except BaseException:
            self._thread.kill()
            raise
        self._retry: Any = None  # the timer of the pause after a round that failed

    def take(self, kind: str) -> list[tuple[str, Message]]:
        """Return (id, body) of the entries of this kind that existed at the start, oldest first.

        Only the first call returns them: after that, the caller keeps them.
        """
        return self._database.entries.pop(kind, [])

    def take_short(self, kind: str) -> list[tuple[str, bytes]]:
        """Do the same for a kind whose entries are never kept in pieces."""
        return [(entry_id, bytes(body)) for entry_id, body in self.take(kind)]

    def write(self, changes: Iterable[Change], then: Ended | None = None) -> None:
        """Write all of these changes or none, and wait until they are on disk. Raises StoreError.

        `then` is called exactly once, with the error or None, even if the greenlet that waits here
        is killed in the meantime.
        """
        # `changes` may be a generator that raises. Then no part of it must be in the round.
        asked = list(changes)
        this = self._next
        if then:
            this.ended.rawlink(lambda _: then(this.refusal))
        this.asked += asked
        if error := self._wait().refusal:
            raise error.with_traceback(None)

    def put(self, kind: str, entry_id: str, body: Message) -> None:
        """Write this entry soon. If this call raises, the entry will not be written."""
        self._ask(Change(kind, entry_id, body))

    def put_along(self, kind: str, entry_id: str, body: Message) -> None:
        """Write this entry with the next round, whatever that is begun for."""
        self._next.due.append(Change(kind, entry_id, body))

    def drop(self, kind: str, entry_id: str) -> None:
        """Delete this entry soon. If this call raises, the entry will not be deleted."""
        self._ask(Change(kind, entry_id, None))

    def erase(self, kind: str, entry_id: str) -> None:
        """Delete this entry soon, such as a key, and all that the files still have of it.

        If this call raises, it will not be deleted.
        """
        self._ask(Change(kind, entry_id, None, is_erased=True))

    def drop_parts(self, kind: str, name: str) -> None:
        """Delete all entries whose ids are `name`, a space and anything more, soon.

        If this call raises, they will not be deleted.
        """
        self._ask(Parts(kind, name))

    def flush(self) -> None:
        """Wait until everything that was put and dropped so far is on disk.

        Raises StoreError if this attempt fails. The journal goes on trying after that.
        """
        if self._next.is_wanted:
            this = self._wait()
        elif self._current:  # it has everything already, so no other round is needed
            this = self._current
            this.ended.wait()
        else:
            return
        if error := this.failure:
            # Several greenlets raise the same error object. Each would add to its traceback.
            raise error.with_traceback(None)

    def check_room(self) -> None:
        """Raise StoreError if the disk has no room for anything new."""
        # An empty round is written, because only that shows whether there is room again.
        if self._database.is_short and (error := self._wait().refusal):
            raise error.with_traceback(None)

    def close(self) -> None:
        """Write what is left, and close the file. Later calls raise an error that says so."""
        if self._is_closed:
            return
        try:
            # Other greenlets may add changes while one round is being written.
            while self._is_busy:
                self.flush()
        except StoreError as error:
            log.error("%s; the last %d changes are lost", error, len(self._next.due))  # noqa: TRY400
        finally:
            self._release()

    def _ask(self, change: Change | Parts) -> None:
        due = self._next.due
        due.append(change)
        try:
            self._wake()
        except BaseException:
            due.pop()  # no other greenlet has run since the append, so this is still the last one
            raise

    def _wait(self) -> _Round:
        this = self._next
        this.is_awaited = True
        self._wake()
        this.ended.wait()
        return this

    def _new(self) -> _Round:
        return _Round()

    def _write(self, this: _Round) -> None:
        this.refusal = self._database.lack() or self._database.transact([*this.due, *this.asked])
        # The changes that were asked for may be what doesn't fit. So the due ones are tried
        # alone, and may use the reserve.
        this.failure = this.refusal and self._database.transact(this.due, has_to_be=True)

    def _settle(self, this: _Round) -> None:
        if this.failure:
            # In front of newer changes: a later change of the same entry must be written later.
            self._next.due[:0] = this.due

    def _release(self) -> None:
        # Here, not in `_shut`, which runs in the thread: a timer belongs to the loop.
        self._stop_waiting()
        super()._release()

    def _shut(self) -> None:
        self._database.close()

    def _wake(self) -> None:
        if self._is_closed or not self._retry:
            super()._wake()

    def _go_on(self, this: _Round) -> None:
        if this.failure:
            self._pause()
        else:
            super()._go_on(this)

    def _pause(self) -> None:
        self._retry = self._loop.timer(RETRY)
        self._retry.start(self._try_again)

    def _try_again(self) -> None:
        self._stop_waiting()
        self._wake()

    def _stop_waiting(self) -> None:
        if self._retry:
            self._retry.close()
            self._retry = None
