"""Tells a service manager such as systemd how the program is doing.

The protocol is that of sd_notify(3): datagrams to a socket that the manager names in the
environment. It takes a few lines of code. Libraries for it are unmaintained, or need libsystemd.
"""

import logging
import os
import socket
import time
from collections.abc import Callable

import gevent

PATIENCE = 5.0  # seconds until the client goes on, if the manager doesn't read what it is sent

log = logging.getLogger(__name__)


def notify(*states: str) -> None:
    """Send `states` to the service manager, if there is one. If that fails, the client goes on."""
    place = os.environ.get("NOTIFY_SOCKET", "")
    if not place.startswith(("/", "@")):
        return
    if place.startswith("@"):  # a socket without a file: its name begins with a zero byte
        place = place.replace("@", "\0", 1)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
        datagrams.settimeout(PATIENCE)
        try:
            datagrams.sendto("\n".join(states).encode(), place)
        except OSError as error:
            log.debug("the service manager was not told %s: %s", states[0], error)


def reloading(work: Callable[[], None]) -> None:
    """Do `work`, and tell the manager when this reload begins and ends.

    `systemctl reload` waits for the end, so it is told even if `work` fails.
    """
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
    try:
        work()
    finally:
        notify("READY=1")


def feed_watchdog() -> None:
    """Tell the manager regularly that greenlets still run, if the manager wants to know.

    If the event loop hangs, the messages stop, and the manager restarts the client.
    """
    period = os.environ.get("WATCHDOG_USEC", "")
    microseconds = int(period) if period.isascii() and period.isdigit() else 0
    if microseconds and os.environ.get("WATCHDOG_PID", "") in (str(os.getpid()), ""):
        gevent.spawn(_feed, microseconds / 2e6)  # twice per period, so that one may be late


def _feed(seconds: float) -> None:
    while True:
        notify("WATCHDOG=1")
        gevent.sleep(seconds)
