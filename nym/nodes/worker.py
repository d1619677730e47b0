"""A worker: one of the processes that take a node's packets, each on a processor of its own.

It has no will of its own: the node (nym.nodes.workers) gives it keys and tells it when to end. It
takes packets, holds them and sends them on, and reports what it has done. If its node ends, in
whatever way, so does the line between them, and the worker with it.
"""

import logging
import os
import socket
from pathlib import Path
from random import SystemRandom

import gevent
from gevent.event import Event

from nym.config.nodes import MixnodeLimitSettings
from nym.net.metrics import of_this_process
from nym.net.watch import Watch
from nym.nodes.given_keys import GivenKeys
from nym.nodes.mixnode import Mixnode
from nym.nodes.orders import Kind, Order, Report, orders
from nym.wire.addresses import NodeAddress

PERIOD = 1.0  # seconds between two reports, so figures are never older
HURRY = 0.05  # seconds for which something to log waits for more
MOST_LINES = 1000  # of the log, that wait for the next report
# What several processes of one node have together; only the node's own start counts.
_ADD_UP = "process_cpu_seconds_total", "process_open_fds", "process_resident_memory_bytes"

log = logging.getLogger(__name__)


class Worker:
    """Takes packets from `listener`; `line` is its end of the line to its node.

    `folder` has the folders of the node's keys. `limits` are what is this worker's share.
    """

    def __init__(
        self,
        line: socket.socket,
        listener: socket.socket,
        folder: Path,
        limits: MixnodeLimitSettings,
    ) -> None:
        self._line = line
        self._listener = listener
        self._keys = GivenKeys(folder, self._ask_for_key)
        place = NodeAddress(*listener.getsockname()[:2])
        self._mixnode = Mixnode(self._keys, place, layer=0, limits=limits)
        self._watch = Watch(SystemRandom())
        self._due = Event()
        self._needs_key = False
        self._has_left = False
        self._lines: list[tuple[int, str, str]] = []

    def run(self) -> None:
        """Do what the node says, until the line ends."""
        is_listening = False
        try:
            for order in orders(self._line):
                self._obey(order)
                if order.kind == Kind.KEYS and not is_listening:
                    is_listening = True
                    self._start()
        except Exception:
            log.exception("a worker died")
            self._watch.stop()
            self._report()
        finally:
            self._watch.stop()
            self._mixnode.stop()

    def say(self, level: int, part: str, text: str) -> None:
        """Let the node log this."""
        if len(self._lines) < MOST_LINES:
            self._lines.append((level, part, text))
        self._due.set()

    def _obey(self, order: Order) -> None:
        match order.kind:
            case Kind.KEYS:
                self._keys.take(list(zip(order.numbers, order.keys, strict=True)))
            case Kind.LEVEL:
                logging.getLogger().setLevel(order.numbers[0])
            case Kind.LEAVE:
                gevent.spawn(self._leave)

    def _start(self) -> None:
        self._mixnode.listen_at(self._listener)
        self._watch.start("keys of a worker", lambda: self._keys.run(_no_change))
        self._watch.start("lag of a worker", self._mixnode.counts.keep_noting_lag)
        self._watch.start("reports of a worker", self._keep_reporting)

    def _leave(self) -> None:
        self._mixnode.leave(0.0, Event())
        self._has_left = True
        self._due.set()

    def _ask_for_key(self) -> None:
        self._needs_key = True
        self._due.set()

    def _keep_reporting(self) -> None:
        while True:
            is_last = self._has_left
            self._report()
            if is_last:  # the node then closes its end, so that `run` ends
                self._line.shutdown(socket.SHUT_WR)
            if self._due.wait(PERIOD):
                gevent.sleep(HURRY)  # what comes meanwhile goes along
            self._due.clear()

    def _report(self) -> None:
        lines, self._lines = self._lines, []
        needs_key, self._needs_key = self._needs_key, False
        process = [family for family in of_this_process() if family.name in _ADD_UP]
        figures = self._mixnode.counts.families()
        report = Report(
            os.getpid(), *self._mixnode.take_traffic(), figures, process, lines, needs_key
        )
        try:
            self._line.sendall(report.encode())
        except OSError as error:  # the node has ended, and so will this worker
            log.debug("nobody hears this worker: %s", error)


def _no_change() -> None:
    """Only the node announces keys."""
