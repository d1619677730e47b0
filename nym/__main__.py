"""The program's entry point.

gevent replaces blocking parts of the standard library. This has to happen before any other module
imports them, so the order of the lines in this file matters.
"""

import gc
import os
import signal

# Loading makes thousands of objects, and nearly all of them stay, so looking for garbage would only
# cost time. nym.cli turns the collector on again once a command is loaded.
gc.disable()

# While the program loads, Ctrl-C ends it at once, without a traceback. Once a command is loaded,
# nym.cli handles Ctrl-C. If the parent process has set the signal to be ignored, it stays ignored.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from gevent import config, monkey

# Always this event loop: the environment may choose another one, for other programs.
config.loop = "libev-cext"
# What is for processes stays as it is. Only the demo starts any, with gevent's own module. With
# Python 3.14, the patches would load multiprocessing, which the one file lacks. ctypes could wait
# for ever for its ldconfig, if that ends before gevent looks. And gevent's os.close would delay the
# closing until its loop turns again: a client would wait for its own lock at every start.
monkey.patch_all(os=False, signal=False, subprocess=False)

import sys
from contextlib import suppress
from typing import Any, NoReturn

from nym.cli import run


class _Resolver:
    """Creates this program's own resolver when gevent needs it for the first time.

    Until then, its module isn't imported, which makes commands start faster. It is a class because
    gevent's setting takes a class.
    """

    def __new__(cls, hub: Any = None) -> Any:
        from nym.net.localhost import Resolver

        return Resolver(hub)


config.resolver = _Resolver  # type: ignore[assignment]


def main() -> NoReturn:
    """Run the command line, and exit with its exit code."""
    try:
        code: Any = run(sys.argv[1:])
    except SystemExit as end:  # SIGTERM or SIGHUP ended a command that cleans up (demo, chat)
        code = end.code
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with suppress(OSError, ValueError):  # a pipe that nobody reads, or a closed stream
                stream.flush()
    # All is cleaned up, so the interpreter is not. It would free the state of a thread that has
    # been started and has not run yet, and crash when that thread begins: SIGSEGV in the place of
    # the exit code, when a client is stopped at the wrong moment (seen with CPython 3.11).
    os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    main()
