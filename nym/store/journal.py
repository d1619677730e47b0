"""Writes everything that must survive the process to disk, in rounds.

While one round is being written, the journal collects the changes for the next one. Each round is
one transaction, so a thousand messages that arrive together cost one fsync. No greenlet waits for
the disk unless it depends on the result.

There are two kinds of changes:

- A change that is asked for (`write`) begins something new. If the disk has no room, it is refused.
- A change that is due (`put`, `drop`) records something that has already happened. It is tried
  again until it succeeds. The reserve (nym/store/reserve.py) is for such changes.

Every round ends exactly once, with one outcome for all greenlets that wait for it, whatever is
raised on the way. A thread writes the round and calls back, because a greenlet could be killed
halfway and a thread can't. Until the thread reports that the round is on disk, it counts as failed.
"""

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import gevent
from gevent.event import Event
from gevent.threadpool import ThreadPool

from nym._secrets import Secret
from nym.errors import StoreError
from nym.store.database import Change, Database, Parts
from nym.wire.pieces import Message

RETRY = 1.0  # seconds between attempts to write changes that are due

# These errors are created in advance, because there may be no memory left when one is needed.
_UNFINISHED = StoreError("client.db can't be written")
_CLOSED = StoreError("client.db is closed, because the client is stopping")

log = logging.getLogger(__name__)

Ended = Callable[[StoreError | None], None]


class _Round:
    """Changes that are written together, and the outcome.

    `failure` is the error for the changes that are due, and `refusal` is the error for the changes
    that were asked for. Either is None if those changes are on disk.
    """

    def __init__(self) -> None:
        self.due: list[Change | Parts] = []
        self.asked: list[Change] = []
        self.is_awaited = False  # a greenlet waits for the round, even if it has no changes
        # A round has failed until the thread reports otherwise. If the thread dies, or can't be
        # started, nobody is told that the changes are on disk.
        self.failure: StoreError | None = _UNFINISHED
        self.refusal: StoreError | None = _UNFINISHED
        self.unforeseen: BaseException | None = None
        self.has_ended = False
        self.ended = Event()

    @property
    def is_wanted(self) -> bool:
        """Whether there is a reason to write this round."""
        return bool(self.due or self.asked or self.is_awaited)

    def end(self) -> None:
        """Wake everything that waits for the outcome."""
        self.has_ended = True
        self.ended.set()


class Journal:
    """The entries of one client, kept in its database.

    Raises StoreError, FolderInUseError as `Database` does.
    """

    def __init__(self, folder: Path, private_key: bytes | Secret) -> None:
        self._thread = _start_thread()
        try:
            self._database = Database(folder, private_key)
        except BaseException:
            self._thread.kill()
            raise
        self._next = _Round()
        self._current: _Round | None = None  # the round that is being written
        self._retry: Any = None  # the timer of the pause after a round that failed
        self._said: set[str] = set()  # kinds of errors that were logged since the last success
        self._is_woken = False
        self._is_closed = False
        self._loop = gevent.get_hub().loop

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

    def drop(self, kind: str, entry_id: str) -> None:
        """Delete this entry soon. If this call raises, the entry will not be deleted."""
        self._ask(Change(kind, entry_id, None))

    def drop_parts(self, kind: str, name: str) -> None:
        """Delete all entries whose ids are `name`, a space and anything more, soon.

        If this call raises, they will not be deleted.
        """
        self._ask(Parts(kind, name))

    def flush(self) -> None:
        """Wait until everything that was put and dropped so far is on disk.

        Raises StoreError if this attempt fails. The journal goes on trying after that.
        """
        if self._is_busy and (error := self._wait().failure):
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

    @property
    def _is_busy(self) -> bool:
        return self._current is not None or self._next.is_wanted

    def _release(self) -> None:
        if self._is_closed:
            return  # another greenlet closed the journal while this one waited in `close`
        self._is_closed = True
        if self._retry:
            self._retry.close()
        # This waits for the round that the thread is writing. So the file is not closed under it.
        self._thread.kill()
        self._database.close()
        # The loop may not have heard from the thread yet, so the round is ended here.
        if self._current:
            self._end(self._current)
        self._refuse()

    def _refuse(self) -> None:
        this, self._next = self._next, _Round()
        this.failure = this.refusal = _CLOSED
        this.end()

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

    def _wake(self) -> None:
        """Have the next round written soon, with all changes that are added until then."""
        if self._is_closed:
            self._refuse()
        elif self._next.is_wanted and not (self._is_woken or self._current or self._retry):
            self._loop.run_callback(self._begin)
            # Only now: if `run_callback` raises, the next change must wake the journal instead.
            self._is_woken = True

    def _begin(self) -> None:
        self._is_woken = False
        if self._is_closed:
            return
        this, self._next = self._next, _Round()
        self._current = this
        try:
            self._thread.spawn(self._commit, this).rawlink(lambda _: self._end(this))
        except Exception as error:  # noqa: BLE001 - logged in _say
            this.unforeseen = error
            self._end(this)

    def _commit(self, this: _Round) -> None:
        """Write the round. Runs in the thread, and raises nothing: the pool would print it."""
        if this.has_ended:
            # `spawn` queues the task before it starts a thread. If starting one fails, the round
            # has ended as failed, and a later thread finds the task. Writing it now would write
            # changes that were reported as refused, and write the others twice.
            return
        try:
            this.refusal = self._database.lack() or self._database.transact(
                [*this.due, *this.asked]
            )
            # The changes that were asked for may be what doesn't fit. So the due ones are tried
            # alone, and may use the reserve.
            this.failure = this.refusal and self._database.transact(this.due, has_to_be=True)
        except BaseException as error:  # noqa: BLE001 - logged in _say
            this.unforeseen = error

    def _end(self, this: _Round) -> None:
        """End the round. The event loop calls this, so nothing in it may wait."""
        if this.has_ended:
            return
        self._current = None
        if this.failure:
            # In front of newer changes: a later change of the same entry must be written later.
            self._next.due[:0] = this.due
        this.end()
        if self._is_closed:
            return
        if this.failure:
            self._pause()
        else:
            self._wake()
        self._say(this)

    def _pause(self) -> None:
        self._retry = self._loop.timer(RETRY)
        self._retry.start(self._try_again)

    def _try_again(self) -> None:
        self._retry.close()
        self._retry = None
        self._wake()

    def _say(self, this: _Round) -> None:
        """Log each kind of error once, until a round succeeds again."""
        error = this.failure or this.refusal
        if error is None:
            if self._said:
                log.info("%s can be written again", self._database.path)
            self._said.clear()
            return
        what = type(this.unforeseen).__name__ if this.unforeseen else "storage"
        if what not in self._said:
            self._said.add(what)
            log.error("%s; trying again until it works", error, exc_info=this.unforeseen)


def _start_thread() -> ThreadPool:
    """Start a thread that only the journal uses.

    gevent's own pool is shared with lookups of names, and slow lookups would hold up the disk. The
    thread is started at once: a client that can't have one must fail before it accepts anything.
    """
    try:
        pool = ThreadPool(1)
        pool.apply(int)  # any task will do: the pool starts its thread for the first one
    except Exception as error:
        raise StoreError(f"the client can't start a thread, which it needs: {error}") from error
    return pool
