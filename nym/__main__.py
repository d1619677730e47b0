"""The program. gevent's patch comes before every other import."""

import gc
import os
import signal

gc.disable()  # until a command is loaded: there is no garbage among what stays

# Ctrl-C ends the program without a word while it loads; then it is the command that ends.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from gevent import config, monkey

config.loop = "libev-cext"  # whatever a machine has set for other programs
monkey.patch_all()
# gevent's closes a folder some time later, so that its lock outlives whoever held it.
os.close = monkey.get_original("os", "close")

import sys
from typing import Any

from nym.cli import run


class _Resolver:
    """Ours, imported for the first name that is looked up. gevent takes a class."""

    def __new__(cls, hub: Any = None) -> Any:
        from nym.net.localhost import Resolver

        return Resolver(hub)


config.resolver = _Resolver  # type: ignore[assignment]


def main() -> None:
    """Run the command line, and end with its exit code."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
