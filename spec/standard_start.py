"""Runs before the program in PyInstaller's file, and arranges what the launcher does otherwise.

The program is the second of two processes. The first is PyInstaller's bootloader. It waits, passes
on signals, and removes the folder with the libraries when the program has ended.
"""

import os
import signal
import time
from types import FrameType

# While the program loads, Ctrl-C ends it at once, without a traceback.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import ctypes

NO_FILE = "/proc/self/no-file"  # a path that never exists
PR_SET_PDEATHSIG = 1
SAME = 0.5  # seconds between two signals that are surely one


def follow_bootloader() -> None:
    """End with the bootloader, and take the place of its process for a service manager.

    A bootloader that is killed can't pass that on, and the program would run on, while whoever
    killed it takes it for ended. A watchdog is meant for the process that the service manager has
    started, which is the bootloader, but it is the program that has to be watched.
    """
    parent = os.getppid()
    try:
        has_bootloader = os.path.samefile(f"/proc/{parent}/exe", "/proc/self/exe")
    except OSError:  # it has ended already, or /proc isn't mounted
        return
    if not has_bootloader:
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.environ.get("WATCHDOG_PID") == str(parent):
        os.environ["WATCHDOG_PID"] = str(os.getpid())


def forget_foreign_settings() -> None:
    """Use no library and no setting of OpenSSL that the machine has for its own OpenSSL."""
    os.environ["OPENSSL_CONF"] = NO_FILE
    for name in ("OPENSSL_MODULES", "OPENSSL_ENGINES"):
        os.environ.pop(name, None)


def interrupt_once() -> None:
    """Take Ctrl-C for one signal.

    The terminal sends it to both processes, and the bootloader then passes on its own. The second
    could interrupt the program while it ends, and show a traceback.
    """
    interrupt, last = signal.default_int_handler, -SAME

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal last
        before, last = last, time.monotonic()
        if last - before >= SAME:
            interrupt(number, frame)

    signal.default_int_handler = handle  # type: ignore[assignment] # which returns sometimes


follow_bootloader()
forget_foreign_settings()
interrupt_once()
