"""What the commands that keep running share: signals, and an orderly end."""

import signal
from collections.abc import Callable

import gevent
from gevent.event import Event

from nym.cli.notify import notify

STOPPING = (signal.SIGINT, signal.SIGTERM)


def stop_event() -> Event:
    """Is set by Ctrl-C and SIGTERM, from now on."""
    stop = Event()
    for number in STOPPING:
        gevent.signal_handler(number, stop.set)
    return stop


def run_until(stop: Event, end: Callable[[], None]) -> int:
    """Wait for the end, then do it; returns the exit code."""
    try:
        stop.wait()
    finally:
        notify("STOPPING=1")
        end()
    return 0
