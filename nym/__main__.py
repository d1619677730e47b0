"""The program. gevent's patch comes before every other import."""

import signal

# Ctrl-C ends the program without a word while it loads; then it is the command that ends.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from gevent import config, monkey

config.loop = "libev-cext"  # whatever a machine has set for other programs
monkey.patch_all()
config.resolver = "nym.net.localhost.Resolver"  # imported for the first name that is looked up

import sys

from nym.cli import run


def main() -> None:
    """Run the command line, and end with its exit code."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
