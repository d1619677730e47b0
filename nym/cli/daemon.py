"""What the commands that run until they are stopped share: signals, and an orderly end."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import gevent
from gevent.event import Event

from nym.cli.notify import notify

STOPPING = (signal.SIGINT, signal.SIGTERM)


class Signals:
    """Handles signals from its creation on. Ctrl-C (SIGINT) and SIGTERM mean: stop.

    SIGHUP has two meanings. The kernel sends it when the terminal is closed. Then it means stop,
    unless the program was started with nohup. A service manager or a user sends it to make the
    program reload its settings. Then it means stop only if there is no `reload`, and no nohup.
    """

    def __init__(self) -> None:
        self.reload: Callable[[], None] | None = None
        self.hurry = Event()  # set by the second signal that says stop
        self._stop = Event()
        self._code = 0
        # Found out now: once the terminal is closed, a program that had one can't be told from one
        # that never had.
        self._is_bound_to_terminal = _has_terminal()
        # nohup starts programs with SIGHUP ignored. Asked before the handler below replaces that.
        self._outlives_terminal = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        for number in STOPPING:
            gevent.signal_handler(number, self._hear_stop)
        gevent.signal_handler(signal.SIGHUP, self._hear_hang_up)

    def _hear_hang_up(self) -> None:
        is_closed = self._is_bound_to_terminal and not _has_terminal()
        if self.reload is not None and not is_closed:
            # In a greenlet of its own: an error in the handler's would end the program.
            gevent.spawn(self.reload)
        elif not self._outlives_terminal:
            self._hear_stop()

    def _hear_stop(self) -> None:
        if self._stop.is_set():
            self.hurry.set()
        self._stop.set()

    def fail(self) -> None:
        """Stop as after a signal, but with the exit code of a failure."""
        self._code = 1
        self._stop.set()

    def run_until_stop(self, end: Callable[[], None]) -> int:
        """Wait until a signal says stop, then call `end`; returns the exit code."""
        try:
            self._stop.wait()
        finally:
            notify("STOPPING=1")
            end()
        return self._code


@contextmanager
def exit_on_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP raise SystemExit in this greenlet, so the block is left in order.

    A signal that the parent has ignored (nohup) stays ignored.
    """
    here = gevent.getcurrent()
    handlers = [
        gevent.signal_handler(number, gevent.kill, here, SystemExit(128 + number))
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) != signal.SIG_IGN
    ]
    try:
        yield
    finally:
        for handler in handlers:
            handler.cancel()


def _has_terminal() -> bool:
    """Whether this process has a controlling terminal that is still open."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
