"""What must last, written in rounds.

Changes are gathered while the ones before them are written, and written as one transaction: a
thousand messages that come together cost one fsync, and no greenlet waits for a disk that it
doesn't depend on.

A change is either asked for, and refused when the disk has no room (`write`), or follows from
something that has happened already, and is tried until it succeeds (`put`, `drop`). There is a
reserve for the second kind.

Every round ends once, for all who wait for it, whatever is raised on the way. A thread writes it,
which nobody can kill, and calls back; a round counts as failed until the thread has said that it is
on disk.
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

RETRY = 1.0  # seconds between attempts to write what has to be written

# Made beforehand: there may be no memory for another one when it is needed.
_UNFINISHED = StoreError("client.db can't be written")
_CLOSED = StoreError("client.db is closed, since the client stops")

log = logging.getLogger(__name__)

Ended = Callable[[StoreError | None], None]


class _Round:
    """Changes that go to the disk together, and how that went.

    `failure` is what went wrong with those that were due, `refusal` with those that were asked for.
    """

    def __init__(self) -> None:
        self.due: list[Change | Parts] = []
        self.asked: list[Change] = []
        self.is_awaited = False
        self.failure: StoreError | None = _UNFINISHED
        self.refusal: StoreError | None = _UNFINISHED
        self.unforeseen: BaseException | None = None
        self.has_ended = False
        self.ended = Event()

    @property
    def is_wanted(self) -> bool:
        """Whether there is a reason to write it."""
        return bool(self.due or self.asked or self.is_awaited)

    def end(self) -> None:
        """Wake all who want to know how it went."""
        self.has_ended = True
        self.ended.set()


class Journal:
    """The entries of one client, over its database. Raises what that raises."""

    def __init__(self, folder: Path, private_key: bytes | Secret) -> None:
        self._thread = _start_thread()
        try:
            self._database = Database(folder, private_key)
        except BaseException:
            self._thread.kill()
            raise
        self._next = _Round()
        self._current: _Round | None = None  # is being written
        self._retry: Any = None  # a timer, while nothing is written because that failed just now
        self._said: set[str] = set()  # what went wrong since it worked last
        self._is_woken = False
        self._is_closed = False
        self._loop = gevent.get_hub().loop

    def take(self, kind: str) -> list[tuple[str, Message]]:
        """(id, body) of the entries that were there at the start, oldest first; once."""
        return self._database.entries.pop(kind, [])

    def take_short(self, kind: str) -> list[tuple[str, bytes]]:
        """The same, of entries that are never kept in pieces."""
        return [(entry_id, bytes(body)) for entry_id, body in self.take(kind)]

    def write(self, changes: Iterable[Change], then: Ended | None = None) -> None:
        """Write all of these, or none: wait until they are on disk. Raises StoreError.

        `then` is called once with what went wrong, if anything did, even where the greenlet that
        waits here is killed meanwhile.
        """
        asked = list(changes)  # what raises in between leaves nothing half asked for
        this = self._next
        if then:
            this.ended.rawlink(lambda _: then(this.refusal))
        this.asked += asked
        if error := self._wait().refusal:
            raise error.with_traceback(None)

    def put(self, kind: str, entry_id: str, body: Message) -> None:
        """Write this entry soon. Whatever is raised, it isn't asked for then."""
        self._ask(Change(kind, entry_id, body))

    def drop(self, kind: str, entry_id: str) -> None:
        """Delete this entry soon; as `put`."""
        self._ask(Change(kind, entry_id, None))

    def drop_parts(self, kind: str, name: str) -> None:
        """Delete all entries whose ids are `name`, a space, and anything, soon; as `put`."""
        self._ask(Parts(kind, name))

    def flush(self) -> None:
        """Wait until what was put and dropped so far is on disk.

        Raises StoreError if that fails now; it is tried again all the same.
        """
        if self._is_busy and (error := self._wait().failure):
            raise error.with_traceback(None)  # which grows where several wait

    def check_room(self) -> None:
        """Raises StoreError where the disk has no room for anything that isn't due already."""
        if self._database.is_short and (error := self._wait().refusal):
            raise error.with_traceback(None)

    def close(self) -> None:
        """Write what is left, and let go of the file. Later callers get an error that says so."""
        if self._is_closed:
            return
        try:
            while self._is_busy:
                self.flush()
        except StoreError as error:
            log.error("%s; the last %d changes are lost", error, len(self._next.due))  # noqa: TRY400
        finally:
            self._let_go()

    @property
    def _is_busy(self) -> bool:
        return self._current is not None or self._next.is_wanted

    def _let_go(self) -> None:
        if self._is_closed:
            return  # by another greenlet meanwhile
        self._is_closed = True
        if self._retry:
            self._retry.close()
        self._thread.kill()  # when it has written what it is at
        self._database.close()
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
            due.pop()  # nothing else has run since
            raise

    def _wait(self) -> _Round:
        this = self._next
        this.is_awaited = True
        self._wake()
        this.ended.wait()
        return this

    def _wake(self) -> None:
        """Write the next round soon, with all that comes until then."""
        if self._is_closed:
            self._refuse()
        elif self._next.is_wanted and not (self._is_woken or self._current or self._retry):
            self._loop.run_callback(self._begin)
            self._is_woken = True  # not before: if that was raised over, the next one wakes it

    def _begin(self) -> None:
        self._is_woken = False
        if self._is_closed:
            return
        this, self._next = self._next, _Round()
        self._current = this
        try:
            self._thread.spawn(self._commit, this).rawlink(lambda _: self._end(this))
        except Exception as error:  # noqa: BLE001 - said in _say
            this.unforeseen = error
            self._end(this)

    def _commit(self, this: _Round) -> None:
        """What the thread does. It raises nothing, which the pool would print."""
        if this.has_ended:
            return  # the thread could be started only now, and nobody waits for this any more
        try:
            this.refusal = self._database.lack() or self._database.transact(
                [*this.due, *this.asked]
            )
            # What was asked for may be what doesn't fit.
            this.failure = this.refusal and self._database.transact(this.due, has_to_be=True)
        except BaseException as error:  # noqa: BLE001 - said in _say
            this.unforeseen = error

    def _end(self, this: _Round) -> None:
        """The round is over. The loop calls this, where nothing may wait."""
        if this.has_ended:
            return
        self._current = None
        if this.failure:
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
        """Each thing that goes wrong once, until it works again."""
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
    """A thread of the journal's own: slow lookups of names can't hold it up.

    It is there before anything is accepted: where none can be started, that is said now.
    """
    try:
        pool = ThreadPool(1)
        pool.apply(int)
    except Exception as error:
        raise StoreError(f"the client can't start a thread, which it needs: {error}") from error
    return pool
