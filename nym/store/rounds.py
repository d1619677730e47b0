"""Does work for the disk in rounds: while one is written, what comes meanwhile makes the next one.

Each round is one transaction, so a thousand changes that come together cost one fsync.

Every round ends exactly once, with one outcome for all greenlets that wait for it, whatever is
raised on the way. A thread writes the round and calls back, because a greenlet could be killed
halfway and a thread can't. Until the thread reports that the round is on disk, it counts as failed.
"""

import logging
from abc import ABC, abstractmethod
from typing import Generic, TypeVar

import gevent
from gevent.event import Event
from gevent.threadpool import ThreadPool

from nym.errors import NymError, StoreError


class Round(ABC):
    """What is written together. Subclasses hold the work and its outcome."""

    def __init__(self) -> None:
        self.unforeseen: BaseException | None = None
        self.has_ended = False
        self.ended = Event()

    @property
    @abstractmethod
    def is_wanted(self) -> bool:
        """Whether there is a reason to write this round."""

    @property
    @abstractmethod
    def error(self) -> NymError | None:
        """Why it isn't on disk, or not all of it; None if it is."""

    @abstractmethod
    def refuse(self, error: StoreError) -> None:
        """Let this be the outcome of all that is in the round."""

    def end(self) -> None:
        """Wake everything that waits for the outcome."""
        self.has_ended = True
        self.ended.set()


R = TypeVar("R", bound=Round)


class Rounds(ABC, Generic[R]):
    """Writes one round after the other, each as soon as the one before has ended.

    `closed` is the error for whatever comes too late. It and the errors of fresh rounds are made in
    advance, because there may be no memory left when one is needed. Failures are logged in `log`,
    with what happens `meanwhile`; `name` is what can't be written.
    """

    def __init__(self, log: logging.Logger, name: str, meanwhile: str, closed: StoreError) -> None:
        """Raises StoreError where no thread can be started."""
        self._log = log
        self._name = name
        self._meanwhile = meanwhile
        self._closed = closed
        self._next = self._new()
        self._current: R | None = None  # the round that is being written
        self._said: set[str] = set()  # kinds of errors that were logged since the last success
        self._is_woken = False
        self._is_closed = False
        self._loop = gevent.get_hub().loop
        self._thread = _start_thread()

    @abstractmethod
    def _new(self) -> R:
        """Return a round without work, which counts as failed."""

    @abstractmethod
    def _write(self, this: R) -> None:
        """Write the round, in the thread, and note its outcome in it. May raise anything."""

    @abstractmethod
    def _settle(self, this: R) -> None:
        """Draw the consequences of an outcome before anybody hears of it. Must not wait."""

    @abstractmethod
    def _shut(self) -> None:
        """Close what is written to, in the thread. Raises nothing."""

    @property
    def _is_busy(self) -> bool:
        return self._current is not None or self._next.is_wanted

    def _wake(self) -> None:
        """Have the next round written soon, with all that is added until then."""
        if self._is_closed:
            self._refuse()
        elif self._next.is_wanted and not (self._is_woken or self._current):
            self._loop.run_callback(self._begin)
            # Only now: if `run_callback` raises, the next change must wake the thread instead.
            self._is_woken = True

    def _go_on(self, this: R) -> None:
        """Begin what follows this round, which has ended."""
        self._wake()

    def _release(self) -> None:
        """End everything. Later work is refused."""
        if self._is_closed:
            return  # another greenlet did so while this one waited
        self._is_closed = True
        # This waits for the round that the thread is writing. So nothing is closed under it.
        self._thread.apply(self._shut)
        self._thread.kill()
        # The loop may not have heard from the thread yet, so the round is ended here.
        if self._current:
            self._end(self._current)
        self._refuse()

    def _refuse(self) -> None:
        this, self._next = self._next, self._new()
        this.refuse(self._closed)
        this.end()

    def _begin(self) -> None:
        self._is_woken = False
        if self._is_closed:
            return
        this, self._next = self._next, self._new()
        self._current = this
        try:
            self._thread.spawn(self._commit, this).rawlink(lambda _: self._end(this))
        except Exception as error:  # noqa: BLE001 - logged in _say
            this.unforeseen = error
            self._end(this)

    def _commit(self, this: R) -> None:
        """Write the round. Runs in the thread, and raises nothing: the pool would print it."""
        if this.has_ended:
            # `spawn` queues the task before it starts a thread. If starting one fails, the round
            # has ended as failed, and a later thread finds the task. Writing it now would write
            # changes that were reported as refused, and write the others twice.
            return
        try:
            self._write(this)
        except BaseException as error:  # noqa: BLE001 - logged in _say
            this.unforeseen = error

    def _end(self, this: R) -> None:
        """End the round. The event loop calls this, so nothing in it may wait."""
        if this.has_ended:
            return
        self._current = None
        self._settle(this)
        this.end()
        if self._is_closed:
            return
        self._go_on(this)
        self._say(this)

    def _say(self, this: R) -> None:
        """Log each kind of error once, until a round succeeds again."""
        error = this.error
        if error is None:
            if self._said:
                self._log.info("%s can be written again", self._name)
            self._said.clear()
            return
        what = type(this.unforeseen).__name__ if this.unforeseen else "storage"
        if what not in self._said:
            self._said.add(what)
            self._log.error("%s; %s", error, self._meanwhile, exc_info=this.unforeseen)


def _start_thread() -> ThreadPool:
    """Start a thread that is used for nothing else.

    gevent's own pool is shared with lookups of names, and slow lookups would hold up the disk. The
    thread is started at once: a program that can't have one must fail before it accepts anything.
    """
    try:
        pool = ThreadPool(1)
        pool.apply(int)  # any task will do: the pool starts its thread for the first one
    except Exception as error:
        raise StoreError(f"the program can't start a thread, which it needs: {error}") from error
    return pool
