"""What a service manager is told: sd_notify(3), datagrams to a socket that it names.

The libraries for it are unmaintained, or need libsystemd; the protocol is three lines.
"""

import logging
import os
import socket
import time
from collections.abc import Callable

import gevent

PATIENCE = 5.0  # seconds for a manager that doesn't listen just now

log = logging.getLogger(__name__)


def notify(*states: str) -> None:
    """Tell it, if there is one; a client runs on without one that listens."""
    place = os.environ.get("NOTIFY_SOCKET", "")
    if not place.startswith(("/", "@")):
        return
    if place.startswith("@"):  # an abstract one
        place = place.replace("@", "\0", 1)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
        datagrams.settimeout(PATIENCE)
        try:
            datagrams.sendto("\n".join(states).encode(), place)
        except OSError as error:
            log.debug("the service manager was not told %s: %s", states[0], error)


def reloading(work: Callable[[], None]) -> None:
    """Do `work` as a reload: begun and ended where the manager sees it."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
    try:
        work()
    finally:
        notify("READY=1")


def feed_watchdog() -> None:
    """Say again and again that greenlets run, if the manager wants to hear it."""
    period = os.environ.get("WATCHDOG_USEC", "")
    microseconds = int(period) if period.isascii() and period.isdigit() else 0
    if microseconds and os.environ.get("WATCHDOG_PID", "") in (str(os.getpid()), ""):
        gevent.spawn(_feed, microseconds / 2e6)


def _feed(seconds: float) -> None:
    while True:
        notify("WATCHDOG=1")
        gevent.sleep(seconds)
