"""What the commands that keep running share: a log, and an orderly end."""

import logging
import signal
import sys
from collections.abc import Callable

import gevent
from gevent.event import Event

STOPPING = (signal.SIGINT, signal.SIGTERM)


def set_up_log(level: int) -> None:
    """One line an event, on standard error."""
    logging.basicConfig(
        stream=sys.stderr,
        level=level,
        format="%(asctime)s %(levelname)-7s %(message)s",
        datefmt="%Y-%m-%d %H:%M:%S",
    )
    logging.getLogger("urllib3").setLevel(logging.WARNING)


def stop_event() -> Event:
    """Is set by Ctrl-C and SIGTERM, from now on."""
    stop = Event()
    for number in STOPPING:
        gevent.signal_handler(number, stop.set)
    return stop


def say(line: str) -> None:
    """A line on standard output, at once, for those who wait for it."""
    print(line, flush=True)


def run_until(stop: Event, end: Callable[[], None]) -> int:
    """Wait for the end, then do it; returns the exit code."""
    try:
        stop.wait()
    finally:
        end()
    return 0
