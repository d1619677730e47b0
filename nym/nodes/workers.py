"""The workers of a node, as the node sees them: they take its packets, and it does all the rest.

The node has the identity, the keys, the control socket and the log, posts to directories and
answers for figures. A worker that ends, whatever the reason, is started again. Connections that
come meanwhile wait for it, because the node keeps the socket open on which it listens.
"""

import logging
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from random import SystemRandom
from typing import Any

import gevent
from gevent.event import Event

from nym.net.listening import listen_together
from nym.net.watch import FIRST_RESTART, LONGEST_RESTART, STEADY
from nym.nodes.counts import Count
from nym.nodes.keyring import Keys
from nym.nodes.orders import Kind, Order, Report, reports
from nym.timing import Backoff
from nym.wire.addresses import NodeAddress
from nym.wire.metrics import Family, as_object, total

SILENCE = 60.0  # seconds without a report after which a worker is ended, because it hangs
LAST_WORDS = 1.0  # seconds in which workers end when the node has ended
MOST_TEXTS = 1000  # of the log that are known as those of one worker
_ABOUT = {"packets_received", "packets_held"}  # figures of each worker, for `status`
_LOOK = 0.02  # seconds between two looks at which workers are left

# Gets a socket that listens, and returns the line to a new worker on it. Raises OSError.
Start = Callable[[socket.socket], socket.socket]

log = logging.getLogger(__name__)


class Workers:
    """So many workers, which `start` starts, and whose packets `keys` open."""

    def __init__(self, start: Start, count: int, keys: Keys[Any]) -> None:
        self.count = count
        self.ended = Count()  # workers that ended by themselves
        self.leaving = Event()
        self._start = start
        self._keys = keys
        self._level = logging.getLogger().level
        self._seats: list[_Seat] = []
        self._said: dict[str, _Seat] = {}

    def listen(self, place: NodeAddress) -> NodeAddress:
        """Start all of them at this place; returns it, with the port. Raises ListenError."""
        listeners = listen_together(place, self.count, "--listen")
        self._seats = [_Seat(self, listener) for listener in listeners]
        for seat in self._seats:
            seat.begin()
        return NodeAddress(*listeners[0].getsockname()[:2])

    def start(self, listener: socket.socket) -> socket.socket:
        """The line to a new worker, with its first orders on it. Raises OSError."""
        line = self._start(listener)
        self._level_order().send(line)
        self._keys_order().send(line)
        return line

    def pass_keys_on(self) -> None:
        """Tell all workers which keys there are."""
        self._tell(self._keys_order())

    def set_level(self, level: int) -> None:
        """Let all workers log from this level on."""
        self._level = level
        self._tell(self._level_order())

    def figures(self) -> Iterator[list[Family]]:
        """The figures of the node, by worker, those that have ended included."""
        for seat in self._seats:
            yield from (seat.past, [*seat.report.figures])

    def processes(self) -> Iterator[list[Family]]:
        """The figures of each process."""
        for seat in self._seats:
            yield from (seat.past_process, [*seat.report.process])

    def take_traffic(self) -> tuple[int, dict[str, int]]:
        """What nym.nodes.mixnode.Mixnode.take_traffic says, of all workers."""
        received, sent = 0, Counter[str]()
        for seat in self._seats:
            received += seat.received
            sent.update(seat.sent)
            seat.received = 0
            seat.sent.clear()
        return received, dict(sent)

    def about(self) -> list[dict[str, object]]:
        """For `status`: the process of each, and what it has to do, of all that is counted."""
        return [
            {"pid": seat.report.pid}
            | {key: value for key, value in as_object(seat.report.figures).items() if key in _ABOUT}
            for seat in self._seats
        ]

    def close(self) -> None:
        """Take no more packets; each worker ends when it has forwarded what it holds."""
        self.leaving.set()
        for seat in self._seats:
            seat.close()
        self._tell(Order(Kind.LEAVE))

    def wait_ended(self, hurry: Event, most: float) -> None:
        """Wait until all have ended, `hurry` is set, or `most` seconds have passed."""
        until = time.monotonic() + most
        while any(seat.is_there for seat in self._seats) and not hurry.is_set():
            if (left := until - time.monotonic()) <= 0:
                return
            hurry.wait(min(left, _LOOK))

    def stop(self) -> None:
        """End all of them at once; packets that they hold are lost."""
        self.leaving.set()
        for seat in self._seats:
            seat.end()
        self.wait_ended(Event(), LAST_WORDS)
        for seat in self._seats:
            seat.kill()

    def note(self, seat: "_Seat", report: Report) -> None:
        """Do what a report asks for."""
        for level, part, text in report.log:
            # What is logged only once is logged once by each worker.
            is_known = level >= logging.WARNING and self._said.get(text, seat) is not seat
            if len(self._said) < MOST_TEXTS:
                self._said.setdefault(text, seat)
            logging.getLogger(part).log(logging.DEBUG if is_known else level, "%s", text)
        if report.needs_key:
            self._keys.look_soon()

    def _tell(self, order: Order) -> None:
        for seat in self._seats:
            seat.tell(order)

    def _keys_order(self) -> Order:
        numbers, keys = zip(*self._keys.private_keys, strict=True)
        return Order(Kind.KEYS, numbers, keys)

    def _level_order(self) -> Order:
        return Order(Kind.LEVEL, [self._level])


class _Seat:
    """A worker, and whoever takes its place when it has ended."""

    def __init__(self, workers: Workers, listener: socket.socket) -> None:
        self.report = Report(0)  # the last one
        self.received = 0  # packets, since somebody took the traffic
        self.sent = Counter[str]()
        # What those have counted that are no longer there.
        self.past: list[Family] = []
        self.past_process: list[Family] = []
        self._workers = workers
        self._listener = listener
        self._line: socket.socket | None = None
        self._greenlet = gevent.Greenlet(self._keep)

    @property
    def is_there(self) -> bool:
        """Whether there is a worker, or will be one."""
        return bool(self._greenlet)

    def begin(self) -> None:
        """See that there is a worker from now on."""
        self._greenlet.start()

    def tell(self, order: Order) -> None:
        """Send an order, if there is somebody to hear it."""
        if self._line is not None:
            with suppress(OSError):  # it has just ended
                order.send(self._line)

    def close(self) -> None:
        """Listen no more; the worker does so, too."""
        self._listener.close()

    def end(self) -> None:
        """Let the worker end at once."""
        self.close()
        if self._line is not None:
            with suppress(OSError):
                self._line.shutdown(socket.SHUT_WR)

    def kill(self) -> None:
        """Wait for nothing any more."""
        self._greenlet.kill()

    def _keep(self) -> None:
        backoff = Backoff(FIRST_RESTART / 10, LONGEST_RESTART, SystemRandom())
        leaving = self._workers.leaving
        while not leaving.is_set():
            started = time.monotonic()
            self._follow_one()
            self.past = total([self.past, _lasting(self.report.figures)])
            self.past_process = total([self.past_process, _lasting(self.report.process)])
            self.report = Report(0)
            if leaving.is_set():
                return
            self._workers.ended.add()
            log.warning("a worker has ended, and what it held is lost; another one takes its place")
            if time.monotonic() - started > STEADY:
                backoff.reset()
            leaving.wait(backoff.wait())

    def _follow_one(self) -> None:
        """Start a worker, and hear it until it ends."""
        try:
            with self._workers.start(self._listener) as self._line:
                self._line.settimeout(SILENCE)
                self._hear(self._line)
        except OSError as error:
            log.debug("a worker's line has ended: %s", error)
        finally:
            self._line = None

    def _hear(self, line: socket.socket) -> None:
        try:
            for report in reports(line):
                self.report = report
                self.received += report.received
                self.sent.update(report.sent)
                self._workers.note(self, report)
        except BlockingIOError:
            log.error("a worker hangs, and is ended")  # noqa: TRY400 - no error in this program
            if self.report.pid:
                os.kill(self.report.pid, signal.SIGKILL)


def _lasting(figures: Iterable[Family]) -> list[Family]:
    """What stays true when a process has ended: what it has counted, not how it was."""
    return [family for family in figures if family.kind != "gauge"]
