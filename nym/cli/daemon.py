"""What the commands that keep running share: signals, and an orderly end."""

import os
import signal
from collections.abc import Callable

import gevent
from gevent.event import Event

from nym.cli.notify import notify

STOPPING = (signal.SIGINT, signal.SIGTERM)


class Signals:
    """What they ask for, from now on: Ctrl-C and SIGTERM to stop.

    SIGHUP says that the terminal was closed, which means to stop, too, unless who started the
    program had it ignored (nohup); else it asks to reload, or to stop where there is no reload.
    """

    def __init__(self) -> None:
        self.reload: Callable[[], None] | None = None
        self._stop = Event()
        self._is_bound_to_terminal = _has_terminal()
        self._outlives_terminal = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        for number in STOPPING:
            gevent.signal_handler(number, self._stop.set)
        gevent.signal_handler(signal.SIGHUP, self._hear_hang_up)

    def _hear_hang_up(self) -> None:
        is_closed = self._is_bound_to_terminal and not _has_terminal()
        if self.reload is not None and not is_closed:
            # In a greenlet of its own: what is raised in gevent's would end the program.
            gevent.spawn(self.reload)
        elif not self._outlives_terminal:
            self._stop.set()

    def run_until_stop(self, end: Callable[[], None]) -> int:
        """Wait for the end, then do it; returns the exit code."""
        try:
            self._stop.wait()
        finally:
            notify("STOPPING=1")
            end()
        return 0


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
